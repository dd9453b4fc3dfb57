"""Calling a provider over HTTP, and telling trouble from refusal.

The difference decides everything in a saga. *Trouble* (no connection, no answer, a 5xx) says nothing
about what happened: the step tries again. A *refusal* (a 4xx) is an answer: a terminal error, which
is not retried and makes the saga undo what it has done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpx
from pydantic import BaseModel, JsonValue

from restate_patterns import TerminalError


class ProviderTrouble(Exception):
    """A provider gave no answer, or none that says what happened; worth another try."""


class Refused(TerminalError, code=422):
    """The provider refused the request."""

    status: int
    reason: str


class Refusal(BaseModel):
    """The body of a provider's 4xx."""

    reason: str = "no reason given"


@dataclass(frozen=True)
class RemoteApi:
    """A provider's HTTP API as JSON in, JSON out.

    Args:
        http: A client whose `base_url` is the provider's.
    """

    http: httpx.AsyncClient

    async def post(
        self, path: str, body: Mapping[str, JsonValue] | None = None, *, idempotency_key: str | None = None
    ) -> bytes:
        """Post `body` and give the body of the answer.

        Raises:
            ProviderTrouble: Nobody knows whether it happened (retried by the step).
            Refused: It did not happen, and never will (terminal).
        """
        headers = {} if idempotency_key is None else {"idempotency-key": idempotency_key}
        try:
            response = await self.http.post(path, json=dict(body or {}), headers=headers)
        except httpx.ConnectError as error:
            raise ProviderTrouble(
                f"nothing answers at {self.http.base_url}: start it with `python -m examples.providers`"
            ) from error
        except httpx.TransportError as error:
            raise ProviderTrouble(f"no answer to {path}: {error!r}") from error
        if response.is_server_error:
            raise ProviderTrouble(f"{path} answered {response.status_code}")
        if response.is_client_error:
            raise Refused(status=response.status_code, reason=Refusal.model_validate_json(response.content).reason)
        return response.content


def connect(url: str) -> RemoteApi:
    """Give the API at `url`; it connects when it is first called, and past any proxy."""
    encrypted = url.startswith("https:")  # else nothing is there to verify, and certificates take 70 ms to read
    return RemoteApi(httpx.AsyncClient(base_url=url, timeout=10, trust_env=False, verify=encrypted))
