"""`seam.Caller` over HTTP: an ingress and an admin API, with the retries that are safe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final
from urllib.parse import quote

import httpx
from typing_extensions import override

from restate_patterns.client import answers
from restate_patterns.client.errors import ClientClosed, OutcomeUnknown, ServerUnreachable
from restate_patterns.client.resolving import AdminRequest, resolve, server_version
from restate_patterns.client.servers import ServerVersion
from restate_patterns.client.urls import (
    admin_beside,
    checked_admin_url,
    checked_url,
    is_loopback,
    origin,
    ref_path,
    ref_words,
    target_path,
)
from restate_patterns.errors import UsageError
from restate_patterns.retries import RetryPolicy
from restate_patterns.seam import Accepted, Caller, InvocationRef, Request, ValueOrFailure
from restate_patterns.system.tls import trusted_for
from restate_patterns.values.failures import failure_text

RETRIES: Final = RetryPolicy(initial=timedelta(milliseconds=50), maximum=timedelta(seconds=2), max_attempts=8)
"""How a request is repeated where that is safe: for about five seconds."""

_CONNECT_S: Final = 5.0
_UNAVAILABLE: Final = (502, 503, 504)
_CLOSED: Final = (
    "the client is closed: its block (`async with Client(...)`, `async with app.start(...)`) has ended. Take another "
    "one; what was accepted goes on at the server, and its result can be asked for by its id or idempotency key"
)


class HttpCaller(Caller):
    """Calls handlers through the ingress of a server.

    A request is repeated when it was not sent at all, or when repeating it changes nothing: it has an
    idempotency key, or it only reads, or it completes an awakeable.

    Args:
        ingress_url: The ingress.
        admin_url: The admin API, for `cancel`. Default: the ingress's host, port 9070.
        token: Sent as `authorization: Bearer ...`.
        admin_token: The one of the admin API. Default: the same.
        retries: How it is repeated.
        transport: What carries the requests. Default: sockets.
    """

    def __init__(
        self,
        ingress_url: str,
        *,
        admin_url: str | None = None,
        token: str | None = None,
        admin_token: str | None = None,
        retries: RetryPolicy = RETRIES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._ingress_url = checked_url(ingress_url, "ingress_url")
        self._admin_url = checked_admin_url(admin_url) if admin_url else admin_beside(self._ingress_url)
        self._admin_headers = {} if admin_token is None else _bearer(admin_token)
        self._retries = retries
        self._server: ServerVersion | None = None
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._http = httpx.AsyncClient(
            headers={} if token is None else _bearer(token),
            timeout=httpx.Timeout(None, connect=_CONNECT_S),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
            # A proxy of the environment can't reach this machine's loopback.
            trust_env=not is_loopback(self._ingress_url),
            verify=trusted_for(self._ingress_url, self._admin_url),
            transport=transport,
        )

    async def aclose(self) -> None:
        """Close the connections; who still waits for an answer gets `ClientClosed`."""
        self._closed = True
        await self._http.aclose()

    @override
    async def call(self, request: Request, timeout_s: float | None) -> bytes:
        async with _bounded(timeout_s, f"the call of {request.target}"):
            return answers.output_of(await self._invoke(target_path(request.target), request))

    @override
    async def send(self, request: Request, delay_ms: int) -> str:
        return (await self.submit(request, delay_ms)).invocation_id

    async def submit(self, request: Request, delay_ms: int) -> Accepted:
        """Send, and give all that the server says of it; raises what `send` raises."""
        path = f"{target_path(request.target)}/send" + (f"?delay={delay_ms}ms" if delay_ms > 0 else "")
        return answers.accepted(await self._invoke(path, request))

    @override
    async def attach(self, ref: InvocationRef, timeout_s: float | None) -> bytes:
        async with _bounded(timeout_s, f"the wait for {ref_words(ref)}"):
            answer = await self._get(f"{ref_path(ref)}/attach")
            if answers.may_be_unknown(answer):
                # Restate answers as if the handler had failed with that; its `/output` does not.
                answers.check_known(await self._get(f"{ref_path(ref)}/output"))
            return answers.looked_up(answer)

    @override
    async def output(self, ref: InvocationRef) -> bytes | None:
        answer = await self._get(f"{ref_path(ref)}/output")
        return None if answer.status_code == answers.NOT_READY_STATUS else answers.looked_up(answer)

    @override
    async def cancel(self, ref: InvocationRef) -> None:
        invocation_id = await self._resolved(ref)
        url = f"{self._admin_url}/invocations/{quote(invocation_id, safe='')}/cancel"
        what = f"the cancel of {ref_words(ref)}"
        answer = await self._repeatable("PATCH", url, what, headers=self._admin_headers)
        refused = answers.refused_verb(answer, invocation_id)
        if refused is not None:
            raise refused

    @override
    async def complete_awakeable(self, awakeable_id: str, result: ValueOrFailure) -> None:
        url = f"{self._ingress_url}/restate/awakeables/{quote(awakeable_id, safe='')}/"
        if result.failure is not None:
            url, content, content_type = f"{url}reject", failure_text(result.failure).encode(), "text/plain"
        else:
            url, content, content_type = f"{url}resolve", result.value or b"", "application/json"
        headers = {"content-type": content_type}
        answer = await self._repeatable("POST", url, f"the completion of {awakeable_id}", content, headers)
        if not answer.is_success:
            raise answers.error_of(answer)

    @override
    async def complete_signal(self, ref: InvocationRef, name: str, result: ValueOrFailure) -> None:
        raise UsageError(
            f"the signal {name!r} of {ref_words(ref)} can't be answered over HTTP: servers have no request for that. "
            "Let a handler do it, as in `ctx.invocation(...).signal(...).resolve(...)`, and call that handler"
        )

    async def _invoke(self, path: str, request: Request) -> httpx.Response:
        headers = dict(request.headers)
        if request.body:
            headers.setdefault("content-type", "application/json")
        url, what = f"{self._ingress_url}{path}", f"the request to {request.target}"
        if not request.idempotency_key:
            return await self._once_sent("POST", url, what, request.body, headers)
        headers["idempotency-key"] = request.idempotency_key
        return await self._repeatable("POST", url, what, request.body, headers)

    async def _get(self, path: str) -> httpx.Response:
        return await self._repeatable("GET", f"{self._ingress_url}{path}", "reading a result")

    async def _resolved(self, ref: InvocationRef) -> str:
        if isinstance(ref, str):
            return ref

        async def ask(request: AdminRequest) -> httpx.Response:
            url, headers = f"{self._admin_url}{request.path}", {**self._admin_headers, **request.headers}
            return await self._repeatable(request.method, url, f"finding {ref_words(ref)}", request.content, headers)

        if self._server is None:
            self._server = await server_version(ask)
        return await resolve(ref, self._server.kind, ask)

    async def _once_sent(
        self, method: str, url: str, what: str, content: bytes, headers: Mapping[str, str]
    ) -> httpx.Response:
        """Send a request that must not be sent twice; repeat only while there is no connection."""
        failed_count = 0
        while True:
            try:
                return await self._request(method, url, content, headers)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failed_count += 1
                await self._again(failed_count, ServerUnreachable(origin(url), _reason(error)))
            except httpx.TransportError as error:
                raise OutcomeUnknown(what, _reason(error)) from None

    async def _repeatable(
        self,
        method: str,
        url: str,
        what: str,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        failed_count = 0
        while True:
            failed_count += 1
            failure: Exception
            try:
                answer = await self._request(method, url, content, headers or {})
                delay_ms = self._retries.delay_ms(failed_count)
                if answer.status_code not in _UNAVAILABLE or _is_output(answer) or delay_ms is None:
                    return answer
                failure = answers.unavailable(answer)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = ServerUnreachable(origin(url), _reason(error))
            except httpx.TransportError as error:
                failure = OutcomeUnknown(what, _reason(error))
            await self._again(failed_count, failure)

    async def _request(self, method: str, url: str, content: bytes, headers: Mapping[str, str]) -> httpx.Response:
        if self._closed:
            raise ClientClosed(_CLOSED)
        self._refuse_another_loop()
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        try:
            return await self._http.request(method, url, content=content, headers=raw)
        except httpx.LocalProtocolError as error:
            raise ValueError(f"a header or idempotency key cannot be sent: {error}") from None
        except httpx.TransportError:
            if self._closed:
                raise ClientClosed(_CLOSED) from None
            raise

    def _refuse_another_loop(self) -> None:
        """Keep to the event loop of the first request: the connections that are kept belong to it."""
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise UsageError(
                "the client was used in another event loop than before (another thread, another asyncio.run, a test "
                "with a loop of its own), which can't use its connections. Take one Client for each loop; for threads "
                "there is BlockingClient(URL)"
            )

    async def _again(self, failed_count: int, failure: Exception) -> None:
        """Wait for the next try, or raise after the last."""
        delay_ms = self._retries.delay_ms(failed_count)
        if delay_ms is None:
            raise failure
        await asyncio.sleep(delay_ms / 1000)


@asynccontextmanager
async def _bounded(timeout_s: float | None, what: str) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        raise TimeoutError(f"{what} took over {timeout_s} s; the invocation goes on") from None


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def _is_output(answer: httpx.Response) -> bool:
    source: str | None = answer.headers.get("x-restate-error-source")
    return source == "invocation"


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
