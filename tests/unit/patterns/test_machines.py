"""State machines: what the table says happens, and nothing else; tables that cannot work are refused when made."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import attrs
import pytest
from typing_extensions import override

from restate_patterns import (
    App,
    Context,
    DefinitionError,
    EventRefused,
    IllegalEvent,
    ObjectContext,
    ObjectSharedContext,
    Service,
    State,
    StateMachine,
    Status,
    TerminalError,
    UsageError,
    VirtualObject,
    handler,
)
from restate_patterns.engine.interface import InvocationFilter, InvocationStatus
from restate_patterns.patterns.machines.drawing import in_words
from restate_patterns.testing import TestEnvironment, at_every_crash_point, run_test
from tests.support.engines.apps import running

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

HOUR = timedelta(hours=1)


class S(enum.Enum):
    NEW = "new"
    DONE = "done"
    GONE = "gone"


class Color(enum.Enum):
    RED = "red"


class Refused(TerminalError, code=418):
    """No."""


class Parcel(StateMachine[S]):
    status = Status(S, initial=S.NEW, history=2)
    log = State[list[str]](default_factory=list)

    @status.on(S.NEW, to=S.DONE)
    @handler(name="sendIt")
    async def post(self, ctx: ObjectContext, word: str) -> str:
        await self.note(ctx, f"body {word}")
        if word == "no":
            raise Refused
        return word.upper()

    @post.guard
    async def is_short(self, ctx: ObjectSharedContext, word: str) -> bool:
        return len(word) < 5

    @status.on(S.DONE, to=S.NEW)
    async def back(self, ctx: ObjectContext) -> None: ...

    @status.after(HOUR, S.DONE, to=S.GONE)
    async def lose(self, ctx: ObjectContext) -> None:
        await self.note(ctx, "lost")

    @status.exit(S.NEW)
    async def leaves_new(self, ctx: ObjectContext) -> None:
        await self.note(ctx, "exit")

    @status.entry(S.DONE, S.GONE)
    async def arrives(self, ctx: ObjectContext) -> None:
        await self.note(ctx, "entry")

    async def note(self, ctx: ObjectContext, line: str) -> None:
        self.log.set(ctx, [*await self.log.get(ctx), line])

    @handler
    async def lines(self, ctx: ObjectSharedContext) -> list[str]:
        return await self.log.get(ctx)


async def test_an_event_runs_exit_body_and_entry_and_then_moves_the_machine() -> None:
    async with running(Parcel()) as app:
        parcel = app.client.object_client(Parcel, "p")
        assert await parcel.current() is S.NEW
        assert await parcel.post("ab") == "AB"
        assert await parcel.current() is S.DONE
        assert await parcel.lines() == ["exit", "body ab", "entry"]


async def test_an_illegal_event_names_the_state_and_what_would_be_legal() -> None:
    async with running(Parcel()) as app:
        parcel = app.client.object_client(Parcel, "p")
        with pytest.raises(IllegalEvent) as caught:
            await parcel.back()
        assert caught.value.code == 409
        assert (caught.value.state, caught.value.legal) == ("NEW", ["sendIt"])
        assert str(caught.value) == "Parcel: 'back' is not possible in the state NEW; possible now: sendIt"
        assert await parcel.history() == []
        assert await parcel.lines() == []


async def test_a_guard_refuses_before_anything_happens() -> None:
    async with running(Parcel()) as app:
        parcel = app.client.object_client(Parcel, "p")
        with pytest.raises(EventRefused, match="refused in the state NEW by the guard 'is_short'"):
            await parcel.post("too long")
        assert await parcel.lines() == []
        assert await parcel.current() is S.NEW


async def test_a_terminal_error_leaves_the_machine_where_it_was() -> None:
    async with running(Parcel()) as app:
        parcel = app.client.object_client(Parcel, "p")
        with pytest.raises(Refused):
            await parcel.post("no")
        assert await parcel.current() is S.NEW
        assert await parcel.history() == []
        assert await parcel.post("yes") == "YES"


async def test_history_keeps_the_latest_changes() -> None:
    async with running(Parcel()) as app:
        parcel = app.client.object_client(Parcel, "p")
        for _ in range(2):
            await parcel.post("ab")
            await parcel.back()
        changes = await parcel.history()
        assert [(change.event, change.source, change.target) for change in changes] == [
            ("sendIt", S.NEW, S.DONE),
            ("back", S.DONE, S.NEW),
        ]
        assert all(change.invocation_id.startswith("inv_") for change in changes)


async def test_time_moves_the_machine_once() -> None:
    async with run_test(App([Parcel()])) as env:
        parcel = env.client.object_client(Parcel, "p")
        await parcel.post("ab")
        await env.advance(HOUR / 2)
        assert await parcel.current() is S.DONE
        await env.advance(HOUR)
        assert await parcel.current() is S.GONE
        assert (await parcel.lines())[-2:] == ["lost", "entry"]
        assert [change.event for change in await parcel.history()] == ["sendIt", "lose"]


async def test_leaving_a_state_ends_its_timer_and_coming_back_starts_a_new_one() -> None:
    async with run_test(App([Parcel()])) as env:
        parcel = env.client.object_client(Parcel, "p")
        await parcel.post("ab")
        await env.advance(HOUR * 0.9)
        await parcel.back()
        await parcel.post("cd")
        await env.settle()
        waiting = InvocationFilter(statuses=frozenset({InvocationStatus.SCHEDULED}))
        timers = await env.engine.list_invocations(waiting, limit=10)
        assert len(timers) == 1, "the first timer is gone, not only without effect"
        await env.advance(HOUR * 0.9)
        assert await parcel.current() is S.DONE
        await env.advance(HOUR * 0.1)
        assert await parcel.current() is S.GONE


class SlowReturn(Parcel):
    @override
    @Parcel.status.on(S.DONE, to=S.NEW)
    async def back(self, ctx: ObjectContext) -> None:
        await asyncio.sleep(HOUR.total_seconds())


async def test_an_event_under_way_beats_the_timer_that_becomes_due_meanwhile() -> None:
    async with run_test(App([SlowReturn()]), replay_always=True) as env:
        parcel = env.client.object_client(SlowReturn, "p")
        await parcel.post("ab")
        await env.advance(HOUR / 2)
        back = await parcel.back.send()
        await env.advance(HOUR * 2)
        await back.result()
        assert [change.event for change in await parcel.history()] == ["sendIt", "back"]
        assert "lost" not in await parcel.lines()


async def test_a_timer_for_a_stay_that_is_over_does_nothing() -> None:
    """Also where it could not be taken back: a second timer says another stay."""
    async with run_test(App([SlowReturn(), Meddler()])) as env:
        parcel = env.client.object_client(SlowReturn, "p")
        await parcel.post("ab")
        await env.client.service_client(Meddler).lose("p")
        await env.settle()
        assert await parcel.current() is S.DONE


class Meddler(Service):
    @handler
    async def lose(self, ctx: Context, key: str) -> None:
        stale = ctx.object_client(SlowReturn, key).lose.with_options(headers={"machine-visit": "another"})
        await stale()


@at_every_crash_point(lambda: App([Parcel()]), replay_always=True)
async def test_a_transition_happens_once_wherever_it_crashes(env: TestEnvironment) -> None:
    """Rules 17 to 21: state, history and timer change together or not at all."""
    parcel = env.client.object_client(Parcel, "p")
    assert await parcel.post("ab") == "AB"
    with pytest.raises(IllegalEvent):
        await parcel.post("ab")
    await env.advance(HOUR)
    assert await parcel.current() is S.GONE
    assert await parcel.lines() == ["exit", "body ab", "entry", "lost", "entry"]
    assert [change.event for change in await parcel.history()] == ["sendIt", "lose"]


async def test_only_the_timer_calls_what_is_declared_with_after_alone() -> None:
    assert Parcel.lose.name == "lose"
    async with run_test(App([Parcel()])) as env:
        with pytest.raises(TerminalError, match="not public"):
            await env.client.object_client(Parcel, "p").lose()


def test_the_diagram_shows_states_events_times_and_guards() -> None:
    assert Parcel.mermaid(S.DONE).splitlines() == [
        "stateDiagram-v2",
        "    [*] --> NEW",
        "    NEW --> DONE: sendIt [is_short]",
        "    DONE --> NEW: back",
        "    DONE --> GONE: lose after 1 h",
        "    GONE --> [*]",
        "    classDef live fill:#1565c0,color:#ffffff,stroke:#0d47a1",
        "    class DONE live",
    ]


async def test_the_diagram_of_a_key_marks_its_live_state() -> None:
    async with running(Parcel()) as app:
        parcel = app.client.object_client(Parcel, "p")
        assert (await parcel.diagram()).endswith("class NEW live")
        await parcel.post("ab")
        assert (await parcel.diagram()).endswith("class DONE live")


@pytest.mark.parametrize(
    ("delay", "words"),
    [
        (timedelta(hours=24), "24 h"),
        (timedelta(days=2), "2 d"),
        (timedelta(days=1, hours=12), "1 d 12 h"),
        (timedelta(minutes=15), "15 min"),
        (timedelta(seconds=90), "1 min 30 s"),
        (timedelta(milliseconds=1.5), "1.5 ms"),
    ],
)
def test_times_are_told_as_people_do(delay: timedelta, words: str) -> None:
    assert in_words(delay) == words


@dataclass(slots=True)
class Tagged(Parcel):
    """A parcel with a dependency, made twice by dataclass."""

    tag: str

    @Parcel.status.on(S.GONE, to=S.DONE)
    async def find(self, ctx: ObjectContext) -> str:
        return self.tag


@attrs.define
class Weighed(Parcel):
    weight: int


@pytest.mark.parametrize("parcel", [Tagged("t"), Weighed(3)], ids=["dataclass", "attrs"])
async def test_machines_carry_dependencies(parcel: Parcel) -> None:
    async with running(parcel) as app:
        client = app.client.object_client(type(parcel), "p")
        assert await client.post("ab") == "AB"
        with pytest.raises(IllegalEvent, match=f"{type(parcel).__name__}: 'sendIt'"):
            await client.post("ab")


async def test_a_derived_machine_adds_to_the_table_of_its_base() -> None:
    async with run_test(App([Tagged("here")])) as env:
        parcel = env.client.object_client(Tagged, "p")
        await parcel.post("ab")
        await env.advance(HOUR)
        assert await parcel.find() == "here"
        await env.advance(HOUR)
        assert await parcel.current() is S.GONE, "its timer is its own"


async def test_inline_runs_the_body_and_leaves_the_machine() -> None:
    class Twice(Parcel):
        @handler
        async def draft(self, ctx: ObjectContext) -> str:
            return await self.post.inline(ctx, "ab")

    async with running(Twice()) as app:
        parcel = app.client.object_client(Twice, "p")
        assert await parcel.draft() == "AB"
        assert await parcel.current() is S.NEW


def unknown_state() -> None:
    class M(StateMachine[S]):
        status = Status(S, initial=S.NEW)

        @status.on(S.NEW, to=Color.RED)  # type: ignore[arg-type] # on purpose
        async def go(self, ctx: ObjectContext) -> None: ...


def unknown_source() -> None:
    class M(StateMachine[S]):
        status = Status(S, initial=S.NEW)

        @status.on("new", to=S.DONE)  # type: ignore[arg-type] # on purpose
        async def go(self, ctx: ObjectContext) -> None: ...


def action_of_unknown_state() -> None:
    class M(StateMachine[Color]):
        status = Status(Color, initial=Color.RED)

        @status.entry(S.DONE)  # type: ignore[arg-type] # on purpose
        async def go(self, ctx: ObjectContext) -> None: ...


def unreachable_state() -> None:
    class M(StateMachine[S]):
        status = Status(S, initial=S.NEW)

        @status.on(S.NEW, S.GONE, to=S.DONE)
        async def go(self, ctx: ObjectContext) -> None: ...


def two_rules() -> None:
    class M(StateMachine[S]):
        status = Status(S, initial=S.NEW)

        @status.on(S.NEW, to=S.DONE)
        @status.on(S.NEW, to=S.GONE)
        async def go(self, ctx: ObjectContext) -> None: ...


def no_source() -> None:
    class M(StateMachine[S]):
        status = Status(S, initial=S.NEW)

        @status.on(to=S.DONE)
        async def go(self, ctx: ObjectContext) -> None: ...


def no_delay() -> None:
    class M(StateMachine[S]):
        status = Status(S, initial=S.NEW)

        @status.after(timedelta(0), S.DONE, to=S.GONE)
        async def go(self, ctx: ObjectContext) -> None: ...


def timer_that_never_starts() -> None:
    class M(StateMachine[S]):
        status = Status(S, initial=S.NEW)

        @status.after(HOUR, S.NEW, to=S.DONE)
        async def go(self, ctx: ObjectContext) -> None: ...


def shared_transition() -> None:
    class M(StateMachine[Color]):
        status = Status(Color, initial=Color.RED)

        @status.on(Color.RED, to=Color.RED)  # type: ignore[type-var] # on purpose
        async def go(self, ctx: ObjectSharedContext) -> None: ...


def no_status() -> None:
    class M(StateMachine[S]): ...


def another_enum() -> None:
    class M(StateMachine[S]):
        status = Status(Color, initial=Color.RED)  # type: ignore[arg-type] # on purpose


def overridden_by_a_plain_handler() -> None:
    class M(Parcel):
        @override
        @handler
        async def back(self, ctx: ObjectContext) -> None: ...


def foreign_initial() -> None:
    Status(S, initial=Color.RED)


def no_enum() -> None:
    states: Any = str
    Status(states, initial="x")


def negative_history() -> None:
    Status(S, initial=S.NEW, history=-1)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (unknown_state, r"M\.go names <Color\.RED.*>, which is no state of S; the states are NEW, DONE, GONE"),
        (unknown_source, r"M\.go names 'new', which is no state of S"),
        (action_of_unknown_state, r"M: an action names <S\.DONE.*>, which is no state of Color"),
        (unreachable_state, r"M: nothing leads from NEW to GONE; add a transition, or take"),
        (two_rules, r"M\.go: two rules for one pair: 'go' in NEW leads to DONE and to GONE; keep one"),
        (no_source, r"go: the transition to S\.DONE has no source; name the states"),
        (no_delay, r"go: the delay 0:00:00 must be above zero"),
        (timer_that_never_starts, r"M\.go: no timer can start in the initial state NEW"),
        (shared_transition, r"M\.go is a transition, so it writes: annotate its context with `ObjectContext`"),
        (no_status, r"M has no status; write `status = Status"),
        (another_enum, r"M is a StateMachine of S, but its status is one of Color"),
        (overridden_by_a_plain_handler, r"M\.back overrides a transition with a plain handler"),
        (foreign_initial, r"Status: initial=<Color\.RED.*> is no member of S"),
        (no_enum, r"Status: the states are the members of an enum, and <class 'str'> is none"),
        (negative_history, r"Status: history=-1 must be 0 or more"),
    ],
)
def test_a_table_that_cannot_work_is_refused(make: Callable[[], None], sentence: str) -> None:
    with pytest.raises(DefinitionError, match=sentence):
        make()


class Writes(StateMachine[Color]):
    status = Status(Color, initial=Color.RED)

    @status.on(Color.RED, to=Color.RED)
    async def by_hand(self, ctx: ObjectContext) -> None:
        self.status.set(ctx, Color.RED)


class NoMachine(VirtualObject):
    status = Status(Color, initial=Color.RED)

    @status.on(Color.RED, to=Color.RED)
    async def go(self, ctx: ObjectContext) -> None: ...


async def test_only_transitions_write_the_state() -> None:
    async with running(Writes()) as app:
        handle = await app.client.object_client(Writes, "k").by_hand.send()
        assert "only transitions change the state of a machine" in await app.pause_of(handle)


async def test_a_transition_of_another_object_says_so() -> None:
    async with running(NoMachine()) as app:
        handle = await app.client.object_client(NoMachine, "k").go.send()
        assert "NoMachine is no StateMachine" in await app.pause_of(handle)


def test_the_name_of_an_event_is_called_through_a_client() -> None:
    with pytest.raises(UsageError, match="take a client"):
        Parcel.post()  # type: ignore[operator] # on purpose
