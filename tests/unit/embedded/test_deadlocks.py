"""Rule 27: who waits for whom, and what is dead."""

from __future__ import annotations

import asyncio

import pytest

from restate_patterns.engine.interface import InvocationFilter, InvocationStatus
from restate_patterns.execution.attempt import DurableAttempt
from tests.support.engines.engines import Functions, bench, request
from tests.support.engines.small_handlers import SECOND, app, drive


def test_deadlocks_fail_at_once_and_print_the_cycle() -> None:
    async def test() -> None:
        ring = Functions()

        @ring.exclusive("O/next")
        async def next_one(a: DurableAttempt) -> bytes:
            size = int(a.invocation.body)
            key = (int(a.invocation.target.key or "0") + 1) % size
            return await a.call(request(f"O/{key}/next", a.invocation.body), None)

        for timeout_ms in (0, 60_000):
            async with bench(ring, timeout_ms=timeout_ms) as b:
                for size in (1, 2, 6):
                    cycle = [f"O/{n % size}/next" for n in range(size + 1)]
                    with pytest.raises(AssertionError, match="409 deadlock") as caught:
                        await b.call("O/0/next", b"%d" % size)
                    sentence = str(caught.value)
                    assert all(name in sentence for name in cycle)
                    await b.settle()
                assert not [
                    view
                    for view in await b.engine.list_invocations(InvocationFilter(), limit=100)
                    if view.status is not InvocationStatus.COMPLETED
                ]

    drive(test())


def test_rule_27_a_holder_that_is_paused_or_backs_off_is_no_deadlock() -> None:
    async def test() -> None:
        async with bench(app) as b:
            holder = await b.send("O/k/hold")
            await b.settle()
            await b.engine.pause(holder)
            waiting = asyncio.ensure_future(b.call("O/other/call", b"O/k/add"))
            await b.settle()
            assert not waiting.done()
            chosen = InvocationFilter(key="k", statuses=frozenset({InvocationStatus.QUEUED}))
            (view,) = await b.engine.list_invocations(chosen, limit=5)
            assert "which is paused" in view.waits_for[0]
            await b.engine.kill(holder)
            assert await waiting == b"1"

    drive(test())


def test_rule_27_a_call_under_a_timeout_is_no_deadlock() -> None:
    async def test() -> None:
        timed = Functions()

        @timed.exclusive("O/self")
        async def self_call(a: DurableAttempt) -> bytes:
            try:
                return await a.call(request("O/k/self"), 1.0)
            except TimeoutError:
                return b"timed out"

        async with bench(timed) as b:
            calling = asyncio.ensure_future(b.call("O/k/self"))
            await b.settle()
            assert not calling.done(), "the timeout can still help"
            await b.advance(SECOND)
            assert await calling == b"timed out"

    drive(test())


def test_rule_27_a_cycle_through_a_service_or_an_attach_is_a_deadlock() -> None:
    async def test() -> None:
        cyclic = Functions()

        @cyclic.handler("S/back")
        async def back(a: DurableAttempt) -> bytes:
            return await a.call(request("O/k/through"), None)

        @cyclic.exclusive("O/through")
        async def through(a: DurableAttempt) -> bytes:
            return await a.call(request("S/back"), None)

        @cyclic.handler("S/attach")
        async def attach(a: DurableAttempt) -> bytes:
            return await a.attach(a.invocation.id, None)

        for timeout_ms in (0, 60_000):
            async with bench(cyclic, timeout_ms=timeout_ms) as b:
                for path in ("O/k/through", "S/attach"):
                    with pytest.raises(AssertionError, match="409 deadlock"):
                        await b.call(path)

    drive(test())
