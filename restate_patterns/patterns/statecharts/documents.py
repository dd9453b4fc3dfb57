"""Charts loaded from SCXML, JSON or YAML: what must be mended before they can be durable.

The library keeps two things per class that belong to each machine: whether the datamodel was set up, and
the session with its id, which is an address in memory.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, Final, cast

from restate_patterns.patterns.statecharts.library import attributes, new_session, parts_of, send_of, states_of

_READY: Final = "_restate_datamodel"
_SESSION: Final = "_restate_session"
_MENDED: Final = "_restate_mended"


def mend(chart: Any) -> None:
    """Make what a loaded class keeps once something that each of its machines keeps; others stay as they are."""
    interpreter = getattr(chart, "_io_processor", None)
    if interpreter is None or chart.__dict__.get(_MENDED):
        return
    for state in states_of(chart):
        for spec in state.enter:
            if "initialized" in getattr(getattr(spec.func, "__code__", None), "co_freevars", ()):
                spec.func = _datamodel_of_each(spec.func)
    elsewhere = interpreter._get_session

    def session_of(machine: object) -> Any:
        return attributes(machine).get(_SESSION) or elsewhere(machine)

    interpreter._get_session = session_of
    type.__setattr__(chart, _MENDED, True)


def open_session(machine: Any, key: str, *, is_new: bool) -> None:
    """Return a machine its session; the id is the same on every replay.

    Args:
        machine: Just made.
        key: The key of the object.
        is_new: Whether nothing has happened to it.
    """
    interpreter: Any = getattr(cast("Any", type(machine)), "_io_processor", None)
    if interpreter is None:
        return
    session = new_session(interpreter, machine)
    session.session_id = f"{machine.name}:{key}"
    session.first_event_raised = not is_new
    attributes(machine).update({_SESSION: session, _READY: not is_new})


def send_actions(chart: Any) -> Iterator[Any]:
    """Return the <send> actions of a document, wherever they stand."""
    for each in parts_of(chart):
        for spec in each._specs:
            yield from _sends(getattr(spec.func, "action", None))


def _sends(action: Any) -> Iterator[Any]:
    if (send := send_of(action)) is not None:
        yield send
    for part in ("actions", "content", "branches"):
        inner: Any = getattr(action, part, None)
        parts: list[Any] = cast("Any", inner) if isinstance(inner, list) else [inner]
        for each in parts:
            if each is not None and not isinstance(each, str):
                yield from _sends(each)


def _datamodel_of_each(function: Any) -> Any:
    cells = dict(zip(function.__code__.co_freevars, function.__closure__, strict=True))
    elements = cells["data_elements"].cell_contents

    @functools.wraps(function)
    def datamodel(*args: Any, **kwargs: Any) -> None:
        kept = attributes(kwargs["machine"])
        if not kept.get(_READY):
            kept[_READY] = True
            for element in elements:
                element(**kwargs)

    return datamodel
