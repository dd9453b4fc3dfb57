"""A machine as a Mermaid state diagram."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from restate_patterns.patterns.machines.table import Move, Table

_UNITS: Final = (
    (timedelta(days=1), "d"),
    (timedelta(hours=1), "h"),
    (timedelta(minutes=1), "min"),
    (timedelta(seconds=1), "s"),
)
_LIVE_STYLE: Final = "fill:#1565c0,color:#ffffff,stroke:#0d47a1"


def draw(table: Table, live: Enum | None) -> str:
    """Return the diagram.

    Args:
        table: What to draw.
        live: The state to mark, or None.
    """
    lines = ["stateDiagram-v2", f"    [*] --> {table.initial.name}"]
    lines += [f"    {move.source.name} --> {move.target.name}: {_label(move)}" for move in table.moves.values()]
    left = {move.source for move in table.moves.values()}
    lines += [f"    {state.name} --> [*]" for state in table.states if state not in left]
    if live is not None:
        lines += [f"    classDef live {_LIVE_STYLE}", f"    class {live.name} live"]
    return "\n".join(lines)


def _label(move: Move) -> str:
    after = f" after {in_words(move.delay)}" if move.delay is not None else ""
    guards = f" [{', '.join(move.event.guards)}]" if move.event.guards else ""
    return f"{move.event.name}{after}{guards}"


def in_words(delay: timedelta) -> str:
    """Return a time in the largest units that say it exactly, `1 d 12 h`."""
    parts: list[str] = []
    rest = delay
    for size, unit in _UNITS:
        # A day on the dot is told in hours, as people do.
        count, rest = divmod(rest, size) if (size, rest) != (timedelta(days=1), size) else (0, rest)
        if count:
            parts.append(f"{count} {unit}")
    if rest:
        parts.append(f"{rest / timedelta(milliseconds=1):g} ms")
    return " ".join(parts)
