"""Event sources: each package turns one kind of evidence (logs, browser, HAR file, client) into events."""
