"""A workflow that waits for a person, and an awakeable whose id travels in a model."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from pydantic import BaseModel

from restate_patterns import (
    App,
    AwakeableId,
    Context,
    DurablePromise,
    Service,
    State,
    TerminalError,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    handler,
)


class User(BaseModel):
    name: str
    email: str


class MailEvent(BaseModel):
    registration: str
    code: str


class WrongCode(TerminalError, code=403): ...  # noqa: N818


class Mail:
    def __init__(self) -> None:
        self.sent: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def send_code(self, to: str, code: str) -> None:
        self.sent.put_nowait((to, code))


@dataclass
class Registration(Workflow):
    mail: Mail
    step = State[str](default="started")
    code = State[str]()
    verified = DurablePromise[bool]()

    @handler
    async def run(self, ctx: WorkflowContext, user: User) -> bool:
        code = ctx.uuid4().hex
        self.code.set(ctx, code)
        await ctx.run("mail the code", self.mail.send_code, user.email, code)
        try:
            async with asyncio.timeout(timedelta(days=3).total_seconds()):
                ok = await self.verified.value(ctx)
        except TimeoutError:
            ok = False
        self.step.set(ctx, "verified" if ok else "expired")
        return ok

    @handler
    async def verify(self, ctx: WorkflowSharedContext, code: str) -> None:
        if code != await self.code.get(ctx):
            raise WrongCode
        await self.verified.resolve(ctx, True)

    @handler
    async def progress(self, ctx: WorkflowSharedContext) -> str:
        return await self.step.get(ctx)


class MailEvents(Service):
    @handler
    async def clicked(self, ctx: Context, event: MailEvent) -> None:
        await ctx.workflow_client(Registration, event.registration).verify(event.code)


class Approval(BaseModel):
    token: AwakeableId[bool]


class Human(Service):
    @handler
    async def ask(self, ctx: Context, question: str) -> bool:
        approval = ctx.awakeable(bool)
        await ctx.service_client(Human).tell.send(Approval(token=approval.id))
        return await approval

    @handler
    async def tell(self, ctx: Context, approval: Approval) -> None:
        await approval.token.resolve(ctx, True)


mail = Mail()
app = App([Registration(mail), MailEvents(), Human()])
