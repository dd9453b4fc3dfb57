"""Timers over what memory holds: all fire, in order, also when thousands are due in the same millisecond."""

from __future__ import annotations

import asyncio
import random
import signal

import pytest

from restate_patterns.embedded import timers
from tests.support.engines.engines import bench, bounded
from tests.support.engines.small_handlers import SECOND, app


@pytest.mark.parametrize("spread_ms", [1, 7, 1000])
def test_more_timers_than_memory_holds_all_fire(spread_ms: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        monkeypatch.setattr(timers, "TIMERS_LOADED_MAX", 10)
        delays = random.Random(spread_ms)
        async with bench(app) as b:
            ids = [await b.send("S/echo", b"x", 5000 + delays.randrange(spread_ms)) for _ in range(100)]
            await b.settle()
            await b.advance(3 * SECOND)
            await b.restart()
            ids += [await b.send("S/echo", b"x", 2000 + delays.randrange(spread_ms)) for _ in range(50)]
            await b.advance(10 * SECOND)
            assert [invocation for invocation in ids if await b.engine.output(invocation) is None] == []

    signal.alarm(60)  # a loop that never ends can't be interrupted from inside it
    try:
        asyncio.run(bounded(test()))
    finally:
        signal.alarm(0)
