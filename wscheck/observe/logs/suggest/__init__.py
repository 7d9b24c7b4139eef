"""Suggested options that would read a log in other words."""
