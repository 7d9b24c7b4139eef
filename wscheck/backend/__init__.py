"""The embedded reference backend: what `wscheck serve` runs and `verify` checks without a URL."""
