"""The fixture as users take it."""

from restate_patterns.testing.fixtures import durable

__all__ = ["durable"]
