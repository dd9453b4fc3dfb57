"""Finds waits of a test that nothing can end, and ends them with the reason.

A wait has no end where nothing moves: the engine has nothing to do before time passes, and the test does nothing but
wait for it. That is looked at a few times in real time, and the slightest doubt lets the wait go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Hashable
from contextlib import contextmanager
from typing import Any, NamedTuple

from typing_extensions import override

from restate_patterns.embedded.core import Core
from restate_patterns.engine.errors import EngineStopped
from restate_patterns.limits import STILL_LOOK_S, STILL_LOOKS_MIN
from restate_patterns.seam import InvocationRef
from restate_patterns.testing.caller import Engines, WatchedWaits
from restate_patterns.testing.errors import EndlessWait
from restate_patterns.testing.loops import all_wait_for, may_act
from restate_patterns.testing.reasons import Reasons


class Wait(NamedTuple):
    """One wait of the test for the end of an invocation."""

    ref: InvocationRef
    tasks: tuple[asyncio.Task[Any] | None, asyncio.Task[Any]]
    """The one that waits, and the one that asks the engine for it."""
    given_up: asyncio.Future[Exception]
    """Done with what to raise once nothing can end it."""


class EndlessWaits(WatchedWaits):
    """The waits of a test, looked at again and again as long as there are some.

    Args:
        engines: Where the engine of the moment is found.
    """

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._loop = asyncio.get_running_loop()
        self._waits: dict[int, Wait] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._seen: Hashable = None
        self._looks_count = 0

    @override
    @contextmanager
    def watching(self, ref: InvocationRef, asking: asyncio.Task[Any]) -> Generator[asyncio.Future[Exception]]:
        wait = Wait(ref, (asyncio.current_task(), asking), self._loop.create_future())
        self._waits[id(wait)] = wait
        if self._timer is None:
            self._look_later()
        try:
            yield wait.given_up
        except asyncio.CancelledError as error:
            endless = self._reason(wait)
            if endless is not None:
                error.add_note(f"{endless.subject} {endless.why}")  # what a limit of the test's own does not say
            raise
        finally:
            del self._waits[id(wait)]
            wait.given_up.cancel()
            if not self._waits and self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _look_later(self) -> None:
        self._timer = self._loop.call_later(STILL_LOOK_S, self._look)

    def _look(self) -> None:
        self._timer = None
        seen = self._still()
        self._looks_count = self._looks_count + 1 if seen is not None and seen == self._seen else 1
        self._seen = seen
        if seen is not None and self._looks_count >= STILL_LOOKS_MIN:
            for wait in self._waits.values():
                endless = self._reason(wait)
                if endless is not None and not wait.given_up.done():
                    wait.given_up.set_result(endless)
        self._look_later()

    def _core(self) -> Core | None:
        """Give the engine if it is up and has nothing to do."""
        try:
            core = None if self._engines.down else self._engines.engine.core
        except EngineStopped:
            return None
        return core if core is not None and core.quiet else None

    def _still(self) -> Hashable:
        """Give what is the same at the next look if nothing moves; None where something may."""
        core = self._core()
        if core is None or may_act(self._loop):
            return None
        waiting = [task for wait in self._waits.values() for task in wait.tasks]
        between_tries = [step.task for step in core.steps.in_all()]
        dead_ends = {task for task in (*waiting, *between_tries) if task is not None}
        if not all_wait_for(self._loop, dead_ends):
            return None
        return (id(core), core.log.sequence, core.clock.monotonic_ms(), core.clock.wall_ms(), frozenset(self._waits))

    def _reason(self, wait: Wait) -> EndlessWait | None:
        core = self._core()
        return None if core is None else Reasons(core).of(wait.ref)
