"""Small attempts for tests of one rule: a handler, what it is told, and what it asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.options import Step
from restate_patterns.seam import AttemptEnd, Completion, Failed, MustPause, OperationHandle, Request, Succeeded, Target
from tests.support.engines.memory_backend import START_MS, Main, MemoryOperations, Outcome, World
from tests.support.engines.memory_host import Host, run_to_end

__all__ = ["START_MS", "Driven", "act", "failure_of", "output_of", "request", "run", "step", "stuck_with"]


def request(name: str) -> Request:
    """Make a call to a handler of this name."""
    return Request(Target("Peer", name))


async def act() -> bytes:
    """Do nothing, as a step."""
    return b"done"


async def step(
    attempt: DurableAttempt, name: str, action: Callable[[], Awaitable[bytes]] = act, options: Step | None = None
) -> str:
    """Run a step of this name and give its result."""
    return (await attempt.run(options or Step(name), b"", action)).decode()


class Driven:
    """An attempt driven by hand: completions are delivered when the test says so."""

    def __init__(self, main: Main, world: World | None = None) -> None:
        self.world = world or World(main)
        self.operations = MemoryOperations(self.world)
        self.attempt = DurableAttempt(self.world.invocation, self.operations, main)
        self.end: AttemptEnd | None = self.attempt.start()

    def deliver(
        self, handle: OperationHandle, value: bytes | None = None, time_ms: int | None = START_MS
    ) -> AttemptEnd | None:
        """Complete an operation."""
        self.end = self.attempt.deliver(Completion(handle, time_ms, value))
        return self.end

    def cancel(self, time_ms: int = START_MS) -> AttemptEnd | None:
        """Cancel the invocation."""
        self.operations.cancels_delivered += 1
        self.end = self.attempt.deliver_cancel(time_ms)
        return self.end

    @property
    def asked(self) -> list[str]:
        """What the handler asked for so far, in order; the index is the handle."""
        return [f"{command.kind} {command.what}".strip() for command in self.operations.fresh]

    @property
    def hints(self) -> list[tuple[str, OperationHandle]]:
        """What the backend was told without any entry in the journal."""
        return self.operations.hints


def run(main: Main, peer: Callable[[str, str], Outcome] | None = None, **kwargs: Any) -> AttemptEnd:
    """Run a handler to its end on the in-memory backend."""

    async def go() -> AttemptEnd:
        return await run_to_end(World(main, peer), **kwargs)

    return asyncio.run(go())


def first_drain(main: Main) -> AttemptEnd | None:
    """Run a handler to its first wait."""

    async def go() -> AttemptEnd | None:
        driven = Driven(main)
        if driven.end is None:
            driven.attempt.close()
        return driven.end

    return asyncio.run(go())


def within_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run an async test body; real loops are what attempts are driven from."""
    asyncio.run(test())


def output_of(end: AttemptEnd | None) -> bytes:
    """Give the output of an attempt that must have succeeded."""
    assert isinstance(end, Succeeded), end
    return end.output


def failure_of(end: AttemptEnd | None) -> tuple[int, str]:
    """Give code and sentence of an attempt that must have failed for good."""
    assert isinstance(end, Failed), end
    return end.failure.code, end.failure.message


def stuck_with(end: AttemptEnd | None) -> BaseException:
    """Give the error of an attempt that must be stuck."""
    assert isinstance(end, MustPause), end
    return end.error


__all__ += ["Host", "first_drain", "within_loop"]
