"""The log: one sequence number for every change, batches that become durable in order.

How a change becomes durable, and what waits for it:

- Whoever changes something puts it in the open batch (`open`), last write per row wins, and numbers it with `append`,
  or `touch` where an invocation's own row stays as it is. Nothing is written yet, and memory has the change at once.
- The batch is closed in the turn after next of the loop, so that what the completions of one turn lead to is in it, and
  never within a drain of a handler: what is on the disk is always a whole number of drains. While invocations are
  about to advance it waits a bounded number of turns more.
- Its rows are rendered and written on the loop, inside a transaction; its COMMIT runs in the writer thread, as the
  fsync does not hold the interpreter's lock there, and the next batch fills meanwhile. One commit is under way at a
  time, so batches become durable in order, and under load each takes all that came during the one before.
- While one invocation is alone in memory and the disk is quick, the loop does the COMMIT itself: there is nothing to
  fill meanwhile (see `_may_commit_here`).
- What must not be seen before the disk has it (an answer to a client, the start of a step's action) waits with
  `when_durable` for the number that was the last when it was decided. Nobody waits for less.
- What is pinned in memory (records, keys) is never older than the store. Who reads anything else from the store asks
  `latest`, `changes` or `removed` what it does not show yet.

When the disk is full or busy the same batch is tried again, and no new work is accepted; what can't be written for a
value in it is salvaged piece by piece (`salvage`); anything else ends the process, unanswered.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from restate_patterns.embedded.batch import Batch, Statement
from restate_patterns.embedded.live_time import LiveTime
from restate_patterns.embedded.records import Record
from restate_patterns.embedded.salvage import Salvage, salvage
from restate_patterns.embedded.store import Store, StoreBusyError, UnwritableError
from restate_patterns.limits import (
    COMMIT_HERE_MS_MAX,
    COMMIT_RETRY_MS,
    DISK_PROBE_MS,
    FLUSH_PUT_OFF_MAX,
)
from restate_patterns.system.clock import Clock
from restate_patterns.text.log_lines import logger_named

_logger = logger_named("restate_patterns.embedded")

K = TypeVar("K")
V = TypeVar("V")


class Log:
    """Collects changes, makes them durable batch by batch, and tells time (`now_ms`).

    Args:
        store: The open store.
        clock: Where time comes from.
        committed: Called on the loop with each batch after it is durable.
        about_to_change: Tells whether invocations are about to advance: a batch waits a little for that.
        alone: Tells whether there is one invocation at most that could do anything during a commit.
        fatal: Called with an I/O error that no retry can mend; nothing is answered any more after it.
        salvaged: Called on the loop with what is left of a batch that could not be written as it was.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        committed: Callable[[Batch], None],
        about_to_change: Callable[[], bool],
        alone: Callable[[], bool],
        fatal: Callable[[BaseException], None],
        salvaged: Callable[[Salvage], None],
    ) -> None:
        self.open = Batch()
        self.time = LiveTime(clock)
        self.now_ms: Callable[[], int] = self.time.now_ms
        self.sequence = 0
        self.durable_sequence = 0
        self.commit_count = 0
        self.full = False
        self.closed = False
        self._store = store
        self._clock = clock
        self._committed = committed
        self._about_to_change = about_to_change
        self._alone = alone
        self._put_off_count = 0
        self._fatal = fatal
        self._salvaged = salvaged
        self._committing: Batch | None = None
        self._statements: list[Statement] = []
        self._is_salvaged = False
        """Whether the batch under way is what was left of one."""
        self._flush_scheduled = False
        self._commit_ms = 10 * COMMIT_HERE_MS_MAX
        """How long commits take: the longest of late; supposed to be slow before the first."""
        self._loop = asyncio.get_running_loop()
        self._commits: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self, last_durable_ms: int, last_sequence: int = 0) -> None:
        """Anchor live time to the later of the file's and the wall clock, and start the writer thread.

        Where the disk is full, what was accepted goes on, and new work is refused until there is room.

        Sequence numbers go on from the file's last: places in queues and timers are ordered by them, also
        against those that an earlier process made.
        """
        self.sequence = self.durable_sequence = self.open.last_sequence = last_sequence
        self.time.start(last_durable_ms)
        if not self._store.restore_reserve():
            self._refuse_work("no room for its reserve")
        if not self._store.in_memory:
            self._thread = threading.Thread(target=self._write, name="restate-patterns-writer", daemon=True)
            self._thread.start()

    def append(self, record: Record | None = None) -> int:
        """Number a change that was just put in the open batch; gives its sequence number."""
        self.sequence += 1
        self.open.last_sequence = self.sequence
        if record is not None:
            record.last_sequence = self.sequence
            self.open.records[record.num] = record
        if not self._flush_scheduled and self._committing is None:
            self._schedule_flush()
        return self.sequence

    def touch(self, record: Record) -> int:
        """Number a change of something that belongs to an invocation, its own row staying as it is."""
        # `append` written out: it is called twice for each step, and a call costs as much as the rest of it.
        self.sequence = sequence = self.sequence + 1
        record.last_sequence = self.open.last_sequence = sequence
        self.open.touched[record.num] = record
        if not self._flush_scheduled and self._committing is None:
            self._schedule_flush()
        return sequence

    def _schedule_flush(self) -> None:
        """Close the batch in the turn after next: what this turn's completions lead to belongs in it too."""
        self._flush_scheduled = True
        self._loop.call_soon(self._loop.call_soon, self._flush)

    def when_durable(self, sequence: int, callback: Callable[[], None]) -> None:
        """Call `callback` once `sequence` is durable; at once when it is."""
        if sequence <= self.durable_sequence:
            callback()
        elif self._committing is not None and sequence <= self._committing.last_sequence:
            self._committing.committed.append(callback)
        else:
            self.open.committed.append(callback)

    async def durable(self, sequence: int) -> None:
        """Wait until `sequence` is durable."""
        if sequence > self.durable_sequence:
            future: asyncio.Future[None] = self._loop.create_future()
            self.when_durable(sequence, lambda: settle(future))
            await future

    def _unwritten(self) -> Iterator[Batch]:
        """Give the batches that are not durable, older first: what the store does not show yet."""
        if self._committing is not None:
            yield self._committing
        yield self.open

    def changes(self, kind: Callable[[Batch], Mapping[K, V]]) -> Iterator[tuple[K, V]]:
        """Give the changes of one kind that the store does not show yet, older first."""
        for batch in self._unwritten():
            yield from kind(batch).items()

    def latest(self, kind: Callable[[Batch], Mapping[K, V]], row: K) -> tuple[V] | None:
        """Give what the store does not show yet of a row, as the only member; None where it shows all."""
        for batch in (self.open, self._committing):
            changed = None if batch is None else kind(batch)
            if changed is not None and row in changed:
                return (changed[row],)
        return None

    def removed(self, num: int) -> bool:
        """Tell whether an invocation was removed that the store still shows."""
        committing = self._committing
        return num in self.open.removed or (committing is not None and num in committing.removed)

    def may_have_written(self, sequence: int) -> bool:
        """Tell whether the file's last sequence number may be this one: its batch is durable, or being made so."""
        committing = self._committing
        return sequence == self.durable_sequence or (committing is not None and sequence == committing.last_sequence)

    async def close(self, grace_s: float) -> None:
        """Make everything durable, if the disk lets us within `grace_s` seconds, and stop the writer thread."""
        try:
            async with asyncio.timeout(grace_s):
                while not self.closed and self.sequence > self.durable_sequence:
                    await self.durable(self.sequence)
        except TimeoutError:
            _logger.error("%s could not be written at the end; what was not answered may be lost", self._store.file)
        await self.abandon()

    async def abandon(self) -> None:
        """Stop without another commit, as a crash would; one that is under way ends first."""
        self.closed = True
        if self._thread is not None:
            self._commits.put(False)
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    def _flush(self) -> None:
        if self._about_to_change() and self._put_off_count < FLUSH_PUT_OFF_MAX:
            self._put_off_count += 1
            self._loop.call_soon(self._flush)
            return
        self._put_off_count = 0
        self._flush_scheduled = False
        if self._committing is not None or self.closed or self.sequence == self.durable_sequence:
            return
        self._committing, self.open = batch, _ = self.open, Batch()
        self.open.last_sequence = self.sequence
        try:
            self._statements = [*batch.render(), self._meta(batch)]
        except Exception as error:  # noqa: BLE001 - one bad value must not stop the others
            self._salvage(batch, error)
        else:
            self._write_statements()

    def _meta(self, batch: Batch) -> Statement:
        meta: list[tuple[object, ...]] = [("time_ms", self.now_ms()), ("sequence", batch.last_sequence)]
        if batch.created:
            # A number names one invocation for ever, also when it was removed and the process died.
            meta.append(("last_num", max(batch.created)))
        return "INSERT OR REPLACE INTO meta VALUES (?, ?)", meta

    def _salvage(self, batch: Batch, error: Exception) -> None:
        """Write what of a batch can be written; whoever that costs something is told."""
        if self._is_salvaged or self.closed:
            self.fail(error)
            return
        try:
            left = salvage(batch, self._store)
        except StoreBusyError as busy:
            self._retry(busy, lambda: self._salvage(batch, error))
            return
        except Exception as broken:  # noqa: BLE001 - the file itself can't be written
            self.fail(broken)
            return
        self._is_salvaged = True
        self._statements = [*left.statements, self._meta(batch)]
        self._salvaged(left)
        self._write_statements()

    def _write_statements(self) -> None:
        if self.closed:
            return
        try:
            self._store.write(self._statements)
            if self._store.in_memory:
                self._store.commit()
        except StoreBusyError as error:
            self._retry(error)
        except UnwritableError as error:
            assert self._committing is not None
            self._salvage(self._committing, error)
        except Exception as error:  # noqa: BLE001 - a batch that can't be written must not be waited for silently
            self.fail(error)
        else:
            if self._store.in_memory:
                self._finish()
            elif self._may_commit_here():
                self._commit_here()
            else:
                self._commits.put(True)

    def _may_commit_here(self) -> bool:
        """Whether the loop itself commits: nobody else has anything to do meanwhile, and the disk answers quickly.

        Two hand-overs between threads took 45 of the 195 us of processor time, and a fifth of the time, of a step
        that follows another.
        """
        return self._commit_ms <= COMMIT_HERE_MS_MAX and self._alone()

    def _commit_here(self) -> None:
        try:
            self._commit()
        except StoreBusyError as error:
            self._retry(error)
        except Exception as error:  # noqa: BLE001 - as in _write()
            self.fail(error)
        else:
            self._finish()

    def _commit(self) -> None:
        """Commit, and keep how long that takes: the worst of late, as a slow disk is not to be tried often."""
        start_ms = self._clock.monotonic_ms()
        self._store.commit()
        took_ms = self._clock.monotonic_ms() - start_ms
        self._commit_ms = max(took_ms, 0.9 * self._commit_ms + 0.1 * took_ms)

    def _write(self) -> None:
        while self._commits.get():
            try:
                self._commit()
            except StoreBusyError as error:
                self._loop.call_soon_threadsafe(self._retry, error)
            except Exception as error:  # noqa: BLE001 - any failure to write is handed to the loop
                self._loop.call_soon_threadsafe(self.fail, error)
            else:
                self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        batch = self._committing
        if batch is None or self.closed:
            return
        self._committing = None
        self._statements = []
        self._is_salvaged = False
        self.commit_count += 1
        self.durable_sequence = batch.last_sequence
        if self.full:
            self._accept_again()
        if self.sequence > self.durable_sequence and not self._flush_scheduled:
            self._schedule_flush()
        self._committed(batch)
        for callback in batch.committed:
            callback()

    def _retry(self, error: StoreBusyError, again: Callable[[], None] | None = None) -> None:
        self._refuse_work(str(error))
        if not self.closed:
            self._clock.call_later(COMMIT_RETRY_MS, again or self._write_statements)

    def _refuse_work(self, why: str) -> None:
        if self.full:
            return
        self.full = True
        _logger.error(
            "%s can't be written (%s): no new work is accepted until it can; accepted work is kept and waits",
            self._store.file,
            why,
        )
        self._store.spend_reserve()
        self._clock.call_later(DISK_PROBE_MS, self._probe)

    def _probe(self) -> None:
        """Look for room again and again: while nothing is accepted there may be nothing to write that would find it."""
        if self.closed or not self.full:
            return
        if self._committing is None:
            self._accept_again()
        if self.full:
            self._clock.call_later(DISK_PROBE_MS, self._probe)

    def _accept_again(self) -> None:
        if self._store.restore_reserve():
            self.full = False
            _logger.warning("there is room on the disk of %s again: new work is accepted", self._store.file)

    def fail(self, error: BaseException) -> None:
        """Write and answer nothing any more: no retry can mend it."""
        if not self.closed:
            self.closed = True
            self._fatal(error)


def settle(future: asyncio.Future[None]) -> None:
    """End a wait; does nothing when it has ended, as one that was cancelled has."""
    if not future.done():
        future.set_result(None)
