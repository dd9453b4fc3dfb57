"""Forgets what is past its retention, a bounded number at a time."""

from __future__ import annotations

from typing import Final, NamedTuple

from restate_patterns.embedded.core import Core
from restate_patterns.embedded.records import Record, Status
from restate_patterns.limits import RETENTION_INTERVAL_MS, RETENTION_LIMIT, RETENTION_PAUSE_MS
from restate_patterns.seam import HandlerKind
from restate_patterns.system.clock import Cancellable
from restate_patterns.text.log_lines import logger_named

_logger = logger_named("restate_patterns.embedded")

RETRY_LATER_MS: Final = 60_000


class RetentionCounts(NamedTuple):
    """What one run removed, what it put off because its key is in use, and whether there may be more at once."""

    removed: int
    postponed: int
    promises: int
    more: bool


class Retention:
    """Removes expired invocations, with the state of expired workflows, and promises nobody ran for."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._alarm: Cancellable | None = None
        self._look_ms: int | None = None
        """When it looks next, where that was asked for."""

    def start(self) -> None:
        """Remove what is expired, now and from time to time."""
        if self._core.queue.stopped:
            return
        self._look_ms = None
        more = False
        try:
            more = self.run_once().more
        except Exception:
            _logger.exception("removing expired invocations failed; it is tried again")
        if more:
            # The file shows what a batch under way removes until that is durable: it would be found again.
            self._core.log.when_durable(self._core.log.sequence, self._go_on)
        else:
            self._alarm = self._core.clock.call_later(RETENTION_INTERVAL_MS, self.start)

    def _go_on(self) -> None:
        self._alarm = self._core.clock.call_later(RETENTION_PAUSE_MS, self.start)

    def look_at_next_expiry(self, by_ms: int) -> None:
        """Look next when something expires, at `by_ms` (Unix milliseconds) at the latest, not each minute till then.

        Where something is expired already it stays as it is.
        """
        now_ms = self._core.log.now_ms()
        next_ms = min((by_ms, *self._expiries()))
        if next_ms > now_ms and next_ms != self._look_ms:
            self.stop()
            self._look_ms = next_ms
            self._alarm = self._core.clock.call_later(next_ms - now_ms, self.start)

    def _expiries(self) -> list[int]:
        """Give when the first invocation and the first promise expire, of those in the file."""
        tables = ("invocation", "promise")
        rows = [self._core.store.read(f"SELECT min(expires_ms) FROM {table}") for table in tables]
        return [expires_ms for ((expires_ms,),) in rows if expires_ms is not None]

    def stop(self) -> None:
        """Remove nothing any more."""
        if self._alarm is not None:
            self._alarm.cancel()

    def run_once(self, limit: int = RETENTION_LIMIT) -> RetentionCounts:
        """Remove at most `limit` invocations and as many promises."""
        now_ms = self._core.log.now_ms()
        removed = postponed = 0
        expired = self._core.records.select(
            "expires_ms IS NOT NULL AND expires_ms <= ? ORDER BY expires_ms LIMIT ?", (now_ms, limit)
        )
        for record in expired:
            if record.status is not Status.COMPLETED or self._core.log.removed(record.num):
                continue
            if record.expires_ms is None or record.expires_ms > now_ms:
                continue
            if self._key_is_in_use(record):
                record.expires_ms = now_ms + RETRY_LATER_MS
                self._core.log.append(record)
                postponed += 1
            else:
                self._core.control.purge(record)
                removed += 1
        promises, promises_postponed, more_promises = self._expire_promises(now_ms, limit)
        postponed += promises_postponed
        more = (len(expired) == limit or more_promises) and removed + postponed + promises > 0
        return RetentionCounts(removed, postponed, promises, more)

    def _key_is_in_use(self, record: Record) -> bool:
        """Tell whether handlers of a workflow's key still run: they may want its state and promises."""
        if record.key is None or record.info is None or record.info.kind is not HandlerKind.WORKFLOW:
            return False
        running = self._core.store.read(
            "SELECT 1 FROM invocation WHERE service=? AND key=? AND status < ? LIMIT 1",
            (record.service, record.key, int(Status.COMPLETED)),
        )
        return bool(running) or any(
            found.status is not Status.COMPLETED and found.object_key == record.object_key
            for found in self._core.records.in_memory()
        )

    def _expire_promises(self, now_ms: int, limit: int) -> tuple[int, int, bool]:
        expired = self._core.store.read(
            "SELECT service, key, name FROM promise WHERE expires_ms IS NOT NULL AND expires_ms <= ? "
            "ORDER BY expires_ms LIMIT ?",
            (now_ms, limit),
        )
        removed = postponed = 0
        for service, key, name in expired:
            entry = self._core.keys.entry(service, key)
            answer = entry.promises.get(name)
            if answer is None or answer.expires_ms is None or answer.expires_ms > now_ms:
                continue
            if self._core.identities.run_of(service, key) is None:
                self._core.keys.clear_promise(entry, name)
                removed += 1
            else:  # or those with a run would stand in the way of the others for ever
                self._core.keys.set_promise(entry, name, answer._replace(expires_ms=now_ms + RETRY_LATER_MS))
                postponed += 1
        return removed, postponed, len(expired) == limit
