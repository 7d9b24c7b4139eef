"""Measurements, each against something real: `python -m bench` runs them all, `python -m bench NAME...` some."""
