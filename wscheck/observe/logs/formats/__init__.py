"""Formats of log lines: envelopes, line prefixes, timestamps, and keys with values (terms: `wscheck.observe.logs`)."""
