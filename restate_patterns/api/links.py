"""What stands behind every typed client, handle and awakeable id: a `Caller`, and a watch on its calls."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, cast

from typing_extensions import override

from restate_patterns.values.copies import kept_arguments

if TYPE_CHECKING:
    from restate_patterns.seam import Caller

F = TypeVar("F", bound=Callable[..., Coroutine[Any, Any, Any]])
T = TypeVar("T")


class Track(Protocol):
    """Watches a coroutine: one that was never awaited when its attempt ends is an error naming `what`."""

    def __call__(self, coroutine: Coroutine[Any, Any, T], what: str, /) -> Coroutine[Any, Any, T]:
        """Give a coroutine that does the same and is watched."""
        ...


class Link(NamedTuple):
    """A caller and, inside a handler, the watch on what it was asked for."""

    caller: Caller
    track: Track | None = None


class Linked:
    """Something that asks through a link; its `tracked` methods are watched.

    Args:
        link: What it asks through; None when there is nobody to ask.
        label: What to call it in sentences.
    """

    __slots__ = ("_label", "_link")

    def __init__(self, link: Link | None, label: str) -> None:
        self._link = link
        self._label = label

    @property
    def _caller(self) -> Caller:
        assert self._link is not None
        return self._link.caller

    def _given(
        self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Give the arguments of a tracked method as they are to be when its coroutine runs."""
        return args, kwargs

    def _track(self, coroutine: Coroutine[Any, Any, T], method: str) -> Coroutine[Any, Any, T]:
        track = None if self._link is None else self._link.track
        if track is None:
            return coroutine
        return track(coroutine, self._label if method == "__call__" else f"{self._label}.{method}")


class LinkedPlace(Linked):
    """A place for values: one that it is given is the one of the moment it was given, not of when it is awaited."""

    __slots__ = ()

    @override
    def _given(
        self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args, _ = kept_arguments(args, kwargs)
        return args, kwargs

    @override
    def __repr__(self) -> str:
        return f"<{self._label}>"


def tracked(method: F) -> F:
    """Make an `async def` method of a `Linked` one whose coroutines are watched. Its type stays."""
    name = method.__name__

    @functools.wraps(method)
    def call(self: Linked, /, *args: object, **kwargs: object) -> Coroutine[Any, Any, Any]:
        if args or kwargs:
            args, kwargs = self._given(name, args, kwargs)  # pyright: ignore[reportPrivateUsage] - the methods of `Linked` itself
        return self._track(method(self, *args, **kwargs), name)  # pyright: ignore[reportPrivateUsage] - likewise

    return cast("F", call)
