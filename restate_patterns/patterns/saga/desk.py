"""The desk where stuck sagas wait for a person, and the log of those that are to be explained.

Two virtual objects, hosted by an app that adds `saga_services()`. Commands and programs reach them by ordinary
calls, on every backend.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, JsonValue

from restate_patterns.api.awakeables import AwakeableId
from restate_patterns.api.context import ObjectContext, ObjectSharedContext
from restate_patterns.api.definitions import VirtualObject
from restate_patterns.api.handlers import handler
from restate_patterns.api.state import State
from restate_patterns.patterns.saga.errors import NotStuck, UnknownSaga
from restate_patterns.patterns.saga.record import ErrorRecord, SagaRecord
from restate_patterns.toolkit import has_ended

DESK: Final = "all"
"""The key of the one desk."""


class Decision(BaseModel):
    """What a person decides about something stuck."""

    action: Literal["resume", "skip", "supply"]
    reason: str = ""
    by: str = ""
    """Who decided."""
    result: JsonValue = None
    """With `supply`: the result, as the stuck call or step would have given it."""

    def words(self) -> str:
        """Return it in words."""
        what = {"resume": "resumed", "skip": "skipped", "supply": "supplied"}[self.action]
        by = f" by {self.by}" if self.by else ""
        return f"{what}{by}: {self.reason}" if self.reason else f"{what}{by}"


class StuckStep(BaseModel):
    """A step of a saga that gave up."""

    saga: str
    """The saga's id."""
    saga_name: str
    number: int
    """Which of its steps."""
    name: str
    error: ErrorRecord
    failed_count: int
    """How often it was tried in vain since it was last resumed."""
    answer: AwakeableId[Decision]
    since: datetime | None = None


class DecisionRequest(BaseModel):
    """A decision about the stuck steps of one saga, or about one of them."""

    saga: str
    number: int | None = None
    decision: Decision


class StuckSagas(VirtualObject):
    """The steps that gave up and wait for a person; its one key is `all`."""

    stuck = State[dict[str, StuckStep]](default_factory=dict)

    @handler
    async def park(self, ctx: ObjectContext, step: StuckStep) -> None:
        """Put down a step that gave up."""
        stuck = await self.stuck.get(ctx)
        stuck[_place(step.saga, step.number)] = step.model_copy(update={"since": ctx.now()})
        self.stuck.set(ctx, stuck)

    @handler(name="list")
    async def list_all(self, ctx: ObjectSharedContext) -> list[StuckStep]:
        """List what is stuck, oldest first; a saga that was killed is not."""
        stuck = (await self.stuck.get(ctx)).values()
        sagas = dict.fromkeys(step.saga for step in stuck)
        over = [saga for saga in sagas if await has_ended(ctx, invocation_of(saga))]
        return [step for step in stuck if step.saga not in over]

    @handler(raises=[NotStuck])
    async def decide(self, ctx: ObjectContext, request: DecisionRequest) -> list[StuckStep]:
        """Answer what is stuck of a saga; gives the steps that were answered.

        Each step is answered once: what is not stuck any more is not found.
        """
        stuck = await self.stuck.get(ctx)
        found = [step for step in stuck.values() if step.saga == request.saga and request.number in (None, step.number)]
        if not found:
            raise NotStuck(saga=request.saga, at="" if request.number is None else f" at step {request.number}")
        for step in found:
            del stuck[_place(step.saga, step.number)]
            await step.answer.resolve(ctx, request.decision)
        self.stuck.set(ctx, stuck)
        return found


class SagaLog(VirtualObject):
    """The records of sagas; the key is the saga's id."""

    record = State[SagaRecord | None](default=None)

    @handler
    async def keep(self, ctx: ObjectContext, record: SagaRecord) -> None:
        """Keep what a saga tells of itself, instead of what it told before."""
        before = await self.record.get(ctx)
        now = ctx.now()
        started = now if before is None else before.started_at
        self.record.set(ctx, record.model_copy(update={"started_at": started, "updated_at": now}))

    @handler(raises=[UnknownSaga])
    async def show(self, ctx: ObjectSharedContext) -> SagaRecord:
        """Return what the saga told last."""
        record = await self.record.get(ctx)
        if record is None:
            raise UnknownSaga(saga=ctx.key)
        return record

    @handler
    async def forget(self, ctx: ObjectContext) -> None:
        """Remove the record."""
        self.record.clear(ctx)


def saga_services() -> list[VirtualObject]:
    """Return what an app hosts so that its sagas can be listed, resumed and explained.

    app = App([Trip(), *saga_services()])
    """
    return [StuckSagas(), SagaLog()]


def invocation_of(saga: str) -> str:
    """Return the id of the invocation that runs a saga; its second one and others have a number behind theirs."""
    return saga.partition(".")[0]


def _place(saga: str, number: int) -> str:
    return f"{saga}#{number}"
