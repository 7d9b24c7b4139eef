"""Formats of log lines: envelopes, prefixes, timestamps, keys and values."""
