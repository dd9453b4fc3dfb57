"""What the inner loop asks of the attempt it belongs to."""

from __future__ import annotations

from typing import Protocol

from typing_extensions import override

from restate_patterns.execution.timers import InnerTimer


class LoopHost(Protocol):
    """What the loop needs from the attempt it belongs to."""

    def timer_started(self, timer: InnerTimer, delay_ms: int) -> None:
        """Ask the backend for a timer; `delay_ms` is how far off its deadline is."""
        ...

    def read_time(self) -> int:
        """Ask the backend for durable time, in Unix milliseconds."""
        ...

    def timer_cancelled(self, timer: InnerTimer) -> None:
        """Nobody needs this timer any more."""
        ...

    def callback_failed(self, error: BaseException) -> None:
        """A callback raised, which asyncio would only log: the attempt can't go on."""
        ...

    def spins(self, place: str) -> None:
        """The loop ran over its budget of callbacks, last at `place`."""
        ...


class _Nobody(LoopHost):
    """The host of a loop whose attempt is over."""

    @override
    def timer_started(self, timer: InnerTimer, delay_ms: int) -> None:
        pass

    @override
    def read_time(self) -> int:
        return 0

    @override
    def timer_cancelled(self, timer: InnerTimer) -> None:
        pass

    @override
    def callback_failed(self, error: BaseException) -> None:
        pass

    @override
    def spins(self, place: str) -> None:
        pass


NOBODY = _Nobody()
"""The host of every loop whose attempt is over."""
