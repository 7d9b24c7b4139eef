"""Formats of log lines: envelopes (added by collectors), line prefixes, timestamps, keys and values."""
