"""An engine in memory for tests of the HTTP layer: it runs nothing, it plays what a test scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from typing_extensions import override

from restate_patterns.engine.errors import (
    CancelRefused,
    InvocationCompleted,
    InvocationNotCompleted,
    MalformedId,
    NotAccepting,
    WorkflowAlreadyInvoked,
)
from restate_patterns.engine.interface import (
    CancelOutcome,
    CompletedResult,
    EngineInterface,
    InvocationDetail,
    InvocationFilter,
    InvocationStatus,
    InvocationView,
    JournalEntryView,
)
from restate_patterns.errors import InvocationNotFound
from restate_patterns.options import HandlerOptions
from restate_patterns.seam import (
    Accepted,
    HandlerInfo,
    HandlerKind,
    IdempotencyRef,
    InvocationRef,
    Request,
    ServiceInfo,
    ServiceKind,
    Target,
    ValueOrFailure,
    WorkflowRef,
)
from tests.support.bounds import PATIENCE_S

NOW_MS = 1_795_320_415_291
RETENTION_MS = 86_400_000
Behaviour = Callable[[Request], ValueOrFailure | None]
"""Gives the outcome of an invocation, or None when it does not end by itself."""


def echo(request: Request) -> ValueOrFailure:
    return ValueOrFailure(request.body, None)


def handler(name: str, kind: HandlerKind = HandlerKind.EXCLUSIVE, **fields: object) -> HandlerInfo:
    options = HandlerOptions(private=bool(fields.pop("private", False)))
    return HandlerInfo(name, kind, options, **fields)  # type: ignore[arg-type]  # test data


def service(kind: ServiceKind, name: str, *handlers: HandlerInfo) -> ServiceInfo:
    return ServiceInfo(name, kind, {each.name: each for each in handlers})


SERVICES = (
    service(
        ServiceKind.SERVICE,
        "Greeter",
        handler("greet", HandlerKind.STATELESS),
        handler("send", HandlerKind.STATELESS),
        handler("ping", HandlerKind.STATELESS, takes_input=False, has_output=False),
        handler("optional", HandlerKind.STATELESS, input_required=False),
        handler("secret", HandlerKind.STATELESS, private=True),
        handler(
            "blob",
            HandlerKind.STATELESS,
            input_content_type="application/octet-stream",
            output_content_type="application/octet-stream",
        ),
        handler("any", HandlerKind.STATELESS, input_content_type="*/*"),
    ),
    service(
        ServiceKind.VIRTUAL_OBJECT,
        "Counter",
        handler("add"),
        handler("get", HandlerKind.SHARED, takes_input=False),
        handler("send", HandlerKind.SHARED, takes_input=False),
    ),
    service(
        ServiceKind.WORKFLOW,
        "Signup",
        handler("run", HandlerKind.WORKFLOW),
        handler("verify", HandlerKind.SHARED),
    ),
)


class FakeInvocation:
    def __init__(self, invocation_id: str, request: Request) -> None:
        self.id = invocation_id
        self.request = request
        self.done: asyncio.Future[ValueOrFailure] = asyncio.get_running_loop().create_future()
        self.status = InvocationStatus.RUNNING

    def result(self, *, read_back: bool = False) -> CompletedResult:
        value, failure = self.done.result()
        idempotent = self.request.idempotency_key is not None
        expires_ms = NOW_MS + RETENTION_MS if read_back and idempotent else None
        return CompletedResult(self.id, value, failure, expires_ms, self.request.target)


class FakeEngine(EngineInterface):
    """Plays `behaviours` by target text (`Counter/k/add`) or by `Service/handler`; default: echo."""

    def __init__(self, services: Sequence[ServiceInfo] = SERVICES) -> None:
        self._services = {each.name: each for each in services}
        self.behaviours: dict[str, Behaviour] = {}
        self.requests: list[Request] = []
        self.delays: list[int | None] = []
        self.invocations: dict[str, FakeInvocation] = {}
        self.awakeables: dict[str, ValueOrFailure] = {}
        self.state: dict[tuple[str, str], dict[str, bytes]] = {}
        self.verbs: list[tuple[str, str]] = []
        self.filters: list[tuple[InvocationFilter, int, str | None]] = []
        self.accepts = True
        self.mismatched: set[str] = set()
        self.waiting = 0
        self._waiting_changed = asyncio.Event()

    @property
    @override
    def services(self) -> Mapping[str, ServiceInfo]:
        return self._services

    @property
    @override
    def accepting(self) -> bool:
        return self.accepts

    @override
    def why_not_accepting(self) -> str:
        return "the disk is full"

    def _accept(self, request: Request, delay_ms: int | None) -> tuple[FakeInvocation, bool]:
        if not self.accepts:
            raise NotAccepting(self.why_not_accepting())
        for found in self.invocations.values():
            same_key = (
                request.idempotency_key is not None
                and found.request.target == request.target
                and found.request.idempotency_key == request.idempotency_key
            )
            is_run = request.target.handler == "run" and found.request.target == request.target
            if same_key or is_run:
                return found, True
        self.requests.append(request)
        self.delays.append(delay_ms)
        made = FakeInvocation(f"inv_{len(self.requests)}", request)
        self.invocations[made.id] = made
        by_handler = f"{request.target.service}/{request.target.handler}"
        behave = self.behaviours.get(str(request.target)) or self.behaviours.get(by_handler, echo)
        result = behave(request)
        if result is not None:
            made.done.set_result(result)
            made.status = InvocationStatus.COMPLETED
        return made, False

    @override
    async def submit(self, request: Request, delay_ms: int | None) -> Accepted:
        made, previously = self._accept(request, delay_ms)
        due_ms = None if delay_ms is None or previously else NOW_MS + delay_ms
        return Accepted(made.id, previously, due_ms)

    @override
    async def call(self, request: Request) -> CompletedResult:
        made, previously = self._accept(request, None)
        if previously and request.target.handler == "run":
            raise WorkflowAlreadyInvoked(made.id)
        was_done = made.done.done()
        await self._wait(made)
        return made.result(read_back=previously and was_done)

    async def _wait(self, made: FakeInvocation) -> None:
        self._count_waiting(1)
        try:
            await asyncio.shield(made.done)
        finally:
            self._count_waiting(-1)

    def _count_waiting(self, change: int) -> None:
        self.waiting += change
        self._waiting_changed.set()
        self._waiting_changed = asyncio.Event()

    async def until_waiting(self, count: int) -> None:
        """Wait until this many callers wait for an invocation."""
        async with asyncio.timeout(PATIENCE_S):
            while self.waiting != count:
                await self._waiting_changed.wait()

    def _find(self, ref: InvocationRef) -> FakeInvocation:
        if isinstance(ref, str) and not ref.startswith("inv_"):
            raise MalformedId(ref)
        for found in self.invocations.values():
            request = found.request
            names = (
                found.id,
                IdempotencyRef(request.target, request.idempotency_key or ""),
                WorkflowRef(request.target.service, request.target.key or "")
                if request.target.handler == "run"
                else None,
            )
            if ref in names:
                return found
        raise InvocationNotFound

    @override
    async def result(self, ref: InvocationRef) -> CompletedResult:
        found = self._find(ref)
        await self._wait(found)
        return found.result()

    @override
    async def output(self, ref: InvocationRef) -> CompletedResult | None:
        found = self._find(ref)
        return found.result(read_back=True) if found.done.done() else None

    @override
    async def complete_awakeable(self, awakeable_id: str, result: ValueOrFailure) -> None:
        if not awakeable_id.startswith("sign_"):
            raise MalformedId(awakeable_id, "awakeable")
        self.awakeables.setdefault(awakeable_id, result)

    @override
    async def complete_signal(self, ref: InvocationRef, name: str, result: ValueOrFailure) -> None:
        self._find(ref)

    async def _verb(self, verb: str, invocation_id: str, *, completed: bool) -> FakeInvocation:
        found = self._find(invocation_id)
        if completed != found.done.done():
            raise (InvocationNotCompleted if completed else InvocationCompleted)(found.id)
        self.verbs.append((verb, found.id))
        return found

    @override
    async def cancel(self, invocation_id: str) -> CancelOutcome:
        if invocation_id in self.mismatched:
            raise CancelRefused(invocation_id, "the journal does not match the code")
        found = await self._verb("cancel", invocation_id, completed=False)
        if found.status is InvocationStatus.RUNNING:
            return CancelOutcome.RUNNING
        del self.invocations[found.id]
        return CancelOutcome.REMOVED

    @override
    async def kill(self, invocation_id: str) -> CancelOutcome:
        await self._verb("kill", invocation_id, completed=False)
        return CancelOutcome.RUNNING

    @override
    async def pause(self, invocation_id: str) -> None:
        await self._verb("pause", invocation_id, completed=False)

    @override
    async def resume(self, invocation_id: str) -> None:
        await self._verb("resume", invocation_id, completed=False)

    @override
    async def restart_as_new(self, invocation_id: str) -> str:
        await self._verb("restart-as-new", invocation_id, completed=True)
        return "inv_new"

    @override
    async def purge(self, invocation_id: str) -> None:
        found = await self._verb("purge", invocation_id, completed=True)
        del self.invocations[found.id]

    @override
    async def resolve_ref(self, ref: InvocationRef) -> str:
        return self._find(ref).id

    @override
    async def list_invocations(
        self, chosen: InvocationFilter, *, limit: int, after: str | None = None
    ) -> Sequence[InvocationView]:
        self.filters.append((chosen, limit, after))
        return [_view(each) for each in self.invocations.values()][:limit]

    @override
    async def describe_invocation(self, invocation_id: str) -> InvocationDetail:
        journal = [JournalEntryView(0, "run", "charge", True, "true"), JournalEntryView(1, "sleep", "", False)]
        return InvocationDetail(_view(self._find(invocation_id)), journal)

    @override
    async def get_state(self, service: str, key: str) -> Mapping[str, bytes]:
        return dict(self.state.get((service, key), {}))

    @override
    async def set_state(self, service: str, key: str, values: Mapping[str, bytes], *, replace: bool = False) -> None:
        before = {} if replace else self.state.get((service, key), {})
        self.state[service, key] = {**before, **values}

    @override
    async def clear_state(self, service: str, key: str, names: Iterable[str] | None = None) -> None:
        state = self.state.get((service, key), {})
        for name in list(state) if names is None else list(names):
            state.pop(name, None)


def _view(found: FakeInvocation) -> InvocationView:
    target: Target = found.request.target
    return InvocationView(
        id=found.id,
        target=target,
        status=found.status,
        created_ms=NOW_MS,
        modified_ms=NOW_MS,
        attempt_count=1,
        waits_for=("sleep until 2026-11-22T04:06:55Z",),
        idempotency_key=found.request.idempotency_key,
    )
