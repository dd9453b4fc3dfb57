"""Where code is: sentences for errors, made from tasks, callbacks and frames."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from restate_patterns.errors import NotDurable

_ASYNCIO = str(Path(asyncio.__file__).parent)
_OWN = str(Path(__file__).parent.parent)
_LOOP = str(Path(__file__).with_name("loop.py"))
"""What it calls is the handler's, what calls it is not."""
_ensure_future_code: CodeType = getattr(asyncio.tasks, "_ensure_future", asyncio.ensure_future).__code__
_TASKS_SHOWN_MAX = 5
_INNER = ("cr_await", "ag_await", "gi_yieldfrom")
_FRAMES_TO_AS_COMPLETED = 4
"""How far above the creation of the task `as_completed` is, at most: CPython 3.11 has a comprehension between."""


def of_frame(frame: FrameType) -> str:
    """Say file, line and function of a frame."""
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"


def _is_users(frame: FrameType) -> bool:
    path = frame.f_code.co_filename
    return not (path.startswith((_ASYNCIO, _OWN)) or f"{'/'}anyio{'/'}" in path)


def frames_of(task: asyncio.Task[Any]) -> list[FrameType]:
    """Give the frames of a suspended task, outermost first."""
    return _frames(task.get_coro())


def _frames(coroutine: Any) -> list[FrameType]:
    frames: list[FrameType] = []
    while coroutine is not None:
        for kind in ("cr", "ag", "gi"):
            frame: FrameType | None = getattr(coroutine, f"{kind}_frame", None)
            if frame is not None:
                frames.append(frame)
        coroutine = next((inner for name in _INNER if (inner := getattr(coroutine, name, None)) is not None), None)
    return frames


def of_the_handler() -> str:
    """Say where the running handler is: the innermost line that the user wrote, or nothing."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename != _LOOP:
        if _is_users(frame):
            return of_frame(frame)
        frame = frame.f_back
    return ""


def of_coroutine(coroutine: Any) -> str:
    """Say where a suspended coroutine waits: the innermost line that the user wrote."""
    frames = _frames(coroutine)
    found = next((frame for frame in reversed(frames) if _is_users(frame)), frames[0] if frames else None)
    return "its end" if found is None else of_frame(found)


def of_task(task: asyncio.Task[Any]) -> str:
    """Say where a task waits, and for what."""
    waiter = getattr(task, "_fut_waiter", None)
    what = "" if waiter is None else f", for {type(waiter).__name__}"
    return f"{task.get_name()} at {of_coroutine(task.get_coro())}{what}"


def of_tasks(tasks: Iterable[asyncio.Task[Any]]) -> str:
    """Say where some tasks wait."""
    places = [of_task(task) for task in tasks]
    more = len(places) - _TASKS_SHOWN_MAX
    shown = "; ".join(places[:_TASKS_SHOWN_MAX])
    return f"{shown}; and {more} more" if more > 0 else shown


def of_callback(callback: Callable[..., object] | None) -> str:
    """Say what a callback of the loop is: a task and its line, or a function."""
    task: Any = getattr(callback, "__self__", None)
    if hasattr(task, "get_coro"):
        return of_task(task)
    return getattr(callback, "__qualname__", None) or repr(callback)


def foreign_caller() -> str:
    """Name the object whose method, outside this package, reached the loop."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith(_OWN):
        frame = frame.f_back
    if frame is None:
        return "something"
    owner = frame.f_locals.get("self")
    return of_frame(frame) if owner is None else f"{owner!r} ({of_frame(frame)})"


def _two_above(frame: FrameType | None) -> FrameType | None:
    # A function of its own: a frame in one of its own variables is a cycle.
    return frame and frame.f_back and frame.f_back.f_back


def refuse_unordered() -> None:
    """Refuse a coroutine that `asyncio.as_completed` makes a task of, in an order of addresses."""
    caller = _two_above(inspect.currentframe())
    if caller is None or caller.f_code is not _ensure_future_code:
        return
    for _ in range(_FRAMES_TO_AS_COMPLETED):
        if caller.f_back is None:
            return
        caller = caller.f_back
        if "as_completed" in caller.f_code.co_name or "_AsCompletedIterator" in caller.f_code.co_qualname:
            break
    else:
        return
    for given in caller.f_locals.get("fs", caller.f_locals.get("aws", ())):
        if asyncio.iscoroutine(given):
            given.close()
    raise NotDurable(
        "asyncio.as_completed was given coroutines: it starts them in an order of memory addresses, which "
        "no replay can repeat. Make tasks first: as_completed([asyncio.create_task(c) for c in coroutines])"
    )
