"""Patterns: ordinary code over the public context. None knows which backend runs it."""
