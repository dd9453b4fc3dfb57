"""What users are mailed: one letter per key, however often the provider has to be asked."""

from __future__ import annotations

from dataclasses import dataclass

from examples.sagas.remote import RemoteApi


@dataclass(frozen=True)
class Letters:
    """Sends letters.

    Args:
        api: The mail provider.
    """

    api: RemoteApi

    async def code(self, key: str, email: str, code: str) -> None:
        """Send the code that proves that the address is read."""
        await self._send(key, email, "Is this your address?", code)

    async def welcome(self, key: str, email: str) -> None:
        """Greet a user whose address is proven."""
        await self._send(key, email, "Welcome", "Good to have you here.")

    async def _send(self, key: str, email: str, subject: str, text: str) -> None:
        letter = {"to": email, "subject": subject, "text": text}
        await self.api.post("/messages", letter, idempotency_key=key)
