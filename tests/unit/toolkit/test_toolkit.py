"""What patterns stand on: each part alone, on an engine that suspends and replays at every wait."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from restate_patterns import (
    Context,
    InvocationNotFound,
    ObjectContext,
    ObjectSharedContext,
    Service,
    State,
    StepFailed,
    TerminalError,
    TimedOut,
    VirtualObject,
    handler,
)
from restate_patterns.errors import AttemptSealed
from restate_patterns.options import Step
from restate_patterns.retries import RetryPolicy
from restate_patterns.toolkit import (
    ATTEMPT_OVER,
    bound_step,
    break_off,
    callee,
    failure_name,
    handler_label,
    hosts,
    kept_for,
    leaves_of,
    must_be_awaited,
    must_not_end,
    number_in_attempt,
    service_name,
    stored_state,
    terminal,
    to_failure,
    to_the_end,
    wait_for_end,
    without_timeout,
)
from tests.support.engines.apps import RunningApp, running
from tests.support.engines.engines import bounded

T = TypeVar("T")

pytestmark = pytest.mark.anyio
events: list[str] = []


class Refused(TerminalError, code=403):
    """No."""


class Elsewhere(Service):
    """Hosted by nobody."""


class Numbers(VirtualObject):
    """Keeps one, to be looked at as it is stored."""

    value = State[int | None](default=None)

    @handler
    async def put(self, ctx: ObjectContext, value: int) -> int:
        self.value.set(ctx, value)
        return value

    @handler
    async def stored(self, ctx: ObjectSharedContext) -> str | None:
        found = await stored_state(ctx, "value")
        return None if found is None else found.decode()

    @handler
    async def refuse(self, ctx: ObjectContext) -> None:
        raise Refused


def note(what: str) -> str:
    events.append(what)
    return what


def fail(what: str) -> str:
    events.append(what)
    raise OSError(what)


class Patterns(Service, name="PatternsOnTheWire"):
    """Uses one part in each handler."""

    @handler
    async def names(self, ctx: Context) -> list[object]:
        first = number_in_attempt(ctx, "saga")
        await asyncio.sleep(1)
        numbers = [first, number_in_attempt(ctx, "saga"), number_in_attempt(ctx, "lease")]
        return [handler_label(ctx), service_name(ctx), hosts(ctx, Numbers), hosts(ctx, Elsewhere), *numbers]

    @handler
    async def breaks_off(self, ctx: Context) -> str:
        await ctx.run("begin", note, "begin")
        if len(events) < 2:
            events.append("broken off")
            break_off(ctx, OSError("gone"))
            await asyncio.sleep(1)
            events.append("went on")
        return "done"

    @handler
    async def ends_early(self, ctx: Context) -> str:
        must_not_end(ctx, "an undo is owed")
        return "done"

    @handler
    async def waits(self, ctx: Context, invocation_id: str) -> str:
        return (await wait_for_end(ctx, invocation_id)).decode()

    @handler
    async def forgets(self, ctx: Context) -> str:
        async def work() -> None: ...

        _ = must_be_awaited(ctx, work(), "lease.renew(...)")
        return "done"

    @handler
    async def hears(self, ctx: Context) -> list[str]:
        heard: list[str] = []
        step = bound_step(ctx, "step", note, ("done",), {})
        result = await step.run(heard.append)
        return [result, *heard, step.step.name, step.decode(b'"supplied"')]

    @handler
    async def gives_up(self, ctx: Context) -> str:
        once = Step("step", retry=RetryPolicy(max_attempts=2, then="fail", initial=timedelta(milliseconds=1)))
        step = bound_step(ctx, once, fail, ("tried",), {})
        try:
            await step.run()
        except StepFailed:
            return "gave up"
        return "?"

    @handler
    async def to_the_end(self, ctx: Context) -> list[str]:
        done: list[str] = []

        async def work() -> None:
            await asyncio.sleep(10)
            done.append("work")

        try:
            async with asyncio.timeout(1):
                await to_the_end(work())
        except TimeoutError:
            done.append("timeout")
        return done


async def ended(app: RunningApp, call: Coroutine[Any, Any, T]) -> T:
    """Let time pass until a call has ended."""
    task = asyncio.ensure_future(call)
    await app.bench.advance(timedelta(minutes=1))
    return await bounded(task)


@pytest.fixture(autouse=True)
def no_events() -> None:
    events.clear()


async def test_what_a_handler_is_and_hosts_is_the_same_on_each_replay() -> None:
    async with running(Patterns(), Numbers()) as app:
        names = app.client.service_client(Patterns).names
        expected = ["Patterns.names", "PatternsOnTheWire", True, False, 1, 2, 1]
        assert await ended(app, names()) == expected


async def test_an_attempt_that_is_broken_off_goes_no_further_and_is_made_again() -> None:
    async with running(Patterns()) as app:
        assert await ended(app, app.client.service_client(Patterns).breaks_off()) == "done"
    assert events == ["begin", "broken off"]


async def test_an_invocation_that_must_not_end_pauses_and_says_why() -> None:
    async with running(Patterns()) as app:
        handle = await app.client.service_client(Patterns).ends_early.send()
        assert "an undo is owed" in await app.pause_of(handle)


async def test_what_nobody_awaited_is_named() -> None:
    async with running(Patterns()) as app:
        handle = await app.client.service_client(Patterns).forgets.send()
        assert "lease.renew(...)" in await app.pause_of(handle)


async def test_a_state_is_read_as_it_is_stored() -> None:
    async with running(Numbers()) as app:
        numbers = app.client.object_client(Numbers, "k")
        assert await numbers.stored() is None
        await numbers.put(7)
        assert await numbers.stored() == "7"


async def test_the_end_of_any_invocation_can_be_waited_for() -> None:
    async with running(Patterns(), Numbers()) as app:
        numbers, waits = app.client.object_client(Numbers, "k"), app.client.service_client(Patterns).waits
        assert await waits((await numbers.put.send(7)).id) == "7"
        with pytest.raises(Refused):
            await waits((await numbers.refuse.send()).id)
        with pytest.raises(InvocationNotFound):
            await waits("inv_nothing")


async def test_a_bound_step_runs_later_and_tells_first_what_came_of_it() -> None:
    async with running(Patterns()) as app:
        patterns = app.client.service_client(Patterns)
        assert await ended(app, patterns.hears()) == ["done", "done", "step", "supplied"]
        assert await ended(app, patterns.gives_up()) == "gave up"
    assert events == ["done", "tried", "tried"]


async def test_what_is_run_to_the_end_outlives_a_timeout_around_it() -> None:
    async with running(Patterns()) as app:
        assert await ended(app, app.client.service_client(Patterns).to_the_end()) == ["work", "timeout"]


def test_which_errors_are_an_answer() -> None:
    assert terminal(OSError()) is None
    assert isinstance(terminal(TimeoutError()), TimedOut)
    group = ExceptionGroup("both", [Refused(), ExceptionGroup("inner", [TerminalError()])])
    assert isinstance(terminal(group), Refused)
    assert [type(leaf).__name__ for leaf in leaves_of(group)] == ["Refused", "TerminalError"]
    assert terminal(ExceptionGroup("one is not", [Refused(), OSError()])) is None
    assert issubclass(AttemptSealed, ATTEMPT_OVER)
    assert failure_name(to_failure(Refused())) == Refused.error_name
    assert failure_name(to_failure(TerminalError())) == "TerminalError"


async def test_what_is_known_of_a_callable() -> None:
    async with running(Numbers()) as app:
        put = app.client.object_client(Numbers, "k").put
        known = callee(put, {"on-behalf": "me"})
        assert (known.name, known.participant) == ("Numbers.put", "Numbers")
        assert await known.call(3) == 3
        assert known.codec.decode(b"3") == 3
        sent = callee(put.send, {})
        assert (sent.name, sent.participant) == ("Numbers.put.send", "Numbers")
        assert callee(asyncio.sleep, {}).participant is None
        assert kept_for(put, (4,), {}) == ((4,), {})
        plain, timeout_s = without_timeout(put.with_options(timeout=timedelta(seconds=2)))
        assert timeout_s == 2
        assert await plain(5) == 5
