"""WHO SAW IT: a log's text, in whatever format, to events: docs/logs.md says what is read and how far it can be."""
