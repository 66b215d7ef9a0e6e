"""Benchmarks: `python -m bench [NAME ...]`, each against a named peer in the same run; prints medians and ratios."""
