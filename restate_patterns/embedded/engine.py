"""The embedded engine: starts on a file, answers what is asked from outside, stops.

Each answer waits until everything it was computed from is durable.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from typing_extensions import override

from restate_patterns.clock import Cancellable, Clock, SystemClock
from restate_patterns.embedded.codec import check_text
from restate_patterns.embedded.core import Core
from restate_patterns.embedded.file_errors import FileMovedError
from restate_patterns.embedded.ids import new_secret
from restate_patterns.embedded.keys import KeyEntry
from restate_patterns.embedded.moves import move_of
from restate_patterns.embedded.records import Record, Status
from restate_patterns.embedded.retention import Retention
from restate_patterns.embedded.store import Store
from restate_patterns.embedded.views import describe, list_views
from restate_patterns.engine_errors import NotAccepting, WorkflowAlreadyInvoked
from restate_patterns.engine_port import (
    CancelOutcome,
    CompletedResult,
    EnginePort,
    InvocationDetail,
    InvocationFilter,
    InvocationView,
)
from restate_patterns.errors import InvocationNotFound
from restate_patterns.execution.timers import FOREVER_MS
from restate_patterns.limits import (
    INACTIVITY_TIMEOUT_MS,
    LIST_LIMIT_MAX,
    RETENTION_INTERVAL_MS,
    RETENTION_LIMIT,
    RETENTION_PAUSE_MS,
    STEP_GRACE_S,
)
from restate_patterns.seam import (
    Accepted,
    Deployment,
    HandlerKind,
    InvocationRef,
    Request,
    ServiceInfo,
    StepResult,
)
from restate_patterns.storable import checked_value

_logger = logging.getLogger("restate_patterns.embedded")
T = TypeVar("T")


def _exit_without_answering(error: BaseException) -> None:
    _logger.critical(
        "the file can't be written any more (%s): the process exits without answering; "
        "what was acknowledged is in the file and goes on at the next start",
        error,
    )
    os._exit(74)


class Engine(EnginePort):
    """Durable execution of one app on one store.

    Args:
        deployment: The services.
        store: The store; opened by `start` when it is not.
        clock: Where time comes from.
        inactivity_timeout_ms: How long an idle invocation stays in memory by default; 0 replays at each wait.
        fatal: Called on an I/O error that no retry can mend; the default exits the process, unanswered.
    """

    def __init__(
        self,
        deployment: Deployment,
        store: Store,
        clock: Clock | None = None,
        *,
        inactivity_timeout_ms: int = INACTIVITY_TIMEOUT_MS,
        fatal: Callable[[BaseException], None] = _exit_without_answering,
    ) -> None:
        self._deployment = deployment
        self._store = store
        self._given_clock = clock
        self._inactivity_timeout_ms = inactivity_timeout_ms
        self._fatal = fatal
        self._running: Core | None = None
        self._retention: Retention | None = None
        self._retention_alarm: Cancellable | None = None
        self._clock: Clock

    async def start(self) -> None:
        """Open the file, make the new boot epoch durable, and bring back what was interrupted.

        Overdue timers fire before this returns.

        Raises:
            FileError: The file can't be used.
        """
        self._clock = clock = self._given_clock or SystemClock()
        self._store.open()
        meta = dict(self._store.read("SELECT name, value FROM meta"))
        move = move_of(meta)
        if move is not None and move.holds:
            self._store.close()
            raise FileMovedError(self._store.file, move.to, done=move.done_ms is not None)
        epoch = int(meta.get("epoch", 0)) + 1
        secret = meta.get("secret") or new_secret()
        (last_num,) = self._store.read("SELECT coalesce(max(num), 0) FROM invocation")[0]
        core = Core(
            self._deployment,
            self._store,
            clock,
            epoch=epoch,
            secret=secret,
            next_num=max(last_num, int(meta.get("last_num", 0))) + 1,
            inactivity_timeout_ms=self._inactivity_timeout_ms,
            fatal=self._fatal,
        )
        self._store.write([("INSERT OR REPLACE INTO meta VALUES (?,?)", [("epoch", epoch), ("secret", secret)])])
        self._store.commit()
        core.log.start(int(meta.get("time_ms", 0)), int(meta.get("sequence", 0)))
        self._running, self._retention = core, Retention(core)
        core.break_off_unreadable()
        core.timers.start()
        active = self._store.read("SELECT num FROM invocation WHERE status=? ORDER BY num", (int(Status.ACTIVE),))
        core.recover([num for (num,) in active])
        self._retain()

    async def stop(self) -> None:
        """Stop advancing invocations, make what happened durable, and close the file.

        Steps under way are cancelled without a record: they run again at the next start.
        """
        core = self._running
        if core is None:
            return
        await self._halt(core)
        await core.log.close()
        self._store.close()
        self._running = None

    def die(self) -> None:
        """Stop at this instant: nothing more is written, answered or run. For tests; `crash` cleans up."""
        if self._running is not None:
            self._running.log.closed = True
            self._running.stopped = True

    async def crash(self) -> None:
        """Stop as if the process had died here: what is not durable is lost. For tests; leaves a memory store open."""
        core = self._running
        if core is None:
            return
        self.die()
        await self._halt(core)
        await core.log.abandon()
        self._store.lose_uncommitted()
        self._running = None

    async def _halt(self, core: Core) -> None:
        core.halt()
        if self._retention_alarm is not None:
            self._retention_alarm.cancel()
        await core.steps.abandon(STEP_GRACE_S)

    @property
    def core(self) -> Core:
        """The parts of the running engine."""
        if self._running is None:
            raise RuntimeError("the engine is not running: use `async with` or call start() first")
        return self._running

    def _retain(self) -> None:
        if self._running is None or self._retention is None or self._running.stopped:
            return
        pause_ms = RETENTION_INTERVAL_MS
        try:
            if self._retention.run_once().removed == RETENTION_LIMIT:
                pause_ms = RETENTION_PAUSE_MS
        except Exception:
            _logger.exception("removing expired invocations failed; it is tried again")
        self._retention_alarm = self._clock.call_later(pause_ms, self._retain)

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

    def _admit(self, core: Core, request: Request, delay_ms: int | None) -> tuple[Record, bool]:
        if core.log.full:
            raise NotAccepting(self.why_not_accepting())
        target = request.target
        check_text(target.service, target.handler, target.key or "", request.idempotency_key or "")
        failure = core.admission.refusal(target)
        if failure is not None:
            raise failure
        return core.admission.submit(request, delay_ms)

    async def _durable(self, answer: T) -> T:
        log = self.core.log
        await log.durable(log.sequence)
        return answer

    @override
    async def submit(self, request: Request, delay_ms: int | None) -> Accepted:
        record, previously = self._admit(self.core, request, delay_ms)
        due_ms = None if not delay_ms or previously else min(record.created_ms + delay_ms, FOREVER_MS)
        return await self._durable(Accepted(record.id, previously, due_ms))

    @override
    async def call(self, request: Request) -> CompletedResult:
        core = self.core
        record, previously = self._admit(core, request, None)
        if previously and record.info is not None and record.info.kind is HandlerKind.WORKFLOW:
            await self._durable(None)
            raise WorkflowAlreadyInvoked(record.id)
        if previously and record.status is Status.COMPLETED:
            return await self._durable(_completed(record))
        return await core.endings.outcome(record)

    async def _find(self, ref: InvocationRef) -> Record:
        num = self.core.admission.find_strictly(ref)
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
        record = await self._find(ref)
        if record.status is Status.COMPLETED:
            return await self._durable(_completed(record))
        return await self.core.endings.outcome(record)

    @override
    async def output(self, ref: InvocationRef) -> CompletedResult | None:
        record = await self._find(ref)
        return await self._durable(_completed(record) if record.status is Status.COMPLETED else None)

    @override
    async def complete_awakeable(self, awakeable_id: str, result: StepResult) -> None:
        self.core.ids.read_awakeable(awakeable_id)
        found = self.core.waits.complete_awakeable(awakeable_id, result)
        await self._durable(None)
        if not found:
            raise InvocationNotFound(message=f"awakeable {awakeable_id} not found")

    @override
    async def cancel(self, invocation_id: str) -> CancelOutcome:
        return await self._durable(self.core.control.cancel(await self._take(invocation_id)))

    @override
    async def kill(self, invocation_id: str) -> CancelOutcome:
        return await self._durable(self.core.control.kill(await self._take(invocation_id)))

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
        entry = self.core.keys.entry(service, key)
        if entry.holder is None:
            change(entry)
        else:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            def take_turn() -> None:
                change(entry)
                if not done.done():
                    done.set_result(None)

            entry.turn_waiters.append(take_turn)
            await done
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
