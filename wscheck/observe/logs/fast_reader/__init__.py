"""Fast reader for records of a known shape (the same text with other ids and times), directly from a log's bytes."""
