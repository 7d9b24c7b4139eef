"""Deprecated alias of `wscheck.locust`, kept for one version."""
