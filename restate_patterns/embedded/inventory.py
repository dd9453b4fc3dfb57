"""What is in a file on which nothing runs: state, work that has not ended, promises, results.

It reads rows; what they mean to somebody who wants to carry them elsewhere is not decided here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from restate_patterns.embedded.codec import failure_from_text
from restate_patterns.embedded.ids import Ids
from restate_patterns.embedded.moves import MoveLog
from restate_patterns.embedded.records import SENT, START_ROW, Status
from restate_patterns.embedded.store import Store
from restate_patterns.embedded.timers import START_TIMER
from restate_patterns.errors import Failure
from restate_patterns.limits import MOVE_STATE_BYTES, MOVE_STATE_KEYS
from restate_patterns.seam import RUN_HANDLER, Target

_PENDING: Final = f"""
SELECT i.num, i.epoch, i.service, i.handler, i.key, i.status, length(i.body), i.idempotency_key, i.failure,
    i.queue_sequence, t.due_ms, t.sequence,
    (SELECT count(*) FROM journal j WHERE j.invocation = i.num AND (j.handle != {START_ROW} OR length(j.commands) > 0)),
    r.invocation, c.num, c.epoch, i.headers,
    EXISTS (SELECT 1 FROM signal s WHERE s.invocation = i.num)
FROM invocation i
LEFT JOIN timer t ON t.invocation = i.num AND t.handle = {START_TIMER}
LEFT JOIN idempotency r ON r.service = i.service AND r.key = i.key AND r.handler = i.handler
    AND r.idempotency_key = '' AND r.invocation = i.num
LEFT JOIN invocation c ON c.num = i.caller AND i.caller_handle != {SENT} AND c.status < {Status.COMPLETED:d}
WHERE i.status < {Status.COMPLETED:d}
ORDER BY i.num
"""
_FINISHED: Final = f"""
SELECT count(*), count(idempotency_key), max(expires_ms),
    (SELECT count(*) FROM idempotency r JOIN invocation n ON n.num = r.invocation
     WHERE r.idempotency_key = '' AND n.status = {Status.COMPLETED:d})
FROM invocation WHERE status = {Status.COMPLETED:d}
"""
_PROMISES: Final = f"""
SELECT p.service, p.key, p.name, p.value, p.failure, r.invocation
FROM promise p LEFT JOIN idempotency r
    ON r.service = p.service AND r.key = p.key AND r.handler = '{RUN_HANDLER}' AND r.idempotency_key = ''
ORDER BY p.service, p.key, p.name
"""
_KEYS: Final = """
SELECT service, key, count(*), sum(length(value) + length(name)) FROM state
WHERE (service, key) > (?, ?) GROUP BY service, key ORDER BY service, key LIMIT ?
"""
_STATE: Final = f"""
SELECT s.key, s.name, s.value, r.invocation
FROM state s LEFT JOIN idempotency r
    ON r.service = s.service AND r.key = s.key AND r.handler = '{RUN_HANDLER}' AND r.idempotency_key = ''
