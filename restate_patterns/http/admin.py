"""The admin API: verbs on invocations, discovery, state; as Restate's, plus own routes below `/embedded`.

The own routes give JSON for what Restate answers through SQL: list and describe invocations, read state.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Final, cast

from typing_extensions import override

from restate_patterns.engine.interface import (
    EngineInterface,
    InvocationFilter,
    InvocationStatus,
)
from restate_patterns.http import verbs, views
from restate_patterns.http.asgi import Response, Scope
from restate_patterns.http.bodies import Body
from restate_patterns.http.callers import Callers
from restate_patterns.http.door import Responder
from restate_patterns.http.openapi import openapi
from restate_patterns.http.paths import query_of, segments_of
from restate_patterns.http.problems import Problem
from restate_patterns.http.wire import SERVER_NAME
from restate_patterns.limits import LIST_LIMIT_MAX
from restate_patterns.seam import IdempotencyRef, InvocationRef, ServiceInfo, ServiceKind, Target, WorkflowRef
from restate_patterns.values.json_text import read_json, write_json
from restate_patterns.values.state_json import state_bytes, state_json

_ADMIN_API_VERSION: Final = 3
_LIST_LIMIT: Final = 100


class Admin(Responder):
    """Answers the admin routes from an engine.

    Args:
        engine: Where invocations run.
        ingress_url: Where the ingress of the same server is; "" where that is not known.
        callers: Places for those whose write of state waits for its turn.
    """

    def __init__(self, engine: EngineInterface, *, ingress_url: str, callers: Callers | None = None) -> None:
        self._engine = engine
        self._callers = callers or Callers()
        self._ingress_url = ingress_url

    @override
    async def respond(self, scope: Scope, body: Body) -> Response:
        request = _Request(scope, body)
        match request.segments:
            case ["invocations", invocation_id]:
                request.only("DELETE")
                mode = request.query.get("mode", "cancel")
                status, answer = await verbs.delete(self._engine, mode, invocation_id)
                return _json(answer, status)
            case ["invocations", invocation_id, verb]:
                request.only("PATCH")
                status, answer = await verbs.act(self._engine, verb, invocation_id)
                return _json(answer, status)
            case ["services", *rest]:
                return await self._services(rest, request)
            case ["embedded", *rest]:
                return await self._embedded(rest, request)
            case ["deployments", *rest]:
                return self._deployments(rest, request)
            case _:
                return self._server(request)

    @override
    def refuse(self, problem: Problem) -> Response:
        body = {"message": problem.message, "restate_code": None, "error": problem.error}
        return Response(problem.status, [_JSON, *problem.headers], write_json(body))

    def _server(self, request: _Request) -> Response:
        match request.segments:
            case ["health"]:
                request.only("GET", "HEAD")
                return Response(200, [], b"")
            case ["version"]:
                request.only("GET")
                return _json(
                    {
                        "server": SERVER_NAME,
                        "version": version("restate-patterns"),
                        "min_admin_api_version": _ADMIN_API_VERSION,
                        "max_admin_api_version": _ADMIN_API_VERSION,
                        "ingress_endpoint": self._ingress_url or None,
                    }
                )
            case ["query"]:
                request.only("POST")
                raise Problem(
                    501,
                    "SQL introspection is not there yet; GET /embedded/invocations and "
                    "/embedded/services/:name/state/:key answer in JSON",
                )
            case ["subscriptions"]:
                request.only("GET", "POST")
                if request.method == "POST":
                    raise Problem(501, "an embedded server has no subscriptions; they need a Restate server")
                return _json({"subscriptions": []})
            case _:
                raise Problem(404, f"not found: no such admin path: '/{'/'.join(request.segments)}'")

    def _deployments(self, rest: list[str], request: _Request) -> Response:
        request.only("GET", "POST")
        if request.method == "POST":
            raise Problem(
                400,
                "an embedded server hosts its own app and takes no other deployment: add the services to "
                "its App and start it again",
            )
        deployment = {
            "id": views.DEPLOYMENT_ID,
            "uri": self._ingress_url,
            "protocol_type": "RequestResponse",
            "http_version": "HTTP/2.0",
            "services": [
                {"name": service.name, "deployment_id": views.DEPLOYMENT_ID, "revision": 1}
                for service in self._engine.services.values()
            ],
        }
        match rest:
            case []:
                return _json({"deployments": [deployment]})
            case [views.DEPLOYMENT_ID]:
                return _json(deployment)
            case _:
                raise Problem(404, f"deployment '{rest[0]}' not found; this server has {views.DEPLOYMENT_ID}")

    async def _services(self, rest: list[str], request: _Request) -> Response:
        if rest[1:] == ["state"]:
            request.only("POST")
            service = self._keyed(rest[0])
            change = _StateChange(await request.json_object())
            with self._callers.place_for(request.scope):
                await self._engine.set_state(service.name, change.key, change.values, replace=True)
            return Response(202, [], b"")
        request.only("GET")
        match rest:
            case []:
                services = self._engine.services.values()
                return _json({"services": [views.service_json(service) for service in services]})
            case [name]:
                return _json(views.service_json(self._service(name)))
            case [name, "handlers"]:
                service = self._service(name)
                return _json({"handlers": [views.handler_json(h, service) for h in service.handlers.values()]})
            case [name, "handlers", handler]:
                service = self._service(name)
                if handler not in service.handlers:
                    raise Problem(404, f"handler '{handler}' of service '{name}' not found")
                return _json(views.handler_json(service.handlers[handler], service))
            case [name, "openapi"]:
                return _json(openapi(self._service(name), ingress_url=self._ingress_url))
            case _:
                raise Problem(404, f"not found: no such admin path: '/services/{'/'.join(rest)}'")

    async def _embedded(self, rest: list[str], request: _Request) -> Response:
        match rest:
            case ["invocations"]:
                request.only("GET")
                return await self._list(request.query)
            case ["invocations", "resolve"]:
                request.only("GET")
                return _json({"id": await self._engine.resolve_ref(_ref(request.query))})
            case ["invocations", invocation_id]:
                request.only("GET")
                return _json(views.detail_json(await self._engine.describe_invocation(invocation_id)))
            case ["services", name, "state", key]:
                request.only("GET", "PATCH", "DELETE")
                return await self._state(self._keyed(name).name, key, request)
            case _:
                raise Problem(404, f"not found: no such admin path: '/embedded/{'/'.join(rest)}'")

    async def _list(self, query: Mapping[str, str]) -> Response:
        limit = _limit(query.get("limit"))
        found = await self._engine.list_invocations(_filter(query), limit=limit, after=query.get("after"))
        return _json(
            {
                "invocations": [views.invocation_json(view) for view in found],
                "next": found[-1].id if len(found) == limit else None,
            }
        )

    async def _state(self, service: str, key: str, request: _Request) -> Response:
        if request.method == "PATCH":
            try:
                values = state_bytes(await request.json_object())
            except ValueError as error:
                raise Problem(400, f"bad state: {error}") from None
            with self._callers.place_for(request.scope):
                await self._engine.set_state(service, key, values)
        elif request.method == "DELETE":
            with self._callers.place_for(request.scope):
                await self._engine.clear_state(service, key, request.names or None)
        return _json({"state": state_json(await self._engine.get_state(service, key))})

    def _service(self, name: str) -> ServiceInfo:
        service = self._engine.services.get(name)
        if service is None:
            names = ", ".join(sorted(self._engine.services)) or "no service"
            raise Problem(404, f"service '{name}' not found; this app has {names}")
        return service

    def _keyed(self, name: str) -> ServiceInfo:
        service = self._service(name)
        if service.kind is ServiceKind.SERVICE:
            raise Problem(400, f"'{name}' is a service: only virtual objects and workflows have state")
        return service


class _Request:
    """One admin request, decoded as far as it is needed."""

    def __init__(self, scope: Scope, body: Body) -> None:
        self.method: str = scope["method"]
        self.segments = segments_of(scope["raw_path"])
        self.scope = scope
        self._body = body
        self._pairs = query_of(scope["query_string"])

    @property
    def query(self) -> Mapping[str, str]:
        found = dict(self._pairs)
        if len(found) < len(self._pairs):
            raise Problem(400, "bad query: a name is given more than once")
        return found

    @property
    def names(self) -> list[str]:
        return [value for name, value in self._pairs if name == "name"]

    def only(self, *methods: str) -> None:
        if self.method not in methods:
            raise Problem(
                405,
                f"method {self.method} is not allowed here, use {' or '.join(methods)}",
                headers=((b"allow", ", ".join(methods).encode()),),
            )

    async def json_object(self) -> dict[str, object]:
        headers = dict(self.scope["headers"])
        content_type: bytes = headers.get(b"content-type", b"")
        # A web page can post any other type to a server on loopback without asking; this one it can't.
        if content_type.partition(b";")[0].strip().lower() != b"application/json":
            raise Problem(415, "send the body as JSON, with the header 'content-type: application/json'")
        try:
            found = read_json(await self._body.read())
        except ValueError as error:
            raise Problem(400, f"the body is not JSON: {error}") from None
        if not isinstance(found, dict):
            raise Problem(400, "the body must be a JSON object")
        return cast("dict[str, object]", found)


class _StateChange:
    """The body of Restate's `POST /services/{name}/state`: the whole new state, values as lists of bytes."""

    def __init__(self, body: Mapping[str, object]) -> None:
        key, state = body.get("object_key"), body.get("new_state")
        if not isinstance(key, str) or not isinstance(state, dict):
            raise Problem(400, "the body needs object_key (a string) and new_state (an object of arrays of bytes)")
        if body.get("version") is not None:
            raise Problem(400, "an embedded server keeps no version of state: leave 'version' out")
        self.key = key
        self.values = {name: _bytes_of(name, value) for name, value in cast("dict[str, object]", state).items()}


