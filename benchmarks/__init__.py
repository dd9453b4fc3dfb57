"""Measures the framework against its peers and its limits: `python -m benchmarks --help`."""
