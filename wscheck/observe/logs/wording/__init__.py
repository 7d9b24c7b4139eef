"""Recognition of connection events in logs that use a wording of their own."""
