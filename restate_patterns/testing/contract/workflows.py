"""Workflows: one run per key, handlers beside it, durable promises."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from pydantic import BaseModel

from restate_patterns.api.context import Context, WorkflowContext, WorkflowSharedContext
from restate_patterns.api.definitions import Service, Workflow
from restate_patterns.api.handlers import handler
from restate_patterns.api.invocation_handles import NotReady
from restate_patterns.api.promises import DurablePromise
from restate_patterns.api.state import State
from restate_patterns.client.errors import RequestRefused
from restate_patterns.errors import (
    AlreadyCompleted,
    AlreadyInvoked,
    Cancelled,
    InvalidInput,
    InvocationNotFound,
    TerminalError,
)
from restate_patterns.seam import Request, Target
from restate_patterns.testing.contract.expect import becomes, equal, raised, true
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage
from restate_patterns.testing.contract.steps import Declined


class Answer(BaseModel):
    """What a promise is resolved with."""

    by: str
    yes: bool = True


class Claim(Recording, Workflow, name="ContractClaim"):
    approval = DurablePromise[Answer]()
    progress = State[str](default="not started")

    @handler
    async def run(self, ctx: WorkflowContext, amount: int) -> str:
        self.progress.set(ctx, "waiting")
        await ctx.run("begun", self.seen.act, ctx.key, "begun")
        answer = await self.approval.value(ctx)
        self.progress.set(ctx, "done")
        return f"{amount} by {answer.by}"

    @handler
    async def status(self, ctx: WorkflowSharedContext) -> str:
        return await self.progress.get(ctx)

    @handler
    async def approve(self, ctx: WorkflowSharedContext, by: str) -> str:
        try:
            await self.approval.resolve(ctx, Answer(by=by))
        except AlreadyCompleted as error:
            return f"{error.code}"
        return "approved"

    @handler
    async def approve_or_raise(self, ctx: WorkflowSharedContext, by: str) -> None:
        await self.approval.resolve(ctx, Answer(by=by))

    @handler
    async def refuse(self, ctx: WorkflowSharedContext, reason: str) -> None:
        await self.approval.reject(ctx, Declined(reason=reason, limit=3))

    @handler
    async def peek(self, ctx: WorkflowSharedContext) -> str | None:
        answer = await self.approval.peek(ctx)
        return None if isinstance(answer, NotReady) else answer.by

    @handler
    async def wait(self, ctx: WorkflowSharedContext) -> str:
        return (await self.approval.value(ctx)).by


class Looks(Recording, Workflow, name="ContractLooks"):
    answer = DurablePromise[str]()

    @handler
    async def run(self, ctx: WorkflowContext) -> list[str]:
        before = await self.answer.peek(ctx)
        own = await ctx.workflow_client(Looks, ctx.key).run.handle().output()
        await ctx.run("hold", self.seen.hold, ctx.key, "hold")
        return [type(before).__name__, type(own).__name__, await self.answer.value(ctx)]

    @handler
    async def tell(self, ctx: WorkflowSharedContext, answer: str) -> None:
        await self.answer.resolve(ctx, answer)


class Failing(Recording, Workflow, name="ContractFailingWorkflow"):
    @handler
    async def run(self, ctx: WorkflowContext) -> str:
        await ctx.run("begun", self.seen.act, ctx.key, "begun")
        raise TerminalError("no", code=418)


class Clerk(Recording, Service, name="ContractClerk"):
    @handler
    async def run_again(self, ctx: Context, key: str) -> str:
        try:
            return await ctx.workflow_client(Claim, key).run(1)
        except AlreadyInvoked as error:
            return f"{error.code}"

    @handler
    async def attach(self, ctx: Context, key: str) -> str:
        return await ctx.workflow_client(Claim, key).run.handle().result()


DEFINITIONS = (Claim, Looks, Failing, Clerk)


@guarantee
async def runs_once(stage: Stage) -> None:
    """A workflow runs once per key: a second run is refused with 409, from outside and inside, also at the end."""
    key = stage.key()
    claim = stage.client.workflow_client(Claim, key)
    sent = await claim.run.send(5)
    await stage.seen.until(key, "begun")
    equal((await raised(AlreadyInvoked, claim.run(6))).code, 409)
    equal(await stage.client.service_client(Clerk).run_again(key), "409")
    await claim.approve("ann")
    equal(await sent.result(), "5 by ann")
    await raised(AlreadyInvoked, claim.run(7))
    equal(stage.seen.notes(key), ["begun"])


@guarantee
async def bad_input_uses_up_no_key(stage: Stage) -> None:
    """A run whose argument is none is refused with 400, and its key is free for the right one, called or sent."""
    key = stage.key()
    for body in (b'"five"', b"5 and a half"):
        request = Request(Target("ContractClaim", "run", key), body, {"content-type": "application/json"})
        equal((await raised(InvalidInput, stage.caller.call(request, None))).code, 400)
        equal((await raised(InvalidInput, stage.caller.send(request, 0))).code, 400)
        equal((await raised(InvalidInput, stage.caller.send(request, 60_000))).code, 400)
    claim = stage.client.workflow_client(Claim, key)
    sent = await claim.run.send(5)
    await claim.approve("ann")
    equal(await sent.result(), "5 by ann")


@guarantee
async def second_send_joins(stage: Stage) -> None:
    """A second send of a run gives the first one's handle; its argument is ignored."""
    claim = stage.client.workflow_client(Claim, stage.key())
    first, second = await claim.run.send(5), await claim.run.send(6)
    equal(second.id, first.id)
    await claim.approve("ann")
    equal(await second.result(), "5 by ann")


