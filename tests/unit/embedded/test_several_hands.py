"""Two people, or a person and a timer, act on one invocation at the same moment."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from typing_extensions import override

from restate_patterns.engine.errors import WorkflowAlreadyInvoked
from restate_patterns.engine.interface import InvocationFilter, InvocationStatus
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.options import Step
from restate_patterns.retries import RetryPolicy
from restate_patterns.seam import Attempt, Invocation, Operations, Request, Target, ValueOrFailure
from tests.support.engines.engines import Functions, bench, bounded, request

SECOND = timedelta(seconds=1)
NO_UNICODE = "caf\udce9"
app = Functions()


@app.handler("S/sleep")
async def sleep(a: DurableAttempt) -> bytes:
    await asyncio.sleep(float(a.invocation.body))
    return b"slept"


@app.handler("S/call_twice")
async def call_twice(a: DurableAttempt) -> bytes:
    work = request("S/sleep", b"100", idempotency_key="the same")
    return b"".join(await asyncio.gather(a.call(work, None), a.call(work, None)))


@app.handler("S/nest")
async def nest(a: DurableAttempt) -> bytes:
    depth = int(a.invocation.body)
    return await a.call(request("S/nest", b"%d" % (depth - 1)) if depth else request("S/sleep", b"1000"), None)


@app.handler("S/fail_at_file")
async def fail_at_file(a: DurableAttempt) -> bytes:
    raise FileNotFoundError(NO_UNICODE)


@app.handler("S/fail_once")
async def fail_once(a: DurableAttempt) -> bytes:
    tries = 0

    async def act() -> bytes:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ValueError
        return b"done"

    return await a.run(Step("act"), b"", act)


@app.handler("S/badly_named_step")
async def badly_named_step(a: DurableAttempt) -> bytes:
    async def act() -> bytes:
        return b""

    return await a.run(Step(NO_UNICODE), b"", act)


@app.workflow("W")
async def run(a: DurableAttempt) -> bytes:
    a.set_state("run", a.invocation.id.encode())
    await asyncio.sleep(10)
    return b""


@app.shared("W/promise")
async def promise(a: DurableAttempt) -> bytes:
    await a.promise_complete("early", ValueOrFailure(b"1", None))
    return b""


@app.handler("S/fail_beside_a_step", retry=RetryPolicy(max_attempts=1, then="fail"))
async def fail_beside_a_step(a: DurableAttempt) -> bytes:
    async def act() -> bytes:
        await asyncio.Event().wait()
        return b""

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError

    await asyncio.gather(a.run(Step("act"), b"", act), fail())
    return b""


@app.exclusive("O/hold")
async def hold(a: DurableAttempt) -> bytes:
    _, answer = a.awakeable()
    return await answer


def test_an_invocation_whose_timer_fires_as_it_becomes_idle_long_enough_goes_on() -> None:
    async def test() -> None:
        async with bench(app, timeout_ms=60_000) as b:
            running = await b.send("S/sleep", b"60")
            await b.settle()
            now_ms = b.clock.monotonic_ms()
            while b.clock.step_to(now_ms + 60_000):
                pass  # both alarms in one turn of the loop
            await b.settle()
            result = await b.engine.output(running)
            assert result is not None
            assert result.value == b"slept"

    asyncio.run(bounded(test()))


def test_steps_that_are_tried_again_in_the_same_millisecond_are_all_tried() -> None:
    async def test() -> None:
        async with bench(app) as b:
            calls = [asyncio.ensure_future(b.call("S/fail_once", b"%d" % number)) for number in range(3)]
            await b.advance(10 * SECOND)
            assert [await call for call in calls] == [b"done"] * 3

    asyncio.run(bounded(test()))


def test_what_fails_for_good_stops_its_steps() -> None:
    async def test() -> None:
        async with bench(app) as b:
            result = await b.engine.call(request("S/fail_beside_a_step"))
            assert result.failure is not None
            await b.settle()
            assert not b.engine.core.steps.any_running()
            assert b.engine.core.records.in_memory() == []

    asyncio.run(bounded(test()))


def test_promises_expire_when_the_run_they_were_kept_for_was_taken_back() -> None:
    async def test() -> None:
        async with bench(app) as b:
            await b.call("W/w/promise")
            later = await b.send("W/w/run", b"", 1000)
            assert b.store.read("SELECT expires_ms FROM promise") == [(None,)]
            await b.engine.cancel(later)
            await b.advance(timedelta(hours=25))
            assert b.store.read("SELECT * FROM promise") == []

    asyncio.run(bounded(test()))


def test_the_journal_of_what_has_just_ended_is_complete(tmp_path: Path) -> None:
    async def test() -> None:
        async with bench(app, file=tmp_path / "e.db") as b:
            running = await b.send("S/sleep", b"1000")
            _, detail = await asyncio.gather(b.engine.kill(running), b.engine.describe_invocation(running))
            assert [entry.kind for entry in detail.journal] == ["sleep"]

    asyncio.run(bounded(test()))


def test_one_invocation_that_breaks_the_engines_turn_does_not_hold_up_the_others() -> None:
    class Broken(Functions):
        @override
        def attempt(self, invocation: Invocation, operations: Operations) -> Attempt:
            if invocation.target.handler == "break":
                raise RuntimeError("no attempt can be made")
            return super().attempt(invocation, operations)

    broken = Broken()
    broken.handler("S/break")(sleep)
    broken.handler("S/sleep")(sleep)

    async def test() -> None:
        async with bench(broken) as b:
            asked = [b.engine.submit(request(f"S/{name}", b"0"), None) for name in ("break", "sleep")]
            bad, good = await asyncio.gather(*asked)
            assert (await b.engine.result(good.invocation_id)).value == b"slept"
            view = (await b.engine.describe_invocation(bad.invocation_id)).view
            assert view.status is InvocationStatus.PAUSED
            assert "RuntimeError: no attempt can be made" in (view.last_failure or "")

    asyncio.run(bounded(test()))


def test_kill_takes_a_child_that_was_called_twice_and_deep_ones() -> None:
    async def test() -> None:
        async with bench(app) as b:
            for parent in (await b.send("S/call_twice"), await b.send("S/nest", b"1200")):
                await b.settle()
                await b.engine.kill(parent)
            await b.settle()
            alive = b.store.read("SELECT count(*) FROM invocation WHERE status < 6")
            assert alive == [(0,)]

    asyncio.run(bounded(test()))


def test_a_purge_in_the_batch_of_its_invocation_leaves_nothing_and_its_number_unused() -> None:
    async def test() -> None:
        async with bench(app) as b:
            accepted = asyncio.ensure_future(b.engine.submit(request("S/sleep", b"1000"), None))
            await asyncio.sleep(0)
            (record,) = b.engine.core.records.in_memory()
            await asyncio.gather(b.engine.kill(record.id), b.engine.purge(record.id))
            await accepted
            await b.settle()
            for table in ("invocation", "journal", "timer", "step", "waiter"):
                assert b.store.read(f"SELECT * FROM {table}") == [], table
            await b.restart()
            await b.send("S/sleep", b"1")
            assert b.store.read("SELECT num FROM invocation") == [(record.num + 1,)]

    asyncio.run(bounded(test()))


def test_a_workflow_started_again_is_not_disturbed_by_its_earlier_run() -> None:
    async def test() -> None:
        async with bench(app) as b:
            first = await b.send("W/w/run")
            await b.advance(11 * SECOND)
            second = await b.engine.restart_as_new(first)
            await b.advance(1 * SECOND)
            with pytest.raises(WorkflowAlreadyInvoked) as refused:
                await b.engine.restart_as_new(first)
            assert refused.value.subject == second
            await b.engine.purge(first)
            assert await b.engine.get_state("W", "w") == {"run": second.encode()}
            await b.advance(10 * SECOND)
            await b.engine.purge(second)
            assert await b.engine.get_state("W", "w") == {}

    asyncio.run(bounded(test()))


@pytest.mark.parametrize(
    ("path", "status"),
    [("S/fail_at_file", InvocationStatus.BACKING_OFF), ("S/badly_named_step", InvocationStatus.PAUSED)],
)
def test_text_that_no_file_can_hold_stops_nobody_else(path: str, status: InvocationStatus) -> None:
    async def test() -> None:
        async with bench(app) as b:
            failing = await b.send(path)
            await b.settle()
            view = (await b.engine.describe_invocation(failing)).view
            assert view.status is status
            assert "udce9" in (view.last_failure or "")
            for target in (Target("O", "hold", NO_UNICODE), Target(NO_UNICODE, "hold", "k")):
                with pytest.raises(UnicodeEncodeError):
                    await b.engine.submit(Request(target), None)
            with pytest.raises(UnicodeEncodeError):
                await b.engine.set_state("O", "k", {NO_UNICODE: b"1"})
            assert await b.call("S/sleep", b"0") == b"slept"

    asyncio.run(bounded(test()))


def test_an_endless_delay_is_stored() -> None:
    async def test() -> None:
        async with bench(app) as b:
            scheduled = await b.send("S/sleep", b"0", 10**19)
            (view,) = await b.engine.list_invocations(InvocationFilter(), limit=5)
            assert (view.id, view.status) == (scheduled, InvocationStatus.SCHEDULED)

    asyncio.run(bounded(test()))
