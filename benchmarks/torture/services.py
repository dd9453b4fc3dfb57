"""The services under load: calls, sends, delays, timers, promises, awakeables, sagas and concurrent branches.

Every step leaves an effect that names the operation and the step, so that the check can tell what ran and when.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import anyio

from benchmarks.torture.effects import leave
from restate_patterns import (
    App,
    Context,
    DurablePromise,
    ObjectContext,
    ObjectSharedContext,
    RetryPolicy,
    Service,
    State,
    Step,
    TerminalError,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    handler,
)

QUICK = RetryPolicy(initial=timedelta(milliseconds=1), maximum=timedelta(milliseconds=20))
FLAKY_RATE = 0.2
BRANCHES = 3
BRANCH_STEPS = 4
NEVER = timedelta(days=1)


class Refused(TerminalError, code=409):  # noqa: N818  named as a person would say it
    """A part of the trip is not to be had."""

    part: str


@dataclass(frozen=True)
class Add:
    """Put an amount on an account; `prefix` names the steps when the operation has several accounts."""

    operation: str
    amount: int
    prefix: str = ""


@dataclass(frozen=True)
class Transfer:
    """Move an amount from one account to another."""

    operation: str
    source: str
    target: str
    amount: int


@dataclass(frozen=True)
class Scatter:
    """Send an amount to each of some accounts, later."""

    operation: str
    targets: list[str]
    amount: int
    delay_ms: int


@dataclass(frozen=True)
class Nap:
    """Sleep between steps."""

    operation: str
    sleep_ms: int


@dataclass(frozen=True)
class TripRequest:
    """Book a flight and a car and pay; fail at a part, if one is given."""

    operation: str
    flight: str
    car: str
    fail_at: str | None


@dataclass(frozen=True)
class Fork:
    """Run branches of several steps of the same name, with one of the ways Python has for it."""

    operation: str
    way: str


async def flaky(invocation: str, operation: str, step: str) -> str:
    """Fail now and then before leaving the effect; the step's own retries must mend it."""
    await asyncio.sleep(random.random() * 0.004)
    if random.random() < FLAKY_RATE:
        raise ConnectionError("the other side is not there")
    return leave(invocation, operation, step)


async def step(ctx: Context, operation: str, name: str, *, wire_name: str | None = None) -> str:
    """Run one step that leaves an effect."""
    return await ctx.run(Step(wire_name or name, retry=QUICK), flaky, ctx.invocation_id, operation, name)


class Account(VirtualObject, name="TortureAccount"):
    """Reads, waits for a step, writes: loses money unless it has a single writer."""

    balance = State[int](default=0)
    count = State[int](default=0)

    @handler
    async def add(self, ctx: ObjectContext, request: Add) -> int:
        balance, count = await self.balance.get(ctx), await self.count.get(ctx)
        self.count.set(ctx, count + 1)
        await ctx.run("note", leave, ctx.invocation_id, request.operation, f"{request.prefix}note")
        self.balance.set(ctx, balance + request.amount)
        return request.amount

    @handler
    async def read(self, ctx: ObjectSharedContext) -> list[int]:
        return [await self.balance.get(ctx), await self.count.get(ctx)]


class Bank(Service, name="TortureBank"):
    """Calls and sends between services."""

    @handler
    async def transfer(self, ctx: Context, request: Transfer) -> str:
        operation, amount = request.operation, request.amount
        source, target = (ctx.object_client(Account, key) for key in (request.source, request.target))
        first = await step(ctx, operation, "begin")
        await source.add(Add(operation, -amount, "from."))
        second = await step(ctx, operation, "middle")
        await target.add(Add(operation, amount, "to."))
        return " ".join([first, second, await step(ctx, operation, "end")])

    @handler
    async def scatter(self, ctx: Context, request: Scatter) -> int:
        await step(ctx, request.operation, "begin")
        for number, target in enumerate(request.targets):
            message = Add(request.operation, request.amount, f"{number}.")
            delay = timedelta(milliseconds=request.delay_ms * number)
            await ctx.object_client(Account, target).add.send_after(delay, message)
        return len(request.targets)


