"""Embedded reference backend, which `wscheck serve` runs and `wscheck verify` checks if it gets no URL."""
