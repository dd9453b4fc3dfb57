"""An app for tests of `restate-patterns schedules`: two of them, which do not come by themselves in a test."""

from __future__ import annotations

from datetime import timedelta

from restate_patterns import App, Context, Schedule, Service, TerminalError, Tick, handler


class Clockwork(Service):
    """Does what schedules are for."""

    @handler
    async def strike(self, ctx: Context, tick: Tick) -> str:
        return tick.local.isoformat()

    @handler
    async def jam(self, ctx: Context) -> None:
        raise TerminalError("a wheel is broken", code=409)


app = App(
    [
        Clockwork(),
        Schedule("nightly", cron="30 2 1 1 *", zone="Europe/Berlin", to=Clockwork.strike, overlap="queue"),
        Schedule("jams", every=timedelta(days=3650), to=Clockwork.jam, jitter=timedelta(days=1)),
    ]
)
none = App([Clockwork()])
