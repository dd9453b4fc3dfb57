"""Schedules of the wrong handler, without its key, with the wrong payload."""

from __future__ import annotations

from datetime import timedelta

from restate_patterns import (
    App,
    Client,
    Context,
    ObjectContext,
    Schedule,
    ScheduleRecord,
    Service,
    Tick,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    handler,
)

DAY = timedelta(days=1)


class Report(Service):
    @handler
    async def nightly(self, ctx: Context) -> None: ...

    @handler
    async def of_night(self, ctx: Context, tick: Tick) -> None: ...

    @handler
    async def paid(self, ctx: Context, cents: int) -> None: ...


class Cart(VirtualObject):
    @handler
    async def expire(self, ctx: ObjectContext) -> None: ...

    @handler
    async def keep(self, ctx: ObjectContext, count: int) -> None: ...


class Review(Workflow):
    @handler
    async def run(self, ctx: WorkflowContext, tick: Tick) -> None: ...

    @handler
    async def remind(self, ctx: WorkflowSharedContext) -> None: ...


def misuse() -> None:
    Schedule("a", every=DAY, to=Cart.expire)  # error: which cart
    Schedule("a", every=DAY, to=Cart.keep, payload=7)  # error: which cart
    Schedule("a", every=DAY, to=Report.nightly, key="k")  # error: a service has no keys
    Schedule("a", every=DAY, to=Review.remind)  # error: of which review
    Schedule("a", every=DAY, to=Review.run, key="k")  # error: it has a key of its own for each tick
    Schedule("a", every=DAY, to=Report.paid)  # error: no payload, and it takes no tick
    Schedule("a", every=DAY, to=Report.paid, payload="7")  # error: a str for an int
    Schedule("a", every=DAY, to=Cart.keep, key="k", payload="7")  # error: a str for an int
    Schedule("a", every=DAY, to=Report.nightly, payload=7)  # error: it takes nothing
    Schedule("a", every=DAY, to=Report().nightly)  # error: a handler of an instance
    Schedule("a", every=DAY, to=Report.nightly, overlap="wait")  # error: no such overlap
    Schedule("a", every=DAY, to=Report.nightly, missed="both")  # error: not one of them
    Schedule("a", every=86400, to=Report.nightly)  # error: a number is no time
    Schedule("a", cron=5, to=Report.nightly)  # error: no expression
    Schedule(every=DAY, to=Report.nightly)  # error: no name
    Schedule("a", every=DAY)  # error: nothing to run
    App([Report, Schedule("a", every=DAY, to=Report.nightly)])  # error: a class


async def methods(client: Client, nightly: Schedule) -> None:
    await nightly.pause()  # error: through what
    await nightly.backfill(client, "2030-01-01", "2030-01-02")  # error: texts are no times
    name: int = (await nightly.show(client)).name  # error: a text


async def fine(client: Client) -> ScheduleRecord:
    nightly = Schedule("a", cron="0 2 * * *", zone="Europe/Berlin", to=Report.nightly, overlap="queue", missed="all")
    App([Report(), Cart(), Review(), nightly, Schedule("b", every=DAY, to=Report.of_night)])
    Schedule("c", every=DAY, to=Report.paid, payload=7)
    Schedule("d", every=DAY, to=Cart.expire, key="k")
    Schedule("e", every=DAY, to=Cart.keep, key="k", payload=7)
    Schedule("f", every=DAY, to=Review.run)
    Schedule("g", every=DAY, to=Review.remind, key="k")
    await nightly.pause(client, "the disk is full")
    return await nightly.show(client)
