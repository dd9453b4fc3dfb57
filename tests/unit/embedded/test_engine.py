"""The engine on small handlers: answers, order, timers, keys, idempotency, workflows, restarts."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from datetime import timedelta

import pytest

from restate_patterns.embedded.store import Store
from restate_patterns.engine.errors import (
    WorkflowAlreadyInvoked,
)
from restate_patterns.engine.interface import InvocationFilter, InvocationStatus
from restate_patterns.errors import InvocationNotFound
from restate_patterns.seam import ValueOrFailure, WorkflowRef
from restate_patterns.testing.clock import VirtualClock
from tests.support.engines.engines import bench, request
from tests.support.engines.small_handlers import SECOND, app, drive, effects


@pytest.mark.parametrize("timeout_ms", [0, 60_000])
def test_calls_steps_and_failures(timeout_ms: int) -> None:
    async def test() -> None:
        async with bench(app, timeout_ms=timeout_ms) as b:
            assert await b.call("S/echo", b"hi") == b"hi"
            assert await b.call("S/steps") == b"abc"
            assert effects == ["a", "b", "c"]
            assert await b.call("S/call", b"S/steps") == b"abc"
            result = await b.engine.call(request("S/fail"))
            assert result.failure is not None
            assert (result.failure.code, result.failure.message) == (418, "no")
            with pytest.raises(AssertionError, match="418 no"):
                await b.call("S/call", b"S/fail")
            with pytest.raises(AssertionError, match="404 service 'X' not found"):
                await b.call("S/call", b"X/y")

    drive(test())


@pytest.mark.parametrize("timeout_ms", [0, 60_000])
def test_timers_fire_at_their_time_also_over_a_restart(timeout_ms: int) -> None:
    async def test() -> None:
        async with bench(app, timeout_ms=timeout_ms) as b:
            ids = [await b.send("S/sleep", b"%d" % seconds) for seconds in (5, 10, 20)]
            await b.advance(6 * SECOND)
            assert (await b.engine.output(ids[0])) is not None
            assert (await b.engine.output(ids[1])) is None
            await b.restart()
            await b.advance(4 * SECOND)
            assert (await b.engine.output(ids[1])) is not None
            assert (await b.engine.output(ids[2])) is None
            await b.engine.crash()
            b.clock.step_to(b.clock.monotonic_ms() + 3_600_000)
            await b.restart()
            await b.settle()
            assert (await b.engine.output(ids[2])) is not None

    drive(test())


def test_a_delayed_send_says_when_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that goes on between any two looks at it."""
    ticks = itertools.count(1_893_456_000_000)
    monkeypatch.setattr(VirtualClock, "wall_ms", lambda _: next(ticks))

    async def test() -> None:
        async with bench(app) as b:
            sent = await b.engine.submit(request("O/k/add"), 5000)
            found = await b.engine.describe_invocation(sent.invocation_id)
            assert sent.execution_time_ms == found.view.scheduled_ms

    drive(test())


def test_a_delayed_send_that_is_repeated_says_when_the_first_one_starts() -> None:
    """Also after a restart, whatever delay it comes with, until that time has come."""

    async def test() -> None:
        async with bench(app) as b:
            keyed = replace(request("O/k/add"), idempotency_key="i")
            first = await b.engine.submit(keyed, 5000)
            await b.advance(SECOND)
            again = first._replace(previously=True)
            assert await b.engine.submit(keyed, 90_000) == again
            assert await b.engine.submit(keyed, None) == again
            await b.restart()
            assert await b.engine.submit(keyed, None) == again
            await b.advance(5 * SECOND)
            assert (await b.engine.submit(keyed, 5000)).execution_time_ms is None

    drive(test())


def test_delayed_sends_take_their_place_when_due() -> None:
    async def test() -> None:
        async with bench(app) as b:
            later = await b.send("O/k/add", delay_ms=5000)
            assert await b.call("O/k/add") == b"1"
            assert (await b.engine.output(later)) is None
            await b.restart()
            await b.advance(5 * SECOND)
            result = await b.engine.result(later)
            assert result.value == b"2"

    drive(test())