WHERE s.service = ? AND s.key >= ? AND s.key <= ? ORDER BY s.key, s.name
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """An invocation that has not ended."""

    num: int
    id: str
    target: Target
    status: Status
    body_bytes: int
    idempotency_key: str | None = None
    failure: str | None = None
    """Why its last attempt failed, or why it is paused."""
    place: int | None = None
    """Its place in the line of its key; only exclusive handlers have one."""
    due: tuple[int, int] | None = None
    """When a delayed one is due (Unix ms), and the order among those due at once."""
    begun: bool = False
    """Whether anything is in its journal: an operation, an answer, a cancel."""
    signalled: bool = False
    """Whether a signal has come to it."""
    is_run: bool = False
    """Whether it is the one run of a workflow key."""
    awaited_by: str | None = None
    """The id of the invocation that has called it and waits for it."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPromise:
    """A promise of a workflow that was completed; `run` is the number of the workflow's run, if there is one."""

    service: str
    key: str
    name: str
    value: bytes | None
    failure: Failure | None
    run: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyState:
    """The state of one key; `run` is the number of its run where it is a workflow that was run."""

    service: str
    key: str
    values: Mapping[str, bytes]
    run: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Results that are kept for their retention."""

    count: int
    keyed_count: int
    """Of them with an idempotency key."""
    runs_count: int
    """Of them runs of workflows."""
    until_ms: int | None
    """When the last of them would have been forgotten (Unix ms)."""


class ParkedFile:
    """A file that no engine runs on, owned by this process while the block lasts.

    Args:
        file: The file.

    Raises:
        FileError: It can't be had or read; a file in use is refused with its owner's name.
    """

    def __init__(self, file: str | Path) -> None:
        self._store = Store(file)
        self.path = self._store.file
        self.log = MoveLog(self._store)

    def __enter__(self) -> Self:
        self._store.open_parked()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._store.close()

    def pending(self) -> list[Pending]:
        """Give what has not ended, in the order it was accepted."""
        ids = Ids(self._secret())
        return [_pending(row, ids) for row in self._store.read(_PENDING)]

    def finished(self) -> Finished:
        """Count the results."""
        count, keyed_count, until_ms, runs_count = self._store.read(_FINISHED)[0]
        return Finished(count=count, keyed_count=keyed_count, runs_count=runs_count, until_ms=until_ms)

    def promises(self) -> list[StoredPromise]:
        """Give the promises that were completed."""
        return [
            StoredPromise(service=service, key=key, name=name, value=value, failure=failure_from_text(failure), run=run)
            for service, key, name, value, failure, run in self._store.read(_PROMISES)
        ]

    def states(self, after: tuple[str, str] | None = None) -> Iterator[list[KeyState]]:
        """Give the state of all keys behind one, some keys of one service at a time, in their order."""
        last = after or ("", "")
        while keys := self._store.read(_KEYS, (*last, MOVE_STATE_KEYS)):
            size = 0
            together = list[str]()
            for service, key, _, size_bytes in keys:
                size += size_bytes + len(key)
                if together and (service != keys[0][0] or size > MOVE_STATE_BYTES):
                    break
                together.append(key)
            last = (keys[0][0], together[-1])
            yield self._states_of(keys[0][0], together)

    def _states_of(self, service: str, keys: list[str]) -> list[KeyState]:
        found: dict[str, dict[str, bytes]] = {key: {} for key in keys}
        runs: dict[str, int | None] = {}
        for key, name, value, run in self._store.read(_STATE, (service, keys[0], keys[-1])):
            found[key][name] = value
            runs[key] = run
        return [KeyState(service=service, key=key, values=found[key], run=runs.get(key)) for key in keys]

    def body(self, num: int) -> bytes:
        """Give the argument of an invocation."""
        found: bytes = self._store.read("SELECT body FROM invocation WHERE num=?", (num,))[0][0]
        return found

    def _secret(self) -> bytes:
        rows = self._store.read("SELECT value FROM meta WHERE name='secret'")
        return rows[0][0] if rows else b""


def _pending(row: tuple[Any, ...], ids: Ids) -> Pending:
    num, epoch, service, handler, key, status, body_bytes, idempotency_key, failure, place, due_ms, sequence = row[:12]
    journal_count, run, caller, caller_epoch, headers, signalled = row[12:]
    return Pending(
        num=num,
        id=ids.invocation(num, epoch),
        target=Target(service, handler, key),
        status=Status(status),
        body_bytes=body_bytes,
        idempotency_key=idempotency_key,
        failure=failure,
        place=place,
        due=None if due_ms is None or status != Status.SCHEDULED else (due_ms, sequence),
        begun=journal_count > 0,
        signalled=bool(signalled),
        is_run=run is not None,
        awaited_by=None if caller is None else ids.invocation(caller, caller_epoch),
        headers=json.loads(headers),
    )
