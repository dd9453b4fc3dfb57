"""Typed durable services, virtual objects and workflows for Python."""
