"""WHO SAW IT: each file turns one kind of evidence into events."""
