"""The definitions that the misuses beside it use; nothing here is wrong."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from pydantic import BaseModel

from restate_patterns import (
    AwakeableId,
    Context,
    DurablePromise,
    ObjectContext,
    ObjectSharedContext,
    Service,
    Signal,
    State,
    TerminalError,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    handler,
)


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


class Declined(TerminalError, code=402):
    reason: str


class Plain(TerminalError, code=400): ...


@dataclass
class Order:
    user: str
    tickets: list[str]


class Approval(BaseModel):
    token: AwakeableId[bool]


class Ticket(VirtualObject):
    level = State[Level](default=Level.LOW)
    count = State[int]()
    names = State[list[str]](default_factory=list)

    @handler
    async def reserve(self, ctx: ObjectContext) -> bool:
        return True

    @handler(name="rename")
    async def change(self, ctx: ObjectContext, name: str) -> None: ...

    @handler
    async def peek(self, ctx: ObjectSharedContext) -> int:
        return await self.count.get(ctx)


@dataclass
class Checkout(Service):
    http: object
    paid = Signal[bool]()

    @handler(raises=[Declined])
    async def pay(self, ctx: Context, order: Order) -> bool:
        return True

    @handler
    async def ping(self, ctx: Context) -> None: ...


class Registration(Workflow):
    verified = DurablePromise[bool]()
    step = State[str](default="started")

    @handler
    async def run(self, ctx: WorkflowContext, user: str) -> bool:
        return await self.verified.value(ctx)

    @handler
    async def verify(self, ctx: WorkflowSharedContext, code: str) -> None: ...
