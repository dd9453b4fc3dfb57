"""What handlers and actions under test did, in order, told to the test that waits for it.

Owns no time and no randomness. It is used from the loop of the test and from wherever a backend runs services and the
threads of actions.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Final

PATIENCE_S: Final = 10.0
"""How long a guarantee waits for one fact."""


class Recorder:
    """Notes by key, and gates that hold up actions until the test opens them."""

    def __init__(self) -> None:
        self._notes: defaultdict[str, list[str]] = defaultdict(list)
        self._open: set[tuple[str, str]] = set()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def note(self, key: str, what: str) -> None:
        """Remember that something happened."""
        self._notes[key].append(what)
        self._changed()

    def notes(self, key: str) -> list[str]:
        """Return what happened, in order."""
        return list(self._notes[key])

    def count(self, key: str, what: str) -> int:
        """Tell how often something happened."""
        return self._notes[key].count(what)

    async def until(self, key: str, what: str, count: int = 1) -> None:
        """Wait until something has happened so often."""
        await self._wait(lambda: self.count(key, what) >= count, f"{what!r} ({count} times)", key)

    async def until_any(self, key: str, count: int) -> None:
        """Wait until so many things have happened, whatever they are."""
        await self._wait(lambda: len(self._notes[key]) >= count, f"{count} notes", key)

    async def told(self, key: str) -> str:
        """Wait for a note that begins with `told `, and give the rest of it."""

        def found() -> list[str]:
            return [note.removeprefix("told ") for note in self._notes[key] if note.startswith("told ")]

        await self._wait(lambda: bool(found()), "what is told", key)
        return found()[0]

    async def act(self, key: str, what: str) -> str:
        """Be an action that notes itself; gives `what`."""
        self.note(key, what)
        return what

    def act_in_thread(self, key: str, what: str) -> str:
        """Be an action that is no coroutine."""
        self.note(key, what)
        return what

    async def hold(self, key: str, what: str) -> str:
        """Be an action that notes that it began, and ends when the test lets it."""
        self.note(key, what)
        await self._wait(lambda: (key, what) in self._open, f"the opening of {what!r}", key)
        return what

    def open(self, key: str, what: str) -> None:
        """Let a held action, and those of that name to come, end."""
        self._open.add((key, what))
        self._changed()

    def _changed(self) -> None:
        for loop, event in list(self._waiting):
            loop.call_soon_threadsafe(event.set)

    async def _wait(self, condition: Callable[[], bool], what: str, key: str) -> None:
        event = asyncio.Event()
        waiting = (asyncio.get_running_loop(), event)
        self._waiting.add(waiting)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():
                    await event.wait()
                    event.clear()
        except TimeoutError:
            raise AssertionError(f"waited {PATIENCE_S} s for {what}; seen: {self.notes(key)}") from None
        finally:
            self._waiting.discard(waiting)


class Recording:
    """A definition that records.

    Args:
        seen: Where to.
    """

    def __init__(self, seen: Recorder) -> None:
        self.seen = seen
