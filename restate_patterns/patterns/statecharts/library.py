"""The parts of `python-statemachine` that the adapter uses, under names and types of its own.

Its classes are typed in part only, and some of what is needed here is not public: all of that is in this
file and in `engine`, so that a new version of the library is read against two files.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from statemachine import StateChart
from statemachine.contrib.diagram.formatter import formatter
from statemachine.contrib.timeout import _Timeout  # pyright: ignore[reportPrivateUsage] - what `timeout()` makes
from statemachine.event import BoundEvent
from statemachine.graph import iterate_states, iterate_states_and_transitions
from statemachine.invoke import InvokeManager
from statemachine.io.model import SendAction
from statemachine.io.system_variables import IOProcessor, SessionData
from statemachine.model import Model
from statemachine.orderedset import OrderedSet


def is_chart(value: object) -> bool:
    """Return whether `value` is a chart class with states."""
    return isinstance(value, type) and issubclass(value, StateChart) and not cast("Any", value)._abstract


def states_of(chart: Any) -> list[Any]:
    """Return all states and history states of a chart."""
    return list(cast("Iterable[Any]", iterate_states(chart.states)))


def parts_of(chart: Any) -> list[Any]:
    """Return all states, history states and transitions of a chart."""
    return list(cast("Iterable[Any]", iterate_states_and_transitions(chart.states)))


def transitions_of(chart: Any) -> list[Any]:
    """Return all transitions of a chart."""
    return [part for part in parts_of(chart) if hasattr(part, "events")]


def event_ids(chart: Any) -> list[str]:
    """Return the ids of all events of a chart."""
    return [str(event) for event in chart._events]


def attributes(thing: object) -> dict[str, Any]:
    """Return the attributes of a machine or model, to read and to write."""
    return vars(thing)


def timeout_of(spec: Any) -> tuple[float, str | None] | None:
    """Return seconds and event of the timeout that an `invoke=` callback is, or None when it is something else."""
    handler = cast("Any", InvokeManager)._resolve_handler(spec.func)
    return (handler.duration, handler.on) if isinstance(handler, _Timeout) else None


def send_of(action: Any) -> SendAction | None:
    """Return a document's action when it is a <send>."""
    return action if isinstance(action, SendAction) else None


def event_of(machine: Any, id_: str, *, delay_ms: float = 0, is_internal: bool = False) -> Any:
    """Return an event bound to a machine; `put` queues it."""
    return BoundEvent(id=id_, delay=delay_ms, internal=is_internal, _sm=machine)


def new_model() -> Any:
    """Make the library's own model."""
    return cast("Any", Model)()


def new_session(interpreter: Any, machine: Any) -> Any:
    """Make the session of a machine whose chart came from a document."""
    processor = cast("Any", IOProcessor)(interpreter, machine=machine)
    return SessionData(processor=processor, machine=machine)


def ordered(values: Iterable[Any]) -> Any:
    """Return values as the library keeps a configuration."""
    return OrderedSet(values)


def mermaid(chart: Any) -> str:
    """Draw a chart."""
    return cast("str", cast("Any", formatter).render(chart, "mermaid"))
