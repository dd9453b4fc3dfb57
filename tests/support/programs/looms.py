"""A state machine with every kind of rule, and a model of it that knows nothing of the framework."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from restate_patterns import (
    Change,
    Client,
    EventRefused,
    IllegalEvent,
    ObjectContext,
    ObjectSharedContext,
    State,
    StateMachine,
    Status,
    handler,
)


class Phase(enum.Enum):
    IDLE = "idle"
    SET = "set"
    WEAVING = "weaving"
    DONE = "done"
    TORN = "torn"


STALL_H = 3
SPOIL_H = 10
LIMIT = 9


@dataclass(frozen=True)
class Everything:
    """All that one loom keeps."""

    keys: list[str]
    phase: Phase
    rows: int
    log: list[str]
    changes: list[Change[Phase]]


class Loom(StateMachine[Phase]):
    status = Status(Phase, initial=Phase.IDLE, history=1_000)
    rows = State[int](default=0)
    log = State[list[str]](default_factory=list)

    @status.on(Phase.IDLE, to=Phase.SET)
    async def set_up(self, ctx: ObjectContext, rows: int) -> int:
        return await self.weave(ctx, rows)

    @status.on(Phase.SET, Phase.WEAVING, to=Phase.WEAVING)
    @handler(name="weaveRows")
    async def work(self, ctx: ObjectContext, rows: int) -> int:
        return await self.weave(ctx, rows)

    @work.guard
    async def fits(self, ctx: ObjectSharedContext, rows: int) -> bool:
        return await self.rows.get(ctx) + rows <= LIMIT

    @status.on(Phase.WEAVING, to=Phase.DONE)
    @status.on(Phase.SET, to=Phase.IDLE)
    async def take_off(self, ctx: ObjectContext) -> int:
        rows = await self.rows.get(ctx)
        self.rows.clear(ctx)
        return rows

    @status.after(timedelta(hours=STALL_H), Phase.WEAVING, to=Phase.SET)
    async def stall(self, ctx: ObjectContext) -> None: ...

    @status.after(timedelta(hours=SPOIL_H), Phase.SET, to=Phase.TORN)
    async def spoil(self, ctx: ObjectContext) -> None:
        self.rows.clear(ctx)

    @status.on(Phase.TORN, Phase.DONE, to=Phase.IDLE)
    async def clean(self, ctx: ObjectContext) -> None: ...

    @status.entry(Phase.WEAVING, Phase.TORN)
    async def note_entry(self, ctx: ObjectContext) -> None:
        self.log.set(ctx, [*await self.log.get(ctx), f"enter from {(await self.status.get(ctx)).name}"])

    @status.exit(Phase.WEAVING)
    async def note_exit(self, ctx: ObjectContext) -> None:
        self.log.set(ctx, [*await self.log.get(ctx), "exit"])

    async def weave(self, ctx: ObjectContext, rows: int) -> int:
        total = await self.rows.get(ctx) + rows
        self.rows.set(ctx, total)
        return total

    @handler
    async def everything(self, ctx: ObjectSharedContext) -> Everything:
        return Everything(
            await ctx.state_keys(),
            await self.status.get(ctx),
            await self.rows.get(ctx),
            await self.log.get(ctx),
            await self._history.get(ctx),
        )


@dataclass(frozen=True)
class Event:
    """Something to send to a loom; `rows` for the events that take them."""

    name: str
    rows: int = 0


TABLE = {
    ("set_up", Phase.IDLE): Phase.SET,
    ("weaveRows", Phase.SET): Phase.WEAVING,
    ("weaveRows", Phase.WEAVING): Phase.WEAVING,
    ("take_off", Phase.WEAVING): Phase.DONE,
    ("take_off", Phase.SET): Phase.IDLE,
    ("clean", Phase.TORN): Phase.IDLE,
    ("clean", Phase.DONE): Phase.IDLE,
}
EVENTS = ("set_up", "weaveRows", "take_off", "clean")


@dataclass
class Model:
    """What a loom should be."""

    phase: Phase = Phase.IDLE
    rows: int = 0
    log: list[str] = field(default_factory=list)
    changes: list[tuple[str, Phase, Phase]] = field(default_factory=list)
    hour: int = 0
    entered: int = 0

    def legal(self) -> set[str]:
        return {event for event, phase in TABLE if phase is self.phase}

    def send(self, event: Event) -> int | str | None:
        """Give what the event answers: a number, nothing, or how it is refused."""
        target = TABLE.get((event.name, self.phase))
        if target is None:
            return f"illegal in {self.phase.name}: {sorted(self.legal())}"
        if event.name == "weaveRows" and self.rows + event.rows > LIMIT:
            return f"refused in {self.phase.name} by fits"
        answer: int | None = None
        if event.name in ("set_up", "weaveRows"):
            self.rows += event.rows
            answer = self.rows
        elif event.name == "take_off":
            answer, self.rows = self.rows, 0
        self._move(event.name, target)
        return answer

    def advance(self, hours: int) -> None:
        end = self.hour + hours
        while True:
            due, name, target = self._timer()
            if due is None or due > end:
                break
            self.hour = due
            if name == "spoil":
                self.rows = 0
            self._move(name, target)
        self.hour = end

    def _timer(self) -> tuple[int | None, str, Phase]:
        if self.phase is Phase.WEAVING:
            return self.entered + STALL_H, "stall", Phase.SET
        if self.phase is Phase.SET:
            return self.entered + SPOIL_H, "spoil", Phase.TORN
        return None, "", self.phase

    def _move(self, event: str, target: Phase) -> None:
        if self.phase is Phase.WEAVING:
            self.log.append("exit")
        if target in (Phase.WEAVING, Phase.TORN):
            self.log.append(f"enter from {self.phase.name}")
        self.changes.append((event, self.phase, target))
        self.phase, self.entered = target, self.hour


async def send(client: Client, key: str, event: Event) -> int | str | None:
    """Send an event to a loom, and give what it answers as the model does."""
    loom = client.object_client(Loom, key)
    try:
        match event.name:
            case "set_up":
                return await loom.set_up(event.rows)
            case "weaveRows":
                return await loom.work(event.rows)
            case "take_off":
                return await loom.take_off()
            case _:
                await loom.clean()
                return None
    except IllegalEvent as error:
        return f"illegal in {error.state}: {sorted(error.legal)}"
    except EventRefused as error:
        return f"refused in {error.state} by {error.guard}"


async def check(client: Client, key: str, model: Model) -> Everything:
    """Compare all that a loom keeps with the model."""
    kept = await client.object_client(Loom, key).everything()
    assert (kept.phase, kept.rows, kept.log) == (model.phase, model.rows, model.log)
    assert [(change.event, change.source, change.target) for change in kept.changes] == model.changes
    return kept


async def send_and_check(client: Client, key: str, model: Model, events: Sequence[Event]) -> None:
    """Send events one after the other; what is refused must leave no trace."""
    for event in events:
        before = await check(client, key, model)
        expected = model.send(event)
        assert await send(client, key, event) == expected, event
        after = await check(client, key, model)
        if isinstance(expected, str):
            assert after == before, f"{event} was refused and left a trace"
