"""Drives attempts on the in-memory backend: to their end, with crashes, suspensions and cancellations."""

from __future__ import annotations

import asyncio

from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.seam import (
    AttemptEnd,
    Completion,
    MustPause,
)
from tests.support.engines.memory_backend import CancelRequested, Entry, MemoryOperations, World

_SETTLE_TURNS = 8


class Host:
    """Drives attempts of a world's invocation. Must be used within a running event loop."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.operations = MemoryOperations(world)
        self.attempt = DurableAttempt(world.invocation, self.operations, world.main)

    def replay(self, *, adopt: bool = True) -> AttemptEnd | None:
        """Start an attempt and deliver what the journal has; the first entry is made when there is none.

        With `adopt` steps that have no outcome start, unless they still run.
        """
        world = self.world
        if not world.entries:
            return self._append(None)
        end: AttemptEnd | None = None
        issued = 0
        for entry in world.entries:
            assert end is None, f"the replay ended early: {end}"
            end = self._deliver(entry.cause)
            issued += len(entry.commands)
            if end is None or not isinstance(end, MustPause):
                assert self.operations.position == issued, "the replay left commands out"
        if not adopt:
            return end
        for handle, command in enumerate(self.operations.recorded):
            if command.kind == "run" and handle not in world.settled and handle in self.operations.actions:
                self.operations._start_step(handle)
        self._commit()
        return end

    def _deliver(self, cause: Completion | CancelRequested | None) -> AttemptEnd | None:
        if cause is None:
            return self.attempt.start()
        if isinstance(cause, CancelRequested):
            self.operations.cancels_delivered += 1
            return self.attempt.deliver_cancel(cause.time_ms)
        return self.attempt.deliver(cause)

    def _append(self, cause: Completion | CancelRequested | None) -> AttemptEnd | None:
        end = self._deliver(cause)
        self.world.entries.append(Entry(cause, self.operations.fresh))
        self.operations.recorded.extend(self.operations.fresh)
        self.operations.fresh = []
        self._commit()
        return end

    def _commit(self) -> None:
        effects, self.operations.effects = self.operations.effects, []
        for effect in effects:
            effect()

    def deliver_next(self) -> AttemptEnd | None:
        """Deliver one of what has arrived, as the dice say."""
        return self._append(self.world.take_arrival())

    def lose_next(self) -> None:
        """Deliver one of what has arrived, and lose the process before its entry is committed."""
        world = self.world
        state = dict(world.state)
        cause = world.take_arrival()
        self._deliver(cause)
        world.state = state
        world.arrived.append(cause)


async def settle() -> None:
    """Let the tasks of steps run until they wait for the clock."""
    for _ in range(_SETTLE_TURNS):
        await asyncio.sleep(0)


async def next_arrival(world: World) -> bool:
    """Go on in virtual time until something arrives; False when nothing ever will."""
    await settle()
    while not world.arrived:
        due_ms = world.clock.next_ms()
        if due_ms is None:
            return False
        world.clock.step_to(due_ms)
        await settle()
    return True


async def crash(world: World) -> None:
    """Lose the process: steps die without a result; what was committed stays."""
    for task in list(world.steps.values()):
        task.cancel()
    arrived_before = len(world.arrived)
    for task in list(world.steps.values()):
        await asyncio.gather(task, return_exceptions=True)
    for completion in world.arrived[arrived_before:]:
        assert isinstance(completion, Completion)
        world.settled.discard(completion.handle)
    del world.arrived[arrived_before:]


async def run_to_end(
    world: World, *, crash_chance: float = 0.0, suspend_chance: float = 0.0, cancel_after: int | None = None
) -> AttemptEnd:
    """Run the invocation to its end, with crashes and suspensions between deliveries as the dice say."""
    host = Host(world)
    end = host.replay()
    while end is None:
        if cancel_after is not None and len(world.entries) >= cancel_after:
            cancel_after = None
            world.cancel()
        if not await next_arrival(world):
            raise AssertionError(f"nothing will ever arrive; awaited: {list(host.attempt.awaited())}")
        chance = world.dice.random()
        if chance < crash_chance + suspend_chance:
            lost = chance < crash_chance / 2
            if lost:
                host.lose_next()
            host.attempt.close()
            if chance < crash_chance:
                await crash(world)
            host = Host(world)
            end = host.replay()
            assert end is None, f"the replay ended: {end}"
            if not world.arrived:
                continue
        end = host.deliver_next()
    return end
