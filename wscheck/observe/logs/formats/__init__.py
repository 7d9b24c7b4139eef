"""Formats of log lines, prefixes, timestamps, keys and envelopes."""
