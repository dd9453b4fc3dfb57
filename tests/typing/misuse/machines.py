"""Wrong state machines, and machines used wrongly."""

from __future__ import annotations

import enum
from datetime import timedelta

from restate_patterns import Client, Context, ObjectContext, ObjectSharedContext, StateMachine, Status, handler
from tests.typing.misuse.declared import Order


class Light(enum.Enum):
    RED = "red"
    GREEN = "green"


class Door(enum.Enum):
    OPEN = "open"
    SHUT = "shut"


class Lamp(StateMachine[Light]):
    status = Status(Light, initial=Light.RED)

    @status.on(Light.RED, to=Light.GREEN)
    async def go(self, ctx: ObjectContext, order: Order) -> int:
        return 1

    @go.guard  # error: of another payload
    async def of_another_payload(self, ctx: ObjectSharedContext, order: str) -> bool:
        return True

    @go.guard  # error: a guard reads
    async def that_writes(self, ctx: ObjectContext, order: Order) -> bool:
        return True

    @go.guard  # error: a guard says yes or no
    async def that_says_nothing(self, ctx: ObjectSharedContext, order: Order) -> None: ...

    @status.on(Door.OPEN, to=Light.RED)  # error: from a state of another enum
    async def shut(self, ctx: ObjectContext) -> None: ...

    @status.on(Light.GREEN, to=Door.SHUT)  # error: to a state of another enum
    async def slam(self, ctx: ObjectContext) -> None: ...

    @status.on(Light.GREEN)  # error: leads nowhere
    async def nowhere(self, ctx: ObjectContext) -> None: ...

    @status.on("GREEN", to=Light.RED)  # error: no member of the enum
    async def text(self, ctx: ObjectContext) -> None: ...

    @status.on(Light.GREEN, to=Light.RED)  # error (mypy): a shared handler writes nothing
    async def shared(self, ctx: ObjectSharedContext) -> None: ...

    @status.on(Light.GREEN, to=Light.RED)  # error: a shared handler writes nothing
    @handler
    async def shared_too(self, ctx: ObjectSharedContext) -> None: ...

    @status.on(Light.GREEN, to=Light.RED)  # error (mypy): no context of an object
    async def stateless(self, ctx: Context) -> None: ...

    @status.on(Light.GREEN, to=Light.RED)  # error: not async
    def plain(self, ctx: ObjectContext) -> None:
        return None

    @status.after(timedelta(hours=1), Light.GREEN, to=Light.RED)  # error: a timer has no payload
    async def late(self, ctx: ObjectContext, order: Order) -> None: ...

    @status.after(timedelta(hours=1), Light.GREEN, to=Light.RED)  # error: nobody takes the result of a timer
    async def answer(self, ctx: ObjectContext) -> int:
        return 1

    @status.after(3600, Light.GREEN, to=Light.RED)  # error: a time without unit
    async def unit(self, ctx: ObjectContext) -> None: ...

    @status.after(timedelta(hours=1), Door.OPEN, to=Light.RED)  # error: from a state of another enum
    async def open(self, ctx: ObjectContext) -> None: ...

    @status.entry(Door.OPEN)  # error: a state of another enum
    async def opened(self, ctx: ObjectContext) -> None: ...

    @status.exit(Light.RED)  # error: an action takes nothing else
    async def with_more(self, ctx: ObjectContext, order: Order) -> None: ...


class Mixed(StateMachine[Light]):
    status = Status(Door, initial=Door.OPEN)  # error: a status of another enum


class Initial(StateMachine[Light]):
    status = Status(Light, initial=Door.OPEN)  # error: begins in a state of another enum


async def use(client: Client) -> None:
    lamp = client.object_client(Lamp, "hall")
    await lamp.go("order")  # error: a payload of the wrong type
    await lamp.go()  # error: the payload is missing
    await lamp.go.send(3)  # error: a payload of the wrong type
    door: Door = await lamp.current()  # error: a state of another enum
    result: str = await lamp.go(Order("ann", []))  # error: a result of the wrong type
    change: Door = (await lamp.history())[0].target  # error: a state of another enum
    Lamp.mermaid(Door.OPEN)  # error: a state of another enum
    print(door, result, change)
