"""How a side talks to the benchmark that started it: JSON lines on its standard input and output."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, TextIO, TypeAlias

Facts: TypeAlias = dict[str, Any]
"""What a side tells: JSON values by name."""

Commands: TypeAlias = Mapping[str, Callable[..., Awaitable[Facts]]]
"""What a side can do, by name; the arguments are the other fields of the request."""


def claim_stdout() -> TextIO:
    """Keep the standard output for replies; what libraries print goes to the log."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return replies


async def answer_requests(side: AbstractAsyncContextManager[Commands], replies: TextIO) -> None:
    """Answer requests while the side is open, until standard input ends."""
    async with side as commands:
        replies.write(json.dumps({"ready": True}) + "\n")
        while line := await asyncio.to_thread(sys.stdin.readline):
            request = json.loads(line)
            facts = await commands[request.pop("do")](**request)
            replies.write(json.dumps(facts) + "\n")


async def at_once(count: int, seconds: float, one: Callable[[], Awaitable[int]]) -> Facts:
    """Repeat `one` in `count` tasks, and count for some seconds once all of them have come round.

    Returns:
        `count`, what the calls of `one` that ended in that time returned in sum; `elapsed_s`; and `cpu_s`, the
        processor time that this process used.
    """
    loop = asyncio.get_running_loop()
    done = 0
    warming_count = count
    warm = asyncio.Event()
    over = False

    async def repeat() -> None:
        nonlocal done, warming_count
        await one()
        warming_count -= 1
        if not warming_count:
            warm.set()
        while not over:
            got = await one()  # `done += await ...` would read `done` before the wait
            done += got

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(repeat())
        await warm.wait()
        before, start, start_cpu_s = done, loop.time(), time.process_time()
        await asyncio.sleep(seconds)
        counted, elapsed_s, cpu_s = done - before, loop.time() - start, time.process_time() - start_cpu_s
        over = True
    return {"count": counted, "elapsed_s": elapsed_s, "cpu_s": cpu_s}
