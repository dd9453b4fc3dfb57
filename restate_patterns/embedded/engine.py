"""The embedded engine: answers what is asked from outside while it runs.

Each answer waits until everything it was computed from is durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from typing_extensions import override

from restate_patterns.embedded.admission import Submitted
from restate_patterns.embedded.codec import check_text
from restate_patterns.embedded.core import Core
from restate_patterns.embedded.keys import KeyEntry
from restate_patterns.embedded.life import EngineLife
from restate_patterns.embedded.log import settle
from restate_patterns.embedded.records import Record, Status
from restate_patterns.embedded.views import describe, list_views
from restate_patterns.engine.errors import InvocationPaused, NotAccepting, WorkflowAlreadyInvoked
from restate_patterns.engine.interface import (
    CancelOutcome,
    CompletedResult,
    EngineInterface,
    InvocationDetail,
    InvocationFilter,
    InvocationView,
)
from restate_patterns.errors import IdempotencyKeyReused, InvocationNotFound
from restate_patterns.limits import LIST_LIMIT_MAX
from restate_patterns.seam import (
    Accepted,
    HandlerKind,
    InvocationRef,
    Request,
    ServiceInfo,
    ValueOrFailure,
)
from restate_patterns.values.storage_checks import checked_value

T = TypeVar("T")


class Engine(EngineLife, EngineInterface):
    """Durable execution of one app on one store.

    Args:
        deployment: The services.
        store: The store; opened by `start` when it is not.
        clock: Where time comes from.
        inactivity_timeout_ms: How long an idle invocation stays in memory by default; 0 replays at each wait.
        fatal: Called on an I/O error that no retry can mend; the default exits the process, unanswered.
    """

    @property
    @override
    def services(self) -> Mapping[str, ServiceInfo]:
        return self._deployment.services

    @property
    @override
    def accepting(self) -> bool:
        return not self.core.log.full

    @override
    def why_not_accepting(self) -> str:
        return f"the disk of {self._store.file} is full or the file is busy; make room and try again"

    def _admit(self, core: Core, request: Request, delay_ms: int | None) -> Submitted:
        if core.log.full:
            raise NotAccepting(self.why_not_accepting())
        target = request.target
        check_text(target.service, target.handler, target.key or "", request.idempotency_key or "")
        failure = core.admission.refusal(target)
        if failure is not None:
            raise failure
        return core.admission.submit(request, delay_ms)

    async def _durable(self, answer: T) -> T:
        core = self.core
        if core.log.sequence > core.log.durable_sequence:
            written: asyncio.Future[None] = core.loop.create_future()
            core.log.when_durable(core.log.sequence, lambda: settle(written))
            await core.callers.answer(written)
        return answer

    @override
    async def submit(self, request: Request, delay_ms: int | None) -> Accepted:
        try:
            record, previously, due_ms = self._admit(self.core, request, delay_ms)
        except IdempotencyKeyReused:
            await self._durable(None)
            raise
        return await self._durable(Accepted(record.id, previously, due_ms))

    @override
    async def call(self, request: Request) -> CompletedResult:
        core = self.core
        try:
            record, previously, _ = self._admit(core, request, None)
        except IdempotencyKeyReused:
            await self._durable(None)
            raise
        if previously and record.info is not None and record.info.kind is HandlerKind.WORKFLOW:
            await self._durable(None)
            raise WorkflowAlreadyInvoked(record.id)
        return await (self._result(core, record) if previously else core.results.result(record))

    async def _result(self, core: Core, record: Record) -> CompletedResult:
        """Give how an invocation ended, or will end."""
        if record.status is Status.COMPLETED:
            return await self._durable(_completed(record))
        if record.status is Status.PAUSED:
            await self._durable(None)
            raise InvocationPaused(record.id, record.failure or "")
        return await core.results.result(record)

    async def _find(self, ref: InvocationRef) -> Record:
        num = self.core.identities.find_strictly(ref)
        record = None if num is None else self.core.records.peek(num)
        if record is None:
            await self._durable(None)
            raise InvocationNotFound
        return record

    async def _take(self, ref: InvocationRef) -> Record:
        """Find an invocation to change it."""
        found = await self._find(ref)
        return self.core.records.living(found.num) or found

    @override
    async def result(self, ref: InvocationRef) -> CompletedResult:
        return await self._result(self.core, await self._find(ref))

    @override
    async def output(self, ref: InvocationRef) -> CompletedResult | None:
        record = await self._find(ref)
        return await self._durable(_completed(record) if record.status is Status.COMPLETED else None)

    @override
    async def complete_awakeable(self, awakeable_id: str, result: ValueOrFailure) -> None:
        self.core.ids.read_awakeable(awakeable_id)
        found = self.core.waiters.complete_awakeable(awakeable_id, result)
        await self._durable(None)
        if not found:
            raise InvocationNotFound(message=f"awakeable {awakeable_id} not found")

    @override
    async def complete_signal(self, ref: InvocationRef, name: str, result: ValueOrFailure) -> None:
        self.core.signals.answer(await self._take(ref), name, result)
        await self._durable(None)

    @override
    async def cancel(self, invocation_id: str) -> CancelOutcome:
        return await self._durable(self.core.cancels.cancel(await self._take(invocation_id)))

    @override
    async def kill(self, invocation_id: str) -> CancelOutcome:
        return await self._durable(self.core.cancels.kill(await self._take(invocation_id)))

    @override
    async def pause(self, invocation_id: str) -> None:
        self.core.control.pause(await self._take(invocation_id))
        await self._durable(None)

    @override
    async def resume(self, invocation_id: str) -> None:
        self.core.control.resume(await self._take(invocation_id))
        await self._durable(None)

    @override
    async def restart_as_new(self, invocation_id: str) -> str:
        return await self._durable(self.core.control.restart(await self._take(invocation_id)).id)

    @override
    async def purge(self, invocation_id: str) -> None:
        self.core.control.purge(await self._take(invocation_id))
        await self._durable(None)

    @override
    async def resolve_ref(self, ref: InvocationRef) -> str:
        return await self._durable((await self._find(ref)).id)

    @override
    async def list_invocations(
        self, chosen: InvocationFilter, *, limit: int, after: str | None = None
    ) -> Sequence[InvocationView]:
        await self._durable(None)
        after_num = None if after is None else (await self._find(after)).num
        return await self._durable(list_views(self.core, chosen, min(limit, LIST_LIMIT_MAX), after_num))

    @override
    async def describe_invocation(self, invocation_id: str) -> InvocationDetail:
        await self._durable(None)  # the journal of what has completed is read from the file
        return await self._durable(describe(self.core, await self._find(invocation_id)))

    @override
    async def get_state(self, service: str, key: str) -> Mapping[str, bytes]:
        return await self._durable(dict(self.core.keys.entry(service, key).state))

    async def _in_turn(self, service: str, key: str, change: Callable[[KeyEntry], None]) -> None:
        """Make a change when no exclusive handler holds the key, before the next one does."""
        core = self.core
        entry = core.keys.entry(service, key)
        done: asyncio.Future[None] = core.loop.create_future()

        def take_turn() -> None:
            change(entry)
            settle(done)

        core.lines.take_turn(entry, take_turn)
        await core.callers.answer(done)
        await self._durable(None)

    @override
    async def set_state(self, service: str, key: str, values: Mapping[str, bytes], *, replace: bool = False) -> None:
        check_text(service, key, *values)
        values = {name: checked_value(value, "the state {!r}", name) for name, value in values.items()}

        def change(entry: KeyEntry) -> None:
            for name in [name for name in entry.state if replace and name not in values]:
                self.core.keys.clear_state(entry, name)
            for name, value in values.items():
                self.core.keys.set_state(entry, name, value)

        await self._in_turn(service, key, change)

    @override
    async def clear_state(self, service: str, key: str, names: Iterable[str] | None = None) -> None:
        chosen = None if names is None else list(names)

        def change(entry: KeyEntry) -> None:
            for name in list(entry.state) if chosen is None else chosen:
                self.core.keys.clear_state(entry, name)

        await self._in_turn(service, key, change)


def _completed(record: Record) -> CompletedResult:
    return CompletedResult(record.id, record.output, record.output_failure, record.expires_ms, record.target)