class Timers(Service, name="TortureTimers"):
    """Durable timers behind `asyncio.sleep` and `asyncio.timeout`."""

    @handler
    async def nap(self, ctx: Context, request: Nap) -> str:
        first = await step(ctx, request.operation, "before")
        await asyncio.sleep(request.sleep_ms / 1000)
        second = await step(ctx, request.operation, "after")
        try:
            async with asyncio.timeout(request.sleep_ms / 1000):
                await ctx.awakeable(str)
        except TimeoutError:
            return " ".join([first, second, await step(ctx, request.operation, "timeout")])
        return "woken by nobody"


class Approval(Workflow, name="TortureApproval"):
    """Waits for a durable promise."""

    decision = DurablePromise[str]()

    @handler
    async def run(self, ctx: WorkflowContext, operation: str) -> str:
        await step(ctx, operation, "asked")
        decision = await self.decision.value(ctx)
        await step(ctx, operation, "decided")
        return decision

    @handler
    async def decide(self, ctx: WorkflowSharedContext, decision: str) -> None:
        await self.decision.resolve(ctx, decision)


class Callbacks(Service, name="TortureCallbacks"):
    """Tells the id of an awakeable to the world and waits for its answer."""

    @handler
    async def wait(self, ctx: Context, operation: str) -> str:
        awakeable = ctx.awakeable(str)
        await ctx.run("publish", leave, ctx.invocation_id, operation, "published", str(awakeable.id))
        answer = await awakeable
        await step(ctx, operation, "answered")
        return answer


class Seats(VirtualObject, name="TortureSeats"):
    """What trips are made of."""

    taken = State[int](default=0)

    @handler
    async def reserve(self, ctx: ObjectContext, request: Add) -> int:
        await step(ctx, request.operation, f"{request.prefix}reserve")
        self.taken.set(ctx, await self.taken.get(ctx) + 1)
        return request.amount

    @handler
    async def release(self, ctx: ObjectContext, request: Add) -> None:
        await step(ctx, request.operation, f"{request.prefix}release")
        self.taken.set(ctx, await self.taken.get(ctx) - 1)

    @handler
    async def read(self, ctx: ObjectSharedContext) -> int:
        return await self.taken.get(ctx)


class Trips(Service, name="TortureTrips"):
    """A saga: what was reserved is released in reverse order when a later part is refused."""

    @handler(raises=[Refused])
    async def book(self, ctx: Context, request: TripRequest) -> str:
        undo: list[Callable[[], Awaitable[object]]] = []
        try:
            for part, key in (("flight", request.flight), ("car", request.car)):
                if request.fail_at == part:
                    raise Refused(part=part)
                seats = ctx.object_client(Seats, key)
                message = Add(request.operation, 1, f"{part}.")
                await seats.reserve(message)
                undo.append(lambda seats=seats, message=message: seats.release(message))  # type: ignore[misc]  # mypy cannot infer lambdas with defaults
            await step(ctx, request.operation, "pay")
            undo.append(lambda: step(ctx, request.operation, "refund"))
            if request.fail_at == "payment":
                raise Refused(part="payment")
        except TerminalError:
            for action in reversed(undo):
                await action()
            raise
        return "booked"


class Forks(Service, name="TortureForks"):
    """Concurrent branches whose steps all have the same name."""

    @handler
    async def run(self, ctx: Context, request: Fork) -> list[list[str]]:
        results: list[list[str]] = [[] for _ in range(BRANCHES)]

        async def branch(number: int) -> None:
            for index in range(BRANCH_STEPS):
                results[number].append(await step(ctx, request.operation, f"{number}.{index}", wire_name="work"))

        if request.way == "gather":
            await asyncio.gather(*[branch(number) for number in range(BRANCHES)])
        elif request.way == "task group":
            async with asyncio.TaskGroup() as tasks:
                for number in range(BRANCHES):
                    tasks.create_task(branch(number))
        else:
            async with anyio.create_task_group() as group:
                for number in range(BRANCHES):
                    group.start_soon(branch, number)
        return results


app = App([Account(), Bank(), Timers(), Approval(), Callbacks(), Seats(), Trips(), Forks()])
