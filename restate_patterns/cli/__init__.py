"""The command `restate-patterns`."""

from __future__ import annotations

from restate_patterns.cli.command import main

__all__ = ["main"]
