"""Questions to an admin API over HTTP, and their answers as JSON; every trouble is a typed error."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast
from urllib.parse import quote, urlencode

import httpx

from restate_patterns.admin.errors import NoAnswer, NotAnAdminApi, NotFound, Refused
from restate_patterns.client.errors import ServerUnavailable, ServerUnreachable
from restate_patterns.client.resolving import AdminRequest, query, rows_of, unexpected
from restate_patterns.client.urls import checked_url, is_loopback
from restate_patterns.limits import ADMIN_TIMEOUT_S
from restate_patterns.system.tls import trusted_for

JsonObject: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered: status, and the JSON object of its body (`{}` without one)."""

    status: int
    fields: JsonObject

    @property
    def success(self) -> bool:
        """Whether it was done."""
        return 200 <= self.status < 300

    @property
    def message(self) -> str:
        """The sentence of a refusal."""
        return str(self.fields.get("message", ""))

    def checked(self) -> Answer:
        """Return the answer itself when it was done.

        Raises:
            NotFound: 404.
            ServerUnavailable: 503.
            Refused: Anything else that is no success.
        """
        if self.success:
            return self
        if self.status == 404:
            raise NotFound(self.message)
        if self.status == 503:
            raise ServerUnavailable(self.message)
        code = self.fields.get("restate_code")
        raise Refused(self.status, self.message, code if isinstance(code, str) else None)


class Connection:
    """Asks one admin API.

    Args:
        url: Where it is.
        token: Sent as `authorization: Bearer ...`.
        transport: What carries the requests. Default: sockets.

    Raises:
        ValueError: The URL is none of a server.
    """

    def __init__(self, url: str, *, token: str | None, transport: httpx.AsyncBaseTransport | None) -> None:
        self.url = checked_url(url)
        self._http = httpx.AsyncClient(
            headers={} if token is None else {"authorization": f"Bearer {token}"},
            timeout=ADMIN_TIMEOUT_S,
            trust_env=not is_loopback(self.url),
            verify=trusted_for(self.url),
            transport=transport,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ask(
        self,
        method: str,
        *path: str,
        parameters: Sequence[tuple[str, str]] = (),
        body: object = None,
    ) -> Answer:
        """Ask, and give the answer, whatever it says.

        Raises:
            ServerUnreachable: No server answers.
            NoAnswer: It does not answer in time, or the connection broke.
            NotAnAdminApi: It is an ingress.
            UnexpectedAnswer: It is something else, or refuses the token.
        """
        where = "".join(f"/{quote(part, safe='')}" for part in path) + (
            f"?{urlencode(parameters)}" if parameters else ""
        )
        content = b"" if body is None else body_bytes(body)
        headers = {} if body is None else {"content-type": "application/json"}
        return _answer(await self.send(AdminRequest(method, where, content, headers)))

    async def rows(self, sql: str) -> Sequence[JsonObject]:
        """Return the rows of a SQL query.

        Raises:
            Refused: The server cannot run it.
        """
        answer = await query(sql, self.send)
        _answer(answer).checked()
        return rows_of(answer)

    async def send(self, request: AdminRequest) -> httpx.Response:
        """Ask, and give the answer as it came."""
        url = f"{self.url}{request.path}"
        try:
            answer = await self._http.request(
                request.method, url, content=request.content, headers=dict(request.headers)
            )
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise ServerUnreachable(self.url, _reason(error)) from None
        except httpx.TimeoutException:
            raise NoAnswer(f"{request.method} {request.path}", f"within {ADMIN_TIMEOUT_S:g} s") from None
        except httpx.TransportError as error:
            raise NoAnswer(f"{request.method} {request.path}", _reason(error)) from None
        if "x-restate-error-source" in answer.headers:
            raise NotAnAdminApi(self.url)
        return answer


def body_bytes(body: object) -> bytes:
    """Write the body of a request: JSON, as short as it goes."""
    return json.dumps(body, separators=(",", ":")).encode()


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _answer(answer: httpx.Response) -> Answer:
    if answer.is_success and not answer.content:
        return Answer(answer.status_code, {})
    try:
        found: object = json.loads(answer.content)
    except ValueError:
        if answer.status_code == 400 and answer.headers.get("content-type", "").startswith("text/plain"):
            # How Restate refuses a path that it cannot parse.
            return Answer(400, {"message": answer.text})
        raise unexpected(answer) from None
    if not isinstance(found, Mapping):
        raise unexpected(answer)
    fields = cast("JsonObject", found)
    if answer.status_code == 401 or (not answer.is_success and not isinstance(fields.get("message"), str)):
        raise unexpected(answer)
    return Answer(answer.status_code, fields)


def objects(fields: JsonObject, name: str) -> Sequence[JsonObject]:
    """Read a list of JSON objects from a field of an answer."""
    return cast("Sequence[JsonObject]", fields[name])
