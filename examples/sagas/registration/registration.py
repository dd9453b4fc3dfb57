"""The registration of one user, from the form to the welcome: a saga that waits for a person.

It claims the address, mails a code, and waits for somebody who has read it; for days, if need be, at no cost.
Only that is what must not be got wrong: nobody is mailed a welcome who has not proven the address, and whoever
never answers leaves the address as free as before.
"""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import dataclass
from datetime import timedelta

from pydantic import BaseModel

from examples.sagas.registration.addresses import Address, AddressTaken
from examples.sagas.registration.letters import Letters
from restate_patterns import (
    AlreadyCompleted,
    DurablePromise,
    RetryPolicy,
    Saga,
    State,
    Step,
    TerminalError,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    handler,
)

UNTIL_SENT = RetryPolicy(initial=timedelta(milliseconds=100), maximum=timedelta(minutes=5))
MAIL_CODE = Step("mail the code", retry=UNTIL_SENT, timeout=timedelta(seconds=10))
MAIL_WELCOME = Step("mail the welcome", retry=UNTIL_SENT, timeout=timedelta(seconds=10))


class User(BaseModel):
    """What the form says."""

    name: str
    email: str


class WrongCode(TerminalError, code=403):
    """This is not the code that was mailed."""


class NeverVerified(TerminalError, code=408):
    """Nobody has answered the mail in time."""


class TooLate(TerminalError, code=410):
    """The registration had ended when the answer came."""

    message = "too late, the registration has ended: {reason}"
    reason: str


@dataclass
class Registration(Workflow):
    """Registers one user; its key is the user's id.

    Args:
        letters: Where mails go.
        patience: How long the user has to verify.
    """

    letters: Letters
    patience: timedelta
    progress = State[str](default="unknown")
    code = State[str]()
    verified = DurablePromise[bool]()

    # --8<-- [start:run]
    @handler(raises=[AddressTaken, NeverVerified])
    async def run(self, ctx: WorkflowContext, user: User) -> str:
        """Register the user and give the id, or leave nothing behind."""
        address = ctx.object_client(Address, user.email)
        try:
            async with Saga(ctx, name="registration", logged=True) as saga:
                await saga.call(address.claim, ctx.key).undo(address.release)
                code = ctx.uuid4().hex
                self.code.set(ctx, code)
                await saga.run(MAIL_CODE, self.letters.code, str(ctx.uuid4()), user.email, code)
                self.progress.set(ctx, "waits for the code")
                await self._verified_in_time(ctx)

                saga.pivot()  # a user who has answered stays
                await saga.call(address.verify, ctx.key)
                await saga.run(MAIL_WELCOME, self.letters.welcome, str(ctx.uuid4()), user.email)
        except TerminalError as error:
            self.progress.set(ctx, f"not registered: {error.message}")
            await self._answered_before(ctx, error)
            raise
        self.progress.set(ctx, "registered")
        return ctx.key

    # --8<-- [end:run]

    async def _verified_in_time(self, ctx: WorkflowContext) -> None:
        try:
            async with asyncio.timeout(self.patience.total_seconds()):
                await self.verified.value(ctx)
        except TimeoutError:
            if not await self._answered_before(ctx, NeverVerified()):
                raise NeverVerified from None

    async def _answered_before(self, ctx: WorkflowContext, end: TerminalError) -> bool:
        """Take no answer from here on; tells whether there is one already: of the two, one comes first."""
        try:
            await self.verified.reject(ctx, TooLate(reason=end.message))
        except AlreadyCompleted:
            return True
        return False

    @handler(raises=[WrongCode, TooLate])
    async def verify(self, ctx: WorkflowSharedContext, code: str) -> None:
        """Answer the mail. Other tries are free: a wrong code changes nothing."""
        if not hmac.compare_digest(code, await self.code.get(ctx, "")):
            raise WrongCode
        try:
            await self.verified.resolve(ctx, True)
        except AlreadyCompleted:
            await self.verified.peek(ctx)  # the same answer again is fine; one that is too late hears why

    @handler
    async def status(self, ctx: WorkflowSharedContext) -> str:
        """Tell how far the registration is."""
        return await self.progress.get(ctx)
