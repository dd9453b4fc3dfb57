"""The engine as HTTP sees it: see `restate_patterns.engine_port`, which both sides can import."""

from __future__ import annotations

from restate_patterns.engine_port import EnginePort

__all__ = ["EnginePort"]
