"""What an attempt has asked for that has not completed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from restate_patterns.restate.machine import Answer

Finish: TypeAlias = Callable[[Answer], None]
"""What is done with the answer."""


@dataclass(slots=True)
class Waiting:
    """Something asked for that has not completed."""

    finish: Finish
    internal: bool = False
    """Whether it is ours: the output of the invocation must not overtake it."""
