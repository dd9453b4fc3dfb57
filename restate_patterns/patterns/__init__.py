"""Patterns: thin code over the public API. They know no backend and run on each."""
