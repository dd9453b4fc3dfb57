"""The life of an engine: how it starts on a file, and how it stops or dies.

It knows nothing of what is asked from outside while it runs.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from restate_patterns.embedded.callers import refuse_foreign_loop
from restate_patterns.embedded.content import meta_of
from restate_patterns.embedded.core import Core
from restate_patterns.embedded.file_errors import FileMovedError
from restate_patterns.embedded.file_watch import FileWatch
from restate_patterns.embedded.ids import new_secret
from restate_patterns.embedded.moves import move_of
from restate_patterns.embedded.records import Status
from restate_patterns.embedded.retention import Retention
from restate_patterns.embedded.store import Store
from restate_patterns.engine.errors import EngineStopped
from restate_patterns.limits import INACTIVITY_TIMEOUT_MS, LOG_GRACE_S, STOP_GRACE_S
from restate_patterns.seam import Deployment
from restate_patterns.system.clock import Clock, SystemClock
from restate_patterns.system.grace import Grace
from restate_patterns.text.log_lines import logger_named

_logger = logger_named("restate_patterns.embedded")


def _exit_without_answering(error: BaseException) -> None:
    _logger.critical(
        "the file can't be written any more (%s): the process exits without answering; "
        "what was acknowledged is in the file and goes on at the next start",
        error,
    )
    os._exit(74)


class EngineLife:
    """Takes a store, runs one `Core` after the other on it, and gives it back.

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
        self._stopping: asyncio.Task[None] | None = None
        self._retention: Retention | None = None
        self._file_watch: FileWatch | None = None

    async def start(self) -> None:
        """Open the file, make the new boot epoch durable, and bring back what was interrupted.

        Overdue timers fire before this returns.

        Raises:
            FileError: The file can't be used.
        """
        if self._running is not None:
            raise RuntimeError("the engine runs already")
        clock = self._given_clock or SystemClock()
        self._store.open()
        try:
            self._start(clock)
        except BaseException:
            await self._give_up()
            raise

    async def _give_up(self) -> None:
        core, self._running = self._running, None
        if core is not None:
            core.halt()
            await core.log.abandon()
        self._store.lose_uncommitted()

    def _start(self, clock: Clock) -> None:
        rows = dict(self._store.read("SELECT name, value FROM meta"))
        move = move_of(self._store.file, rows)
        if move is not None and move.holds:
            raise FileMovedError(self._store.file, move.to, done=move.done_ms is not None)
        meta = meta_of(self._store.file, rows)
        epoch = meta.epoch + 1
        secret = meta.secret or new_secret()
        (last_num,) = self._store.read("SELECT coalesce(max(num), 0) FROM invocation")[0]
        core = Core(
            self._deployment,
            self._store,
            clock,
            epoch=epoch,
            secret=secret,
            next_num=max(last_num, meta.last_num) + 1,
            inactivity_timeout_ms=self._inactivity_timeout_ms,
            fatal=self._fatal,
        )
        self._running, self._retention = core, Retention(core)
        self._store.write_at_start(
            [("INSERT OR REPLACE INTO meta VALUES (?,?)", [("epoch", epoch), ("secret", secret)])]
        )
        core.log.start(meta.time_ms, meta.sequence)
        self._file_watch = FileWatch(self._store, core.log, epoch)
        self._file_watch.start()
        core.break_off_unreadable()
        core.timers.start()
        active = self._store.read("SELECT num FROM invocation WHERE status=? ORDER BY num", (int(Status.ACTIVE),))
        core.queue.recover([num for (num,) in active])
        self._retention.start()

    async def stop(self, grace: Grace | None = None) -> None:
        """Stop advancing invocations, make what happened durable, and close the file; does nothing when it is stopped.

        Steps under way are asked to stop. What they come to in time is recorded; the others run again at the next
        start, in this process not before they have ended. Who waits for an answer that does not come any more gets
        `EngineStopped`.

        Args:
            grace: The time for all of that; default `STOP_GRACE_S`.
        """
        if self._stopping is None and self._running is not None:
            self._stopping = asyncio.ensure_future(self._stop(self._running, grace or Grace(STOP_GRACE_S)))
        if self._stopping is not None:
            await asyncio.shield(self._stopping)

    async def _stop(self, core: Core, grace: Grace) -> None:
        try:
            core.results.leave()
            await self._halt(core, grace, record=True)
            await core.log.close(max(LOG_GRACE_S, grace.left_s()))
            core.callers.leave()
            self._store.close()
        finally:
            self._running = self._stopping = None

    def die(self) -> None:
        """Stop at this instant: nothing more is written, answered or run. For tests; `crash` cleans up."""
        if self._running is not None:
            self._running.log.closed = True
            self._running.queue.stopped = True

    async def crash(self) -> None:
        """Stop as if the process had died here: what is not durable is lost. For tests; leaves a memory store open."""
        core = self._running
        if core is None:
            return
        self.die()
        await self._halt(core, Grace(STOP_GRACE_S), record=False)
        await core.log.abandon()
        self._store.lose_uncommitted()
        self._running = None

    def expire_on_time(self, by_ms: int) -> None:
        """Look for what is expired when it expires, until `by_ms` (Unix milliseconds). For tests, whose time jumps."""
        if self._retention is not None:
            self._retention.look_at_next_expiry(by_ms)

    async def _halt(self, core: Core, grace: Grace, *, record: bool) -> None:
        core.halt()
        for service in (self._retention, self._file_watch):
            if service is not None:
                service.stop()
        await core.steps.leave(grace, record=record)

    @property
    def core(self) -> Core:
        """The parts of the running engine.

        Raises:
            EngineStopped: It does not run.
            UsageError: It runs in another event loop.
        """
        core = self._running
        if core is None or self._stopping is not None:
            raise EngineStopped
        if asyncio._get_running_loop() is not core.loop:
            refuse_foreign_loop()
        return core
