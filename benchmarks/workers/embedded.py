"""This framework on its embedded engine, called in process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.workers.embedded_services import STEPS, Bench, app
from benchmarks.workers.protocol import Commands, Facts, at_once
from restate_patterns import Embedded

SEQUENTIAL_STEPS = 50
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_mb() -> float:
    """Give the memory of this process that is in RAM."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * PAGE_BYTES / 2**20


@dataclass(frozen=True, slots=True)
class EmbeddedSide:
    """What can be asked of a running engine; each public coroutine is a command."""

    bench: Bench

    async def steps(self, concurrency: int, seconds: float) -> Facts:
        """Count durable steps of concurrent invocations."""
        return await at_once(concurrency, seconds, self._five)

    async def _five(self) -> int:
        await self.bench.five()
        return STEPS

    async def sequential(self, seconds: float) -> Facts:
        """Count durable steps, each after the other."""
        return await at_once(1, seconds, self._many)

    async def _many(self) -> int:
        return await self.bench.many(SEQUENTIAL_STEPS)

    async def noop(self) -> Facts:
        """Call the handler that does nothing."""
        await self.bench.noop()
        return {}

    async def memory(self) -> Facts:
        """Say how much memory is in RAM."""
        return {"resident_mb": resident_mb()}

    async def gather(self, count: int) -> Facts:
        """Make so many calls in one handler, all at once."""
        return await self._calls(self.bench.gather, count)

    async def fan_out(self, count: int) -> Facts:
        """Make so many calls in one handler, a window at a time."""
        return await self._calls(self.bench.fan_out, count)

    async def pages(self, count: int) -> Facts:
        """Make so many calls, in pages."""
        return await self._calls(self.bench.pages, count)

    async def _calls(self, fan_out: Callable[[int], Awaitable[int]], count: int) -> Facts:
        start = time.perf_counter()
        total = await fan_out(count)
        if total != count * (count - 1):
            raise AssertionError(f"the fan-out of {count} calls came to {total}")
        return {"elapsed_s": time.perf_counter() - start, "resident_mb": resident_mb()}

    async def suspend(self, count: int, at_a_time: int) -> Facts:
        """Send so many invocations that suspend, and wait until they have."""
        start, slept_before = time.perf_counter(), Bench.slept_count
        left = iter(range(count))

        async def send() -> None:
            for _ in left:
                await self.bench.sleep_long.send()

        async with asyncio.TaskGroup() as group:
            for _ in range(at_a_time):
                group.create_task(send())
        while Bench.slept_count < slept_before + count:  # noqa: ASYNC110  the handlers know no event of ours
            await asyncio.sleep(0.01)
        await self.noop()  # answered when all that came before it is durable
        return {"elapsed_s": time.perf_counter() - start}


@contextlib.asynccontextmanager
async def side(file: str = "embedded.db") -> AsyncIterator[Commands]:
    """Run the engine on a file and serve every command that a row needs."""
    async with app.start(Embedded(file)) as client:
        asked = EmbeddedSide(client.service_client(Bench))
        commands: list[Any] = [
            asked.steps,
            asked.sequential,
            asked.noop,
            asked.memory,
            asked.gather,
            asked.fan_out,
            asked.pages,
            asked.suspend,
        ]
        yield {command.__name__: command for command in commands}