def _bytes_of(name: str, value: object) -> bytes:
    try:
        if isinstance(value, list):
            return bytes(cast("list[int]", value))
        raise TypeError
    except (TypeError, ValueError):
        raise Problem(400, f"new_state.{name} must be an array of bytes, each from 0 to 255") from None


def _limit(text: str | None) -> int:
    if text is None:
        return _LIST_LIMIT
    digits = text.lstrip("0")
    readable = digits.isascii() and digits.isdigit() and len(digits) <= len(str(LIST_LIMIT_MAX))
    limit = int(digits) if readable else 0
    if not 1 <= limit <= LIST_LIMIT_MAX:
        raise Problem(400, f"limit={text[:20]} must be a whole number from 1 to {LIST_LIMIT_MAX}")
    return limit


def _filter(query: Mapping[str, str]) -> InvocationFilter:
    words = [word for word in query.get("status", "").split(",") if word]
    try:
        statuses = frozenset(InvocationStatus(word) for word in words)
    except ValueError:
        known = ", ".join(status.value for status in InvocationStatus)
        raise Problem(400, f"status={query['status']} must be of {known}") from None
    return InvocationFilter(
        service=query.get("service"),
        handler=query.get("handler"),
        key=query.get("key"),
        statuses=statuses,
        failed=query.get("failed") == "true",
        without=frozenset(name for name in query.get("without", "").split(",") if name),
        id_start=query.get("id_start", ""),
        id_end=query.get("id_end", ""),
    )


def _ref(query: Mapping[str, str]) -> InvocationRef:
    service, handler, key = query.get("service"), query.get("handler"), query.get("key")
    idempotency_key = query.get("idempotency_key")
    if service is not None and handler is not None and idempotency_key is not None:
        return IdempotencyRef(Target(service, handler, key), idempotency_key)
    if service is not None and key is not None and idempotency_key is None:
        return WorkflowRef(service, key)
    raise Problem(400, "give service, handler, idempotency_key (and key), or service and key of a workflow")


_JSON: Final = (b"content-type", b"application/json")


def _json(body: object, status: int = 200) -> Response:
    return Response(status, [_JSON], write_json(body)) if body is not None else Response(status, [], b"")
