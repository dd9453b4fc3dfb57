"""Two sagas over the same records, in many interleavings, under a checker of their history.

With semantic locks no update is lost and nothing is read that may still be undone; without them both happen.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, NamedTuple

import pytest
from pydantic import BaseModel

from restate_patterns import (
    App,
    Context,
    Lockable,
    ObjectContext,
    ObjectSharedContext,
    RecordPending,
    Saga,
    SagaFailed,
    Service,
    State,
    TerminalError,
    handler,
    saga_services,
)
from restate_patterns.testing import TestEnvironment, at_every_crash_point, run_test

Locks = Literal["off", "reject", "wait"]


class Version(BaseModel):
    """The value of a record, and which saga wrote it."""

    value: int = 0
    by: str = "nobody"
    number: int = 0
    """Tells versions apart: the digits name the writers so far."""


class Event(NamedTuple):
    """Something that a saga or a reader did."""

    who: str
    what: Literal["read", "write", "ended"]
    record: str
    version: Version


@dataclass
class Account(Lockable, name="LockedAccount"):
    """A record."""

    version = State[Version](default=Version())

    @handler
    async def read(self, ctx: ObjectSharedContext) -> Version:
        return await self.committed(ctx, self.version)

    @handler
    async def read_waiting(self, ctx: ObjectSharedContext) -> Version:
        return await self.committed(ctx, self.version, policy="wait")

    @handler
    async def read_or_reject(self, ctx: ObjectSharedContext) -> Version:
        return await self.committed(ctx, self.version, policy="reject")

    @handler
    async def write(self, ctx: ObjectContext, version: Version) -> None:
        await self.guard(ctx)
        self.version.set(ctx, version)


class Schedule(BaseModel, frozen=True):
    """One saga: when it starts, how long it thinks between its steps, and whether it fails."""

    name: str
    start_s: int
    think_s: int
    records: tuple[str, ...]
    fails: bool
    locks: Locks


@dataclass
class Worker(Service):
    """Adds 1 to records, one after the other."""

    history: list[Event] = field(default_factory=list)

    @handler
    async def add(self, ctx: Context, schedule: Schedule) -> str:
        await asyncio.sleep(schedule.start_s)
        try:
            await self._add(ctx, schedule)
        except SagaFailed:
            raise
        except TerminalError:
            return "undone"
        return "committed"

    async def _add(self, ctx: Context, schedule: Schedule) -> None:
        async with Saga(ctx, name=schedule.name) as saga:
            for record in schedule.records:
                account = ctx.object_client(Account, record)
                if schedule.locks != "off":
                    await saga.lock(account, policy=schedule.locks, timeout=timedelta(seconds=30))
                before = await saga.call(account.read)
                self._note(schedule.name, "read", record, before)
                await asyncio.sleep(schedule.think_s)
                after = Version(
                    value=before.value + 1,
                    by=schedule.name,
                    number=before.number * 10 + {"one": 1, "two": 2, "three": 3}[schedule.name],
                )
                await saga.call(account.write, after)
                saga.undo(account.write, before)
                self._note(schedule.name, "write", record, after)
                await asyncio.sleep(schedule.think_s)
            if schedule.fails:
                raise TerminalError("it was not to be", code=402)
            self._note(schedule.name, "ended", "", Version())

    def _note(self, who: str, what: Literal["read", "write", "ended"], record: str, version: Version) -> None:
        self.history.append(Event(who, what, record, version))


class Verdict(NamedTuple):
    """What a checker found in a history."""

    dirty_reads: int
    lost_updates: int


def judge(history: list[Event], committed: set[str]) -> Verdict:
    """Find reads of what was not committed then, and committed updates that another one wrote over unseen."""
    ended = {event.who: index for index, event in enumerate(history) if event.what == "ended"}
    dirty = [
        event
        for index, event in enumerate(history)
        if event.what == "read"
        and event.version.by not in ("nobody", event.who)
        and index < ended.get(event.version.by, len(history))
    ]
    based_on: dict[tuple[str, int], set[str]] = {}
    for event in history:
        wrote = any(w.what == "write" and (w.who, w.record) == (event.who, event.record) for w in history)
        if event.what == "read" and event.who in committed and wrote:
            based_on.setdefault((event.record, event.version.number), set()).add(event.who)
    return Verdict(len(dirty), sum(len(who) > 1 for who in based_on.values()))


def schedules(locks: Locks) -> Iterator[tuple[Schedule, Schedule]]:
    """Give pairs of sagas that meet in every way: later, slower, failing, in the same or the other order."""
    for start, think, fails, order in itertools.product(range(7), (1, 2, 3), (False, True), ("ab", "ba")):
        first = Schedule(name="one", start_s=0, think_s=2, records=("a", "b"), fails=fails, locks=locks)
        yield first, Schedule(name="two", start_s=start, think_s=think, records=tuple(order), fails=False, locks=locks)


worker = Worker()
app = App([Account(), worker, *saga_services()])


async def play(first: Schedule, second: Schedule) -> tuple[Verdict, dict[str, str], dict[str, Version]]:
    """Let two sagas meet, with readers who look on; give the verdict, the outcomes and the records."""
    worker.history.clear()
    async with run_test(app) as env:
        both = [env.client.service_client(Worker).add(each) for each in (first, second)]
        sagas = asyncio.ensure_future(asyncio.gather(*both))
        readers = [asyncio.ensure_future(look_on(env, record)) for record in "ab"]
        for _ in range(100):
            await env.advance(timedelta(seconds=1))
            if sagas.done() and all(reader.done() for reader in readers):
                break
        outcomes = dict(zip(("one", "two"), sagas.result(), strict=True))
        await asyncio.gather(*readers)
        records = {key: await env.client.object_client(Account, key).read() for key in "ab"}
        assert [await env.client.object_client(Account, key).pending() for key in "ab"] == [None, None]
    committed = {name for name, outcome in outcomes.items() if outcome == "committed"}
    return judge(worker.history, committed), outcomes, records


async def look_on(env: TestEnvironment, record: str) -> None:
    """Read a record again and again while the sagas work."""
    account = env.client.object_client(Account, record)
    for number in range(10):
        await env.clock.sleep(1000)
        try:
            seen = await (account.read, account.read_or_reject, account.read_waiting)[number % 3]()
        except RecordPending:
            continue
        worker.history.append(Event("reader", "read", record, seen))


@pytest.mark.parametrize("locks", ["reject", "wait"])
def test_with_locks_nothing_is_lost_and_nothing_dirty_is_read(locks: Locks) -> None:
    """Each saga that committed counts once in each record it wrote, whoever met whom."""
    all_outcomes: set[str] = set()
    for first, second in schedules(locks):
        verdict, outcomes, records = asyncio.run(play(first, second))
        assert verdict == Verdict(0, 0), (first, second, worker.history)
        commits = list(outcomes.values()).count("committed")
        assert [records[key].value for key in "ab"] == [commits, commits], (first, second, outcomes)
        all_outcomes.add(outcomes["two"])
    assert all_outcomes == {"committed", "undone"}


def test_without_locks_both_happen() -> None:
    """The checker sees what the locks prevent."""
    verdicts = [asyncio.run(play(first, second))[0] for first, second in schedules("off")]
    assert sum(verdict.dirty_reads for verdict in verdicts) > 0
    assert sum(verdict.lost_updates for verdict in verdicts) > 0


def quiet_app() -> App:
    worker.history.clear()
    return App([Account(), worker])


@pytest.mark.timeout(60)
@at_every_crash_point(quiet_app)
async def test_a_lock_is_given_back_whenever_the_process_dies(env: TestEnvironment) -> None:
    one = Schedule(name="one", start_s=0, think_s=1, records=("a",), fails=True, locks="wait")
    two = Schedule(name="two", start_s=1, think_s=1, records=("a",), fails=False, locks="wait")
    both = asyncio.gather(*(env.client.service_client(Worker).add(each) for each in (one, two)))
    for _ in range(20):
        await env.advance(timedelta(seconds=1))
    assert both.done()
    assert await both == ["undone", "committed"]
    account = env.client.object_client(Account, "a")
    assert await account.pending() is None
    assert (await account.read()).value == 1


@pytest.mark.anyio
@pytest.mark.timeout(30)
async def test_policies_of_readers_and_writers() -> None:
    worker.history.clear()
    async with run_test(app, replay_always=True) as env:
        account = env.client.object_client(Account, "a")
        saga = Schedule(name="one", start_s=0, think_s=10, records=("a",), fails=False, locks="reject")
        handle = await env.client.service_client(Worker).add.send(saga)
        await env.advance(timedelta(seconds=15))
        assert await account.pending() == handle.id
        assert (await account.read()).value == 0, "the saga has written 1, and has not ended"
        with pytest.raises(RecordPending, match=handle.id):
            await account.read_or_reject()
        with pytest.raises(RecordPending):
            await account.write(Version(value=7))
        waiting = asyncio.ensure_future(account.read_waiting())
        await env.settle()
        assert not waiting.done()
        await env.advance(timedelta(seconds=10))
        assert (await asyncio.wait_for(waiting, 10)).value == 1
        assert await account.pending() is None