@guarantee
async def two_at_the_same_time(stage: Stage) -> None:
    """Of two runs asked for at the same moment one happens."""
    key = stage.key()
    claim = stage.client.workflow_client(Claim, key)
    await claim.approve("ann")
    found = await asyncio.gather(claim.run(5), claim.run(5), return_exceptions=True)
    equal(sorted(type(each).__name__ for each in found), ["AlreadyInvoked", "str"])
    equal(stage.seen.notes(key), ["begun"])


@guarantee
async def found_by_key(stage: Stage) -> None:
    """The run of a key is found by the key alone: its output, its result, from outside and inside."""
    key = stage.key()
    claim = stage.client.workflow_client(Claim, key)
    await raised(InvocationNotFound, claim.run.handle().output())
    await claim.run.send(5)
    await stage.seen.until(key, "begun")
    true(isinstance(await claim.run.handle().output(), NotReady), "there is an output before the end")
    await claim.approve("ann")
    equal(await claim.run.handle().result(), "5 by ann")
    equal(await claim.run.handle().output(), "5 by ann")
    equal(await stage.client.service_client(Clerk).attach(key), "5 by ann")


@guarantee
async def beside_the_run(stage: Stage) -> None:
    """The other handlers are answered before, while and after it runs, and see its state."""
    key = stage.key()
    claim = stage.client.workflow_client(Claim, key)
    equal(await claim.status(), "not started")
    sent = await claim.run.send(5)
    await stage.seen.until(key, "begun")
    await becomes(claim.status, "waiting")
    await claim.approve("ann")
    await sent.result()
    equal(await claim.status(), "done")


@guarantee
async def failure_is_kept(stage: Stage) -> None:
    """A run that failed has happened: its error can be had again, and it does not run again."""
    key = stage.key()
    failing = stage.client.workflow_client(Failing, key)
    equal((await raised(TerminalError, failing.run())).code, 418)
    equal((await raised(TerminalError, failing.run.handle().result())).code, 418)
    await raised(AlreadyInvoked, failing.run())
    equal(stage.seen.notes(key), ["begun"])


@guarantee
async def no_idempotency_key(stage: Stage) -> None:
    """An idempotency key on a run is refused with 400: the workflow's key is one."""
    run = stage.client.workflow_client(Claim, stage.key()).run.with_options(idempotency_key="k")
    equal((await raised(RequestRefused, run(5))).code, 400)


