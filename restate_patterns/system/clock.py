"""The one place that reads time and makes things happen later.

Times are Unix milliseconds (`int`). Everything else is given a `Clock`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from typing_extensions import override

from restate_patterns.limits import CLOCK_LOOK_MS, CLOCK_MOVED_MS


class Cancellable(Protocol):
    """Something that was scheduled and can be called off."""

    def cancel(self) -> None:
        """Call it off; does nothing when it has happened."""
        ...


class Clock(Protocol):
    """Wall time, monotonic time and wake-ups; a test can drive its own."""

    def wall_ms(self) -> int:
        """Give the wall clock's Unix milliseconds; it may jump."""
        ...

    def monotonic_ms(self) -> float:
        """Give milliseconds that only go forward, from an arbitrary origin."""
        ...

    def call_later(self, delay_ms: float, callback: Callable[[], None]) -> Cancellable:
        """Call `callback` on the running loop in `delay_ms` milliseconds."""
        ...

    async def sleep(self, delay_ms: float) -> None:
        """Sleep for `delay_ms` milliseconds of this clock."""
        ...

    def watch(self, moved: Callable[[], None]) -> Cancellable:
        """Call `moved` soon after wall and monotonic time moved apart: the machine slept, or its clock was set."""
        ...


def wall_ms() -> int:
    """Give the machine's wall clock in Unix milliseconds; what runs invocations is given a `Clock`."""
    return time.time_ns() // 1_000_000


class SystemClock(Clock):
    """The machine's clocks and one asyncio loop.

    Args:
        loop: The real loop; default the running one. Held, because while a handler runs its own loop
            is the running one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop or asyncio.get_running_loop()

    @override
    def wall_ms(self) -> int:
        return wall_ms()

    @override
    def monotonic_ms(self) -> float:
        return time.monotonic() * 1000

    @override
    def call_later(self, delay_ms: float, callback: Callable[[], None]) -> Cancellable:
        return self._loop.call_later(delay_ms / 1000, callback)

    @override
    async def sleep(self, delay_ms: float) -> None:
        await asyncio.sleep(delay_ms / 1000)

    @override
    def watch(self, moved: Callable[[], None]) -> Cancellable:
        return _Watch(self, moved)


class ClockOf(Clock):
    """Another clock, as somebody uses it who does more when it sleeps.

    Args:
        clock: The other one.
    """

    __slots__ = ("_clock",)

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    @override
    def wall_ms(self) -> int:
        return self._clock.wall_ms()

    @override
    def monotonic_ms(self) -> float:
        return self._clock.monotonic_ms()

    @override
    def call_later(self, delay_ms: float, callback: Callable[[], None]) -> Cancellable:
        return self._clock.call_later(delay_ms, callback)

    @override
    def watch(self, moved: Callable[[], None]) -> Cancellable:
        return self._clock.watch(moved)

    @override
    async def sleep(self, delay_ms: float) -> None:
        await self._clock.sleep(delay_ms)


class _Watch(Cancellable):
    """Compares the two clocks of the machine every `CLOCK_LOOK_MS`, by the monotonic one."""

    def __init__(self, clock: Clock, moved: Callable[[], None]) -> None:
        self._clock = clock
        self._moved = moved
        self._apart_ms = self._read()
        self._alarm = clock.call_later(CLOCK_LOOK_MS, self._look)

    def _read(self) -> float:
        return self._clock.wall_ms() - self._clock.monotonic_ms()

    def _look(self) -> None:
        self._alarm = self._clock.call_later(CLOCK_LOOK_MS, self._look)
        apart_ms = self._read()
        if abs(apart_ms - self._apart_ms) > CLOCK_MOVED_MS:
            self._apart_ms = apart_ms
            self._moved()

    @override
    def cancel(self) -> None:
        self._alarm.cancel()
