"""A chart as a Mermaid state diagram, drawn by the library, with the live states marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from restate_patterns.patterns.statecharts.library import mermaid

if TYPE_CHECKING:
    from restate_patterns.patterns.statecharts.definition import ChartDefinition

_LIVE_STYLE = "fill:#1565c0,color:#ffffff,stroke:#0d47a1"


def draw(definition: ChartDefinition, live: Sequence[str]) -> str:
    """Return the diagram.

    Args:
        definition: The chart.
        live: The ids of the states to mark.
    """
    lines = [line.rstrip() for line in mermaid(definition.chart).splitlines()]
    inner = [id_ for id_ in live if id_ in definition.states and not definition.states[id_].states]
    if inner:
        lines += [f"    classDef live {_LIVE_STYLE}", f"    class {','.join(inner)} live"]
    return "\n".join(line for line in lines if line)