@guarantee
async def promise_wakes_everybody(stage: Stage) -> None:
    """A promise that is resolved is given to the run and to each handler that waits, then and later."""
    claim = stage.client.workflow_client(Claim, stage.key())
    sent = await claim.run.send(5)
    waiting = [await claim.wait.send() for _ in range(3)]
    equal(await claim.peek(), None)
    equal(await claim.approve("ann"), "approved")
    equal(await sent.result(), "5 by ann")
    equal([await each.result() for each in waiting], ["ann"] * 3)
    equal(await claim.wait(), "ann")
    equal(await claim.peek(), "ann")


@guarantee
async def promise_before_the_run(stage: Stage) -> None:
    """A promise may be answered before the workflow runs."""
    claim = stage.client.workflow_client(Claim, stage.key())
    equal(await claim.approve("bob"), "approved")
    equal(await claim.run(5), "5 by bob")


@guarantee
async def promise_answered_once(stage: Stage) -> None:
    """A second answer to a promise, of whatever kind, is refused with 409, and the first one stands."""
    claim = stage.client.workflow_client(Claim, stage.key())
    equal(await claim.approve("ann"), "approved")
    equal(await claim.approve("eve"), "409")
    equal((await raised(AlreadyCompleted, claim.approve_or_raise("eve"))).code, 409)
    await raised(AlreadyCompleted, claim.refuse("no"))
    equal(await claim.peek(), "ann")


@guarantee
async def looks_replay(stage: Stage) -> None:
    """What a handler saw when it looked at a promise or an output is what it sees on replay."""
    key = stage.key()
    sent = await stage.client.workflow_client(Looks, key).run.send()
    await stage.seen.until(key, "hold")
    await stage.client.workflow_client(Looks, key).tell("told")
    await stage.restart()
    stage.seen.open(key, "hold")
    equal(await stage.client.invocation(Looks.run, sent.id).result(), ["NotReady", "NotReady", "told"])


@guarantee
async def cancelled_by_key(stage: Stage) -> None:
    """A run is cancelled by the handle of its key."""
    key = stage.key()
    run = stage.client.workflow_client(Claim, key).run
    await run.send(5)
    await stage.seen.until(key, "begun")
    await run.handle().cancel()
    await raised(Cancelled, run.handle().result())


@guarantee
async def scheduled_and_cancelled(stage: Stage) -> None:
    """A run that is cancelled before it is due has not happened: its key is free."""
    claim = stage.client.workflow_client(Claim, stage.key())
    scheduled = await claim.run.send_after(timedelta(hours=1), 5)
    await raised(AlreadyInvoked, claim.run(6))
    await scheduled.cancel()
    await claim.approve("ann")
    equal(await claim.run(7), "7 by ann")


@guarantee
async def promise_race(stage: Stage) -> None:
    """Of many answers at the same moment one is taken."""
    claim = stage.client.workflow_client(Claim, stage.key())
    found = await asyncio.gather(*(claim.approve(f"{number}") for number in range(8)))
    equal(sorted(found), ["409"] * 7 + ["approved"])
    equal(await claim.peek(), f"{found.index('approved')}")


@guarantee
async def promise_rejected(stage: Stage) -> None:
    """A rejected promise raises its error, with its class and fields, at whoever waits or looks."""
    key = stage.key()
    claim = stage.client.workflow_client(Claim, key)
    sent = await claim.run.send(5)
    await claim.refuse("too much")
    error = await raised(Declined, sent.result())
    equal((error.code, error.reason, error.limit), (402, "too much", 3))
    equal((await raised(Declined, claim.wait())).reason, "too much")
    equal((await raised(Declined, claim.peek())).reason, "too much")


@guarantee
async def over_a_restart(stage: Stage) -> None:
    """A run that waits for a promise goes on after a restart, and so does an answer that was given before."""
    key, early_key = stage.key(), stage.key("early")
    sent = await stage.client.workflow_client(Claim, key).run.send(5)
    await stage.client.workflow_client(Claim, early_key).approve("bob")
    await stage.seen.until(key, "begun")
    await stage.restart()
    equal(await stage.client.workflow_client(Claim, key).approve("ann"), "approved")
    equal(await stage.client.invocation(Claim.run, sent.id).result(), "5 by ann")
    equal(await stage.client.workflow_client(Claim, early_key).run(6), "6 by bob")
