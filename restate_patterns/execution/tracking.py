"""Coroutines that should have been awaited: calls made and forgotten."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Tracked:
    """Keeps calls until they are awaited, to name the one that never was."""

    def __init__(self) -> None:
        self._calls: list[tuple[Any, str]] = []
        self._limit = 64

    def add(self, coroutine: Coroutine[Any, Any, T], what: str) -> Coroutine[Any, Any, T]:
        """Watch a call that was just made; gives it back."""
        self._calls.append((coroutine, what))
        if len(self._calls) > self._limit:
            self._calls = [call for call in self._calls if _never_awaited(call[0])]
            self._limit = 64 + 2 * len(self._calls)
        return coroutine

    def never_awaited(self) -> list[str]:
        """Name the calls that were made and never awaited."""
        return [what for coroutine, what in self._calls if _never_awaited(coroutine)]

    def clear(self) -> None:
        """Close the calls that were never awaited and forget all."""
        for coroutine, _ in self._calls:
            if _never_awaited(coroutine):
                coroutine.close()
        self._calls.clear()


def _never_awaited(coroutine: Any) -> bool:
    # As inspect.getcoroutinestate(), in an order that looks at no frame of one that has ended or waits.
    return not (coroutine.cr_suspended or coroutine.cr_running) and coroutine.cr_frame is not None
