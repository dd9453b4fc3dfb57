"""The ingress: calls, sends, attach and output, awakeables over HTTP.

It checks what can be checked without running anything (path, method, content type, size) and leaves
the rest to the engine. See `docs/` for the surface; it answers as a Restate server does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from typing_extensions import override

from restate_patterns.engine.interface import CompletedResult, EngineInterface
from restate_patterns.errors import Failure
from restate_patterns.http.asgi import Headers, Response, Scope
from restate_patterns.http.bodies import Body
from restate_patterns.http.callers import Callers
from restate_patterns.http.codings import codings_of, decoded
from restate_patterns.http.door import Responder
from restate_patterns.http.inputs import check_argument, check_input
from restate_patterns.http.paths import Asked, CompleteAwakeable, Health, Invoke, LookAt, parse, query_of
from restate_patterns.http.problems import Problem
from restate_patterns.limits import PATHS_KNOWN_MAX
from restate_patterns.seam import HandlerInfo, HandlerKind, Request, ServiceKind, ValueOrFailure
from restate_patterns.text.durations import parse_duration_ms, rfc3339
from restate_patterns.values.failures import failure_of_text
from restate_patterns.values.json_text import without_constants, write_json

_JSON_TYPE: Final = (b"content-type", b"application/json")
_OF_CODED_BODIES: Final = frozenset({"content-encoding", "content-length"})
"""What is no longer true of a body that was unpacked."""
_NOT_FOR_HANDLERS: Final = frozenset({b"host", b"connection", b"idempotency-key"})


class Ingress(Responder):
    """Answers the ingress routes from an engine.

    Args:
        engine: Where invocations run.
        callers: Places for those who wait for results.
    """

    def __init__(self, engine: EngineInterface, callers: Callers | None = None) -> None:
        self._engine = engine
        self._callers = callers or Callers()
        self._known: dict[bytes, Invoke] = {}

    @override
    async def respond(self, scope: Scope, body: Body) -> Response:
        asked = self._read_path(scope["raw_path"])
        _check_method(asked, scope["method"])
        if isinstance(asked, Invoke):
            return await self._invoke(asked, scope, body)
        if isinstance(asked, LookAt):
            return await self._look(asked, scope)
        if isinstance(asked, CompleteAwakeable):
            return await self._complete_awakeable(asked, scope, body)
        return Response(200, [_JSON_TYPE], write_json({"services": sorted(self._engine.services)}))

    def _read_path(self, raw_path: bytes) -> Asked:
        """Say what a path asks for; the paths of handlers without a key are few, and read once."""
        known = self._known.get(raw_path)
        if known is not None:
            return known
        asked = parse(raw_path, self._engine.services)
        if isinstance(asked, Invoke) and asked.target.key is None and len(self._known) < PATHS_KNOWN_MAX:
            self._known[raw_path] = asked
        return asked

    @override
    def refuse(self, problem: Problem) -> Response:
        ended = problem.invocation_id is not None and problem.paused_because is None
        source = "invocation" if ended else "ingress"
        body: dict[str, object] = {"code": problem.status, "message": problem.message, "source": source}
        if problem.metadata:
            body["metadata"] = problem.metadata
        if problem.paused_because is not None:
            body["pausedBecause"] = problem.paused_because
        headers = [_JSON_TYPE, (b"x-restate-error-source", source.encode()), *problem.headers]
        if problem.invocation_id is not None:
            headers.append((b"x-restate-id", problem.invocation_id.encode()))
        return Response(problem.status, headers, write_json(body))

    async def _invoke(self, asked: Invoke, scope: Scope, body: Body) -> Response:
        service, handler = asked.service, asked.handler
        if handler.options.private:
            raise Problem(400, "the invoked service is not public")
        delay_ms = _delay_ms(scope["query_string"], asked)
        headers, idempotency_key, content_type = _handler_headers(scope["headers"])
        if (
            idempotency_key is not None
            and service.kind is ServiceKind.WORKFLOW
            and handler.kind is HandlerKind.WORKFLOW
        ):
            raise Problem(400, "a workflow runs once per key: an idempotency key cannot be given to its run handler")
        coded = "content-encoding" in headers
        codings = codings_of(scope) if coded else ()
        argument = await body.read()
        if coded:
            argument = decoded(argument, codings)
            headers = {name: value for name, value in headers.items() if name not in _OF_CODED_BODIES}
        check_input(handler, content_type, argument)
        request = Request(asked.target, argument, headers, idempotency_key)
        if asked.send:
            check_argument(handler, argument)
            return await self._send(request, delay_ms)
        with self._callers.place_for(scope):
            return _result(await self._engine.call(request), handler)

    async def _send(self, request: Request, delay_ms: int | None) -> Response:
        accepted = await self._engine.submit(request, delay_ms)
        body = {
            "invocationId": accepted.invocation_id,
            "status": "PreviouslyAccepted" if accepted.previously else "Accepted",
        }
        if accepted.execution_time_ms is not None:
            body["executionTime"] = rfc3339(accepted.execution_time_ms)
        return Response(202, [_JSON_TYPE, (b"x-restate-id", accepted.invocation_id.encode())], write_json(body))

    async def _look(self, asked: LookAt, scope: Scope) -> Response:
        if asked.look == "attach":
            with self._callers.place_for(scope):
                result = await self._engine.result(asked.ref)
        else:
            found = await self._engine.output(asked.ref)
            if found is None:
                raise Problem(470, "the invocation exists but has not completed yet")
            result = found
        return _result(result, self._handler_of(result))

    def _handler_of(self, result: CompletedResult) -> HandlerInfo | None:
        target = result.target
        service = None if target is None else self._engine.services.get(target.service)
        return None if service is None or target is None else service.handlers.get(target.handler)

    async def _complete_awakeable(self, asked: CompleteAwakeable, scope: Scope, body: Body) -> Response:
        codings = codings_of(scope)
        value = decoded(await body.read(), codings)
        result = ValueOrFailure(value, None)
        if asked.reject:
            result = ValueOrFailure(None, _rejection(value))
        await self._engine.complete_awakeable(asked.awakeable_id, result)
        return Response(202, [], b"")


def _check_method(asked: Asked, method: str) -> None:
    if isinstance(asked, (LookAt, Health)):
        allowed: tuple[str, ...] = ("GET",) if isinstance(asked, LookAt) else ("GET", "HEAD")
    elif isinstance(asked, CompleteAwakeable):
        allowed = ("POST",)
    else:
        allowed = ("POST", "GET")
    if method not in allowed:
        raise Problem(
            405,
            f"method {method} is not allowed here, use {' or '.join(allowed)}",
            headers=((b"allow", ", ".join([*allowed, "OPTIONS"]).encode()),),
        )


def _handler_headers(headers: Headers) -> tuple[Mapping[str, str], str | None, str | None]:
    """Give the headers a handler sees, the idempotency key and the content type."""
    seen: dict[str, str] = {}
    idempotency_key: str | None = None
    for raw_name, raw_value in headers:
        if raw_name in _NOT_FOR_HANDLERS:
            if raw_name == b"idempotency-key":
                idempotency_key = _text(raw_value) or None
            continue
        name, value = raw_name.decode("latin-1"), _text(raw_value)
        seen[name] = f"{seen[name]}, {value}" if name in seen else value
    return seen, idempotency_key, seen.get("content-type") or None


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _delay_ms(query: bytes, asked: Invoke) -> int | None:
    if b"delay" not in query and b"%" not in query:
        return None
    delays = [value for name, value in query_of(query) if name == "delay"]
    if not delays:
        return None
    text = delays[0]
    if len(delays) > 1:
        raise Problem(400, "bad delay: it is given more than once")
    if not asked.send:
        raise Problem(400, f"a call cannot be delayed: send it, as in POST /{asked.target}/send?delay={text}")
    try:
        return parse_duration_ms(text)
    except ValueError as error:
        raise Problem(400, f"bad delay: {error}") from None


def _rejection(body: bytes) -> Failure:
    try:
        return failure_of_text(body.decode())
    except UnicodeDecodeError as error:
        raise Problem(400, f"bad body: the reason of a reject is not readable: {error}") from None


def _result(result: CompletedResult, handler: HandlerInfo | None) -> Response:
    headers = [(b"x-restate-id", result.invocation_id.encode())]
    if result.expires_ms is not None:
        headers.append((b"idempotency-expires", rfc3339(result.expires_ms).encode()))
    if result.failure is not None:
        return _failure(result.failure, headers)
    body = result.value or b""
    if body or (handler is not None and handler.has_output):
        content_type = "application/json" if handler is None else handler.output_content_type
        if handler is not None and content_type == "application/json":
            body = without_constants(body)
        headers.append((b"content-type", content_type.encode()))
    return Response(200, headers, body)


def _failure(failure: Failure, headers: list[tuple[bytes, bytes]]) -> Response:
    body: dict[str, object] = {"code": failure.code, "message": failure.message}
    if failure.metadata:
        body["metadata"] = failure.metadata
    body["source"] = "invocation"
    headers += [_JSON_TYPE, (b"x-restate-error-source", b"invocation")]
    status = failure.code if 200 <= failure.code <= 999 else 500
    return Response(status, headers, write_json(body))
