"""Suggested `--marker` and `--key` options for a log with an unknown wording."""
