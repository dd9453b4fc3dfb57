"""Mails to users: one per notice, however often the mail server has to be asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from pydantic import BaseModel

from examples.sagas.remote import RemoteApi
from restate_patterns import Context, Service, Step, handler

MAIL = Step("mail", timeout=timedelta(seconds=5))


class Notice(BaseModel):
    """What to tell whom."""

    user_id: str
    subject: str
    tickets: list[str]


@dataclass(frozen=True)
class Mail:
    """The mail provider.

    Args:
        api: Its HTTP API.
    """

    api: RemoteApi

    async def send(self, key: str, notice: Notice) -> None:
        """Send one message, once per `key`."""
        await self.api.post("/messages", notice.model_dump(mode="json"), idempotency_key=key)


@dataclass
class Notifications(Service):
    """Sends mails.

    Args:
        mail: The mail provider.
    """

    mail: Mail

    @handler
    async def notify(self, ctx: Context, notice: Notice) -> None:
        """Mail a notice to its user."""
        await ctx.run(MAIL, self.mail.send, str(ctx.uuid4()), notice)