def test_single_writer_first_in_first_out() -> None:
    async def test() -> None:
        async with bench(app) as b:
            counts = await asyncio.gather(*(b.call("O/k/add") for _ in range(50)))
            assert counts == [b"%d" % n for n in range(1, 51)]

    drive(test())


def test_a_held_key_blocks_no_other_and_shared_handlers_run_beside_it() -> None:
    async def test() -> None:
        async with bench(app) as b:
            holder = await b.send("O/k/hold")
            queued = asyncio.ensure_future(b.call("O/k/add"))
            assert await b.call("O/other/add") == b"1"
            awakeable = await b.call("O/k/state", b"awakeable")
            assert not queued.done()
            chosen = InvocationFilter(key="k", statuses=frozenset({InvocationStatus.QUEUED}))
            (view,) = await b.engine.list_invocations(chosen, limit=10)
            assert "held by O/k/hold" in view.waits_for[0]
            await b.restart()
            await b.engine.complete_awakeable(awakeable.decode(), ValueOrFailure(b"free", None))
            await b.engine.complete_awakeable(awakeable.decode(), ValueOrFailure(b"again", None))
            assert (await b.engine.result(holder)).value == b"free"
            queued.cancel()
            await b.settle()
            assert await b.call("O/k/add") == b"2", "the queued call was accepted and ran after the restart"

    drive(test())


def test_idempotency_keys_join_and_replay() -> None:
    async def test() -> None:
        async with bench(app) as b:
            first = asyncio.ensure_future(b.call("O/k/add", idempotency_key="x"))
            assert await b.call("O/k/add", idempotency_key="x") == b"1"
            assert await first == b"1"
            await b.restart()
            assert await b.call("O/k/add", idempotency_key="x") == b"1"
            assert await b.call("O/k/add", idempotency_key="y") == b"2"
            await b.advance(timedelta(hours=25))
            assert await b.call("O/k/add", idempotency_key="x") == b"3"

    drive(test())


def test_workflows_run_once_and_promises_complete_once() -> None:
    async def test() -> None:
        async with bench(app) as b:
            assert await b.call("W/w/peek") == b"nothing"
            running = await b.send("W/w/run")
            with pytest.raises(WorkflowAlreadyInvoked):
                await b.engine.call(request("W/w/run"))
            await b.restart()
            assert await b.call("W/w/go", b"now") == b"ok"
            with pytest.raises(AssertionError, match="409 promise was already completed"):
                await b.call("W/w/go", b"again")
            assert (await b.engine.result(running)).value == b"now"
            assert (await b.engine.result(WorkflowRef("W", "w"))).value == b"now"
            await b.call("W/early/go", b"before")
            assert await b.call("W/early/run") == b"before"
            await b.advance(timedelta(hours=26))
            with pytest.raises(InvocationNotFound):
                await b.engine.result(WorkflowRef("W", "w"))
            assert await b.engine.get_state("W", "w") == {}
            assert await b.call("W/w/peek") == b"nothing"

    drive(test())


def test_rule_22_an_id_from_a_lost_tail_names_nothing() -> None:
    async def test() -> None:
        async with bench(app) as b:
            await b.call("S/echo")
            accepted = asyncio.ensure_future(b.engine.submit(request("S/echo"), None))
            await asyncio.sleep(0)
            lost = b.engine.core.records.in_memory()[-1].id
            await b.restart()
            accepted.cancel()
            await b.call("S/echo")
            with pytest.raises(InvocationNotFound):
                await b.engine.output(lost)

    drive(test())


def test_a_store_survives_many_restarts(tmp_path: object) -> None:
    async def test() -> None:
        async with bench(app, file=tmp_path / "e.db") as b:  # type: ignore[operator] # a Path
            for n in range(1, 6):
                assert await b.call("O/k/add") == b"%d" % n
                await b.restart()
            assert isinstance(b.store, Store)

    drive(test())
