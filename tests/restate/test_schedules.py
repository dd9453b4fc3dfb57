"""Schedules on a real Restate server, also on one that suspends at every wait."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from restate_patterns import (
    App,
    Client,
    Restate,
    Schedule,
    ScheduleIndex,
    ScheduleRefused,
    UnknownSchedule,
    schedule_services,
)
from restate_patterns.admin import AdminClient, InvocationFilter
from restate_patterns.server import RunningServer
from tests.support.bounds import PATIENCE_S
from tests.support.schedules.jobs import Job, Review, Seen, hosted

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.restate, pytest.mark.timeout(2 * PATIENCE_S)]

OFTEN = timedelta(milliseconds=300)
NEVER = timedelta(days=3650)
SERVERS = ["restate_server", "suspending_restate_server"]


def new(name: str) -> str:
    """Return a name that no test used before: the server is shared."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


@asynccontextmanager
async def served(app: App, server: RunningServer) -> AsyncIterator[Client]:
    backend = Restate(ingress_url=server.ingress_url, admin_url=server.admin_url, bind="127.0.0.1:0")
    async with app.start(backend) as client:
        yield client


async def until(fact: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await fact():
            await asyncio.sleep(0.02)


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> RunningServer:
    running: RunningServer = request.getfixturevalue(request.param)
    return running


async def test_declared_at_the_start_it_ticks_and_is_acted_on(server: RunningServer) -> None:
    """The whole life of one: ticks, a pause, a run by hand, a backfill, its end."""
    seen, often = Seen(), Schedule(new("often"), every=OFTEN, to=Job.of_tick)
    async with served(App([*hosted(seen), often]), server) as client:

        async def has_ended(count: int) -> bool:
            runs = (await often.show(client)).runs
            return len([run for run in runs if run.state == "succeeded"]) >= count

        await until(lambda: has_ended(3))
        await often.pause(client, "enough")
        paused = await often.show(client)
        assert (paused.note, paused.next_due) == ("enough", None)
        assert (await often.trigger(client)).state in ("running", "skipped")
        until_then = paused.runs[0].due
        assert await often.backfill(client, until_then - 2 * OFTEN, until_then) == 3
        await until(lambda: has_ended(6))
        record = await often.show(client)
        assert len({run.invocation_id for run in record.runs}) == len(record.runs)
        due = [run.due for run in paused.runs]
        assert due == sorted(set(due), reverse=True), "each tick once, in order"
        await often.resume(client)
        before = (await often.show(client)).started_count
        await until(lambda: _started(often, client, before + 2))
        assert await often.remove(client) is True
        with pytest.raises(UnknownSchedule):
            await often.show(client)
        listed = await client.object_client(ScheduleIndex, "all").list_all()
        assert often.name not in [record.name for record in listed]


async def _started(schedule: Schedule, client: Client, count: int) -> bool:
    return (await schedule.show(client)).started_count >= count


async def test_a_changed_declaration_replaces_the_timer_once(server: RunningServer) -> None:
    """Eight nodes declare the new one at once: one of them changes something, and one timer is left."""
    seen, name = Seen(), new("report")
    old = Schedule(name, every=timedelta(hours=1), to=Job.of_tick)
    changed = Schedule(name, every=NEVER, to=Job.of_tick, start=datetime.now(UTC) + timedelta(seconds=1))
    async with served(App([*hosted(seen), old]), server) as client:
        assert await old.declare(client) is False
        assert sorted(await asyncio.gather(*(changed.declare(client) for _ in range(8)))) == [False] * 7 + [True]

        async def is_run() -> bool:
            return bool((await changed.show(client)).runs)

        async with AdminClient(server.admin_url) as admin:

            async def has_one_timer() -> bool:
                ticks = InvocationFilter(service="Schedules", handler="tick", key=name)
                waiting = [each for each in await admin.list_invocations(ticks) if each.status.value != "completed"]
                return len(waiting) == 1

            await until(has_one_timer)
            await until(is_run)
            await until(has_one_timer)
        assert len(seen.notes) == 1
        assert await changed.remove(client)


async def test_nodes_that_start_at_once(server: RunningServer) -> None:
    """Each registers itself and declares: there is one timer, and each tick has one run."""
    seen, often = Seen(), Schedule(new("often"), every=OFTEN, to=Job.of_tick)
    clients: list[Client] = []
    over = asyncio.Event()

    async def node() -> None:
        async with served(App([*hosted(seen), often]), server) as client:
            clients.append(client)
            await over.wait()

    async def is_run() -> bool:
        return len(clients) == 2 and (await often.show(clients[0])).started_count >= 4

    async with asyncio.TaskGroup() as nodes:
        for _ in range(2):
            nodes.create_task(node())
        await until(is_run)
        record = await often.show(clients[1])
        due = [run.due for run in record.runs]
        assert due == sorted(set(due), reverse=True)
        started = [run.invocation_id for run in record.runs if run.invocation_id]
        assert len(started) == len(set(started))
        await often.pause(clients[0])
        await until(lambda: _ended(often, clients[1]))
        assert len(seen.notes) == (await often.show(clients[1])).started_count
        assert await often.remove(clients[0])
        over.set()


async def _ended(schedule: Schedule, client: Client) -> bool:
    return all(run.state != "running" for run in (await schedule.show(client)).runs)


async def test_overlaps_and_ends(server: RunningServer) -> None:
    """A run that goes on is cancelled and waited for; a queued one begins after the one before it."""
    seen = Seen(takes=timedelta(hours=1))
    name = new("slow")
    cancels = Schedule(name, every=NEVER, to=Job.slow, overlap="cancel")
    queues = Schedule(name, every=NEVER, to=Job.slow, overlap="queue")
    async with served(App([*hosted(seen), cancels]), server) as client:
        first = await cancels.trigger(client)
        await until(lambda: _noted(seen, 1))
        assert (await cancels.trigger(client)).state == "queued"
        await until(lambda: _noted(seen, 3))
        assert [note.split()[0] for note in seen.notes] == ["began", "ended", "began"]
        await until(lambda: _stand(cancels, client, ["running", "failed"]))
        assert await queues.declare(client) is True
        assert (await queues.trigger(client)).state == "queued"
        running = (await queues.show(client)).runs[0]
        assert running.invocation_id != first.invocation_id
        await client.invocation(Job.slow, running.invocation_id).cancel()
        await until(lambda: _stand(queues, client, ["running", "failed", "failed"]))
        await until(lambda: _noted(seen, 5))
        assert [note.split()[0] for note in seen.notes] == ["began", "ended"] * 2 + ["began"]
        last = (await queues.show(client)).runs[0]
        assert await queues.remove(client)
        await client.invocation(Job.slow, last.invocation_id).cancel()


async def _stand(schedule: Schedule, client: Client, states: list[str]) -> bool:
    return [run.state for run in (await schedule.show(client)).runs] == states


async def _noted(seen: Seen, count: int) -> bool:
    return len(seen.notes) >= count


async def test_a_workflow_has_a_key_for_each_tick(server: RunningServer) -> None:
    seen = Seen()
    review = Schedule(new("review"), every=NEVER, to=Review.run)
    async with served(App([*hosted(seen), review]), server) as client:
        run = await review.trigger(client)
        await until(lambda: _noted(seen, 1))
        assert seen.notes[0].startswith(f"{review.name}@{run.due:%Y-%m-%dT%H:%M:%S}")
        assert await review.remove(client)


async def test_what_is_refused(restate_server: RunningServer) -> None:
    async with served(App([*hosted(Seen()), *schedule_services()]), restate_server) as client:
        with pytest.raises(ScheduleRefused, match="Job/hidden is private"):
            await Schedule(new("hidden"), every=NEVER, to=Job.hidden).declare(client)
