"""What people do to invocations: cancel, kill, pause, resume, restart, purge, and changes of state."""

from __future__ import annotations

import asyncio

import pytest

from restate_patterns.engine.errors import (
    CancelRefused,
    InvocationCompleted,
    InvocationNotCompleted,
    MalformedId,
)
from restate_patterns.engine.interface import CancelOutcome, InvocationFilter, InvocationStatus
from restate_patterns.errors import InvocationNotFound
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.options import Step
from restate_patterns.seam import ValueOrFailure
from tests.support.engines.engines import Functions, bench, bounded, request
from tests.support.engines.small_handlers import SECOND, app, drive, effects, nothing


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


def test_cancel_of_what_has_not_started_leavesnothing_behind() -> None:
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


def test_kill_runsnothing_and_takes_child_calls_along() -> None:
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
            await a.run(Step("first" if not effects else "second"), b"", nothing)
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
            line = work.__code__.co_firstlineno + 2
            assert f" at {__file__}:{line} in work. " in (view.last_failure or "")
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
                await b.engine.complete_awakeable(old.decode(), ValueOrFailure(b"old", None))
            await b.engine.complete_awakeable(new.decode(), ValueOrFailure(b"new", None))
            assert await caller == b"new"

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
            await b.engine.complete_awakeable(awakeable.decode(), ValueOrFailure(b"", None))
            await bounded(change)
            assert await after == b"1"
            assert (await b.engine.result(holder)).failure is None

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
