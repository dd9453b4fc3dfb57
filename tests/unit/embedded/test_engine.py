"""The engine on small handlers: answers, order, timers, keys, idempotency, verbs, restarts."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from restate_patterns.embedded.store import Store
from restate_patterns.engine_errors import (
    CancelRefused,
    InvocationCompleted,
    InvocationNotCompleted,
    MalformedId,
    WorkflowAlreadyInvoked,
)
from restate_patterns.engine_port import CancelOutcome, InvocationFilter, InvocationStatus
from restate_patterns.errors import InvocationNotFound, TerminalError
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.options import RetryPolicy, Step
from restate_patterns.seam import StepResult, WorkflowRef
from tests.support.engines import Functions, bench, bounded, request

SECOND = timedelta(seconds=1)
app = Functions()
effects: list[str] = []


@app.handler("S/echo")
async def echo(a: DurableAttempt) -> bytes:
    return a.invocation.body


@app.handler("S/steps")
async def steps(a: DurableAttempt) -> bytes:
    async def act(name: str) -> bytes:
        effects.append(name)
        return name.encode()

    found = [await a.run(Step(name), b"", lambda name=name: act(name)) for name in ("a", "b", "c")]  # type: ignore[misc] # mypy can't infer a lambda's default
    return b"".join(found)


@app.handler("S/sleep")
async def sleep(a: DurableAttempt) -> bytes:
    await asyncio.sleep(float(a.invocation.body or b"10"))
    return b"slept"


@app.handler("S/fail")
async def fail(a: DurableAttempt) -> bytes:
    raise TerminalError("no", code=418)


@app.handler("S/flaky", retry=RetryPolicy(initial=SECOND, max_attempts=3))
async def flaky(a: DurableAttempt) -> bytes:
    effects.append("try")
    if len(effects) < int(a.invocation.body):
        raise ValueError(f"try {len(effects)}")
    return b"done"


@app.handler("S/call")
async def call(a: DurableAttempt) -> bytes:
    return await a.call(request(a.invocation.body.decode()), None)


@app.exclusive("O/add")
async def add(a: DurableAttempt) -> bytes:
    count = int(await a.get_state("count") or b"0") + 1
    await a.run(Step("work"), b"", _nothing)
    a.set_state("count", b"%d" % count)
    return b"%d" % count


async def _nothing() -> bytes:
    await asyncio.sleep(0)
    return b""


@app.exclusive("O/hold")
async def hold(a: DurableAttempt) -> bytes:
    awakeable_id, answer = a.awakeable()
    a.set_state("awakeable", awakeable_id.encode())
    return await answer


@app.shared("O/state")
async def state(a: DurableAttempt) -> bytes:
    return await a.get_state(a.invocation.body.decode()) or b"none"


@app.exclusive("O/call")
async def object_call(a: DurableAttempt) -> bytes:
    return await a.call(request(a.invocation.body.decode(), a.invocation.body), None)


@app.exclusive("O/compensate")
async def compensate(a: DurableAttempt) -> bytes:
    try:
        await asyncio.sleep(100)
    except TerminalError as error:
        await a.call(request("S/echo", b"undo"), None)
        a.set_state("undone", error.message.encode())
        raise
    return b""


@app.workflow("W")
async def run(a: DurableAttempt) -> bytes:
    effects.append("run")
    value = await a.promise_value("go")
    a.set_state("ended", value)
    return value


@app.shared("W/go")
async def go(a: DurableAttempt) -> bytes:
    await a.promise_complete("go", StepResult(a.invocation.body, None))
    return b"ok"


@app.shared("W/peek")
async def peek(a: DurableAttempt) -> bytes:
    return await a.promise_peek("go") or b"nothing"


@pytest.fixture(autouse=True)
def _no_effects() -> None:
    effects.clear()


def drive(test: object) -> None:
    asyncio.run(bounded(test))  # type: ignore[arg-type] # each is a coroutine


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
            await b.engine.complete_awakeable(awakeable.decode(), StepResult(b"free", None))
            await b.engine.complete_awakeable(awakeable.decode(), StepResult(b"again", None))
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


def test_retries_back_off_and_then_pause_for_a_person() -> None:
    async def test() -> None:
        async with bench(app) as b:
            assert_soon = asyncio.ensure_future(b.call("S/flaky", b"3"))
            await b.advance(3 * SECOND)
            assert await assert_soon == b"done"
            effects.clear()
            stuck = await b.send("S/flaky", b"5")
            await b.advance(10 * SECOND)
            view = (await b.engine.describe_invocation(stuck)).view
            assert view.status is InvocationStatus.PAUSED
            assert view.last_failure == "ValueError: try 3"
            await b.restart()
            await b.engine.resume(stuck)
            await b.advance(10 * SECOND)
            assert (await b.engine.result(stuck)).value == b"done"

    drive(test())


@pytest.mark.parametrize("timeout_ms", [0, 60_000])
def test_cancel_lets_the_handler_undo(timeout_ms: int) -> None:
    async def test() -> None:
        async with bench(app, timeout_ms=timeout_ms) as b:
            running = await b.send("O/k/compensate")
            await b.settle()
            assert await b.engine.cancel(running) is CancelOutcome.RUNNING
            result = await b.engine.result(running)
            assert result.failure is not None
            assert (result.failure.code, result.failure.message) == (409, "cancelled")
            assert await b.engine.get_state("O", "k") == {"undone": b"cancelled"}
            with pytest.raises(InvocationCompleted):
                await b.engine.cancel(running)

    drive(test())


def test_cancel_of_what_has_not_started_leaves_nothing_behind() -> None:
    async def test() -> None:
        async with bench(app) as b:
            later = await b.send("S/echo", delay_ms=1000)
            assert await b.engine.cancel(later) is CancelOutcome.REMOVED
            with pytest.raises(InvocationNotFound):
                await b.engine.output(later)
            await b.send("O/k/hold")
            parent = asyncio.ensure_future(b.call("S/call", b"O/k/add"))
            await b.settle()
            queued = next(
                view
                for view in await b.engine.list_invocations(InvocationFilter(service="O"), limit=10)
                if view.status is InvocationStatus.QUEUED
            )
            await b.engine.cancel(queued.id)
            with pytest.raises(AssertionError, match="409 cancelled"):
                await parent

    drive(test())


def test_kill_runs_nothing_and_takes_child_calls_along() -> None:
    async def test() -> None:
        async with bench(app) as b:
            parent = await b.send("S/call", b"O/k/compensate")
            await b.settle()
            await b.engine.kill(parent)
            result = await b.engine.result(parent)
            assert result.failure is not None
            assert result.failure.message == "killed"
            await b.settle()
            assert await b.engine.get_state("O", "k") == {}
            assert await b.call("O/k/add") == b"1"

    drive(test())


def test_pause_resume_restart_purge() -> None:
    async def test() -> None:
        async with bench(app) as b:
            running = await b.send("S/sleep", b"5")
            await b.settle()
            await b.engine.pause(running)
            await b.advance(10 * SECOND)
            assert (await b.engine.output(running)) is None
            await b.engine.resume(running)
            assert (await b.engine.result(running)).value == b"slept"
            again = await b.engine.restart_as_new(running)
            assert again != running
            with pytest.raises(InvocationNotCompleted):
                await b.engine.purge(again)
            await b.advance(6 * SECOND)
            await b.engine.purge(again)
            await b.engine.purge(running)
            for gone in (running, again):
                with pytest.raises(InvocationNotFound):
                    await b.engine.output(gone)
            with pytest.raises(MalformedId):
                await b.engine.output("inv_x")

    drive(test())


def test_rule_16_a_mismatch_pauses_and_cancel_is_refused() -> None:
    async def test() -> None:
        changed = Functions()

        @changed.exclusive("O/work")
        async def work(a: DurableAttempt) -> bytes:
            await a.run(Step("first" if not effects else "second"), b"", _nothing)
            await asyncio.sleep(10)
            return b"done"

        async with bench(changed) as b:
            running = await b.send("O/k/work")
            await b.settle()
            effects.append("the code changes")
            await b.restart()
            await b.settle()
            view = (await b.engine.describe_invocation(running)).view
            assert view.status is InvocationStatus.PAUSED
            assert "the journal has run 'first', the code asks for run 'second'" in (view.last_failure or "")
            with pytest.raises(CancelRefused, match="old code"):
                await b.engine.cancel(running)
            queued = await b.send("O/k/work")
            await b.settle()
            assert "which is paused" in (await b.engine.describe_invocation(queued)).view.waits_for[0]
            effects.clear()
            await b.engine.resume(running)
            await b.advance(10 * SECOND)
            assert (await b.engine.result(running)).value == b"done"

    drive(test())


def test_a_paused_invocation_restarts_in_its_place() -> None:
    async def test() -> None:
        async with bench(app) as b:
            caller = asyncio.ensure_future(b.call("S/call", b"O/k/hold"))
            await b.settle()
            (view,) = await b.engine.list_invocations(InvocationFilter(handler="hold"), limit=5)
            old = await b.call("O/k/state", b"awakeable")
            await b.engine.pause(view.id)
            assert await b.engine.restart_as_new(view.id) == view.id
            await b.settle()
            new = await b.call("O/k/state", b"awakeable")
            assert new != old
            with pytest.raises(InvocationNotFound):
                await b.engine.complete_awakeable(old.decode(), StepResult(b"old", None))
            await b.engine.complete_awakeable(new.decode(), StepResult(b"new", None))
            assert await caller == b"new"

    drive(test())


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


def test_admin_state_changes_wait_for_the_keys_turn() -> None:
    async def test() -> None:
        async with bench(app) as b:
            await b.engine.set_state("O", "k", {"count": b"41"})
            assert await b.call("O/k/add") == b"42"
            holder = await b.send("O/k/hold")
            awakeable = await b.call("O/k/state", b"awakeable")
            change = asyncio.ensure_future(b.engine.clear_state("O", "k"))
            after = asyncio.ensure_future(b.call("O/k/add"))
            await b.settle()
            assert not change.done()
            await b.engine.complete_awakeable(awakeable.decode(), StepResult(b"", None))
            await bounded(change)
            assert await after == b"1"
            assert (await b.engine.result(holder)).failure is None

    drive(test())


def test_a_store_survives_many_restarts(tmp_path: object) -> None:
    async def test() -> None:
        async with bench(app, file=tmp_path / "e.db") as b:  # type: ignore[operator] # a Path
            for n in range(1, 6):
                assert await b.call("O/k/add") == b"%d" % n
                await b.restart()
            assert isinstance(b.store, Store)

    drive(test())


def test_rule_14_a_cancel_reaches_child_calls_but_not_joined_ones() -> None:
    async def test() -> None:
        joined = Functions()

        @joined.handler("S/work")
        async def work(a: DurableAttempt) -> bytes:
            await asyncio.sleep(10)
            return b"worked"

        @joined.handler("S/parent")
        async def parent(a: DurableAttempt) -> bytes:
            return await a.call(request("S/work", idempotency_key=a.invocation.body.decode() or None), None)

        async with bench(joined) as b:
            shared = asyncio.ensure_future(b.call("S/work", idempotency_key="shared"))
            await b.settle()
            parents = [await b.send("S/parent", body) for body in (b"shared", b"")]
            await b.settle()
            for invocation in parents:
                await b.engine.cancel(invocation)
            for invocation in parents:
                failure = (await b.engine.result(invocation)).failure
                assert failure is not None
                assert failure.message == "cancelled"
            chosen = InvocationFilter(handler="work", statuses=frozenset({InvocationStatus.COMPLETED}))
            await b.settle()
            (own,) = await b.engine.list_invocations(chosen, limit=5)
            assert own.failure is not None
            assert own.failure.message == "cancelled"
            await b.advance(10 * SECOND)
            assert await shared == b"worked"

    drive(test())


def test_rule_15_what_a_killed_invocation_sent_survives() -> None:
    async def test() -> None:
        sending = Functions()

        @sending.handler("S/work")
        async def work(a: DurableAttempt) -> bytes:
            await asyncio.sleep(10)
            effects.append("worked")
            return b""

        @sending.handler("S/parent")
        async def parent(a: DurableAttempt) -> bytes:
            await a.send(request("S/work"), 0)
            await a.send(request("S/work"), 5000)
            await asyncio.sleep(100)
            return b""

        async with bench(sending) as b:
            invocation = await b.send("S/parent")
            await b.settle()
            await b.engine.kill(invocation)
            await b.advance(20 * SECOND)
            assert effects == ["worked", "worked"]

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
