"""The admin API as the command asks it; every trouble is a sentence with an exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, cast
from urllib.parse import quote

import httpx

from restate_patterns.cli.exits import CommandError, Exit
from restate_patterns.client.errors import ServerUnreachable, UnexpectedAnswer
from restate_patterns.client.urls import checked_url, is_loopback

JsonObject = Mapping[str, object]

_TIMEOUT_S: Final = 60.0
_CODES: Final = {404: Exit.NOT_FOUND, 401: Exit.NO_SERVER, 403: Exit.NO_SERVER}


class AdminClient:
    """Asks the admin API of a server.

    Args:
        url: Where it is.
        token: Sent as `authorization: Bearer ...`.

    Raises:
        CommandError: The URL is none of a server.
    """

    def __init__(self, url: str, token: str | None) -> None:
        try:
            self._url = checked_url(url)
        except ValueError as error:
            raise CommandError(Exit.USAGE, str(error)) from None
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self._http = httpx.Client(headers=headers, timeout=_TIMEOUT_S, trust_env=not is_loopback(url))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ask(
        self,
        method: str,
        *path: str,
        query: Sequence[tuple[str, str]] = (),
        json: object = None,
    ) -> JsonObject:
        """Ask and give the JSON object of the answer; `{}` for an answer without one.

        Raises:
            CommandError: No server, no such thing, or refused.
        """
        url = self._url + "".join(f"/{quote(part, safe='')}" for part in path)
        try:
            answer = self._http.request(method, url, params=list(query), json=json)
        except httpx.TransportError as error:
            raise CommandError(Exit.NO_SERVER, f"{ServerUnreachable(self._url, str(error))} with --admin-url") from None
        if answer.is_success and not answer.content:
            return {}
        if "x-restate-error-source" in answer.headers:
            raise CommandError(
                Exit.NO_SERVER, f"{self._url} is an ingress: give the URL of the admin API, by default on port 9070"
            )
        fields = _object(answer)
        if answer.is_success:
            return fields
        message = fields.get("message")
        if not isinstance(message, str):
            raise _strange(answer)
        raise CommandError(_CODES.get(answer.status_code, Exit.REFUSED), message)


def _object(answer: httpx.Response) -> JsonObject:
    try:
        found: object = answer.json()
    except ValueError:
        raise _strange(answer) from None
    if not isinstance(found, Mapping):
        raise _strange(answer)
    return cast("JsonObject", found)


def _strange(answer: httpx.Response) -> CommandError:
    unexpected = UnexpectedAnswer(str(answer.request.url), answer.status_code, answer.text)
    return CommandError(Exit.NO_SERVER, str(unexpected))
