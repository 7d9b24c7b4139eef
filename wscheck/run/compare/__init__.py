"""Comparison of two runs by the numbers in their JSON reports."""
