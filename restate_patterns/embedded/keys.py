"""The keys of objects and workflows: who holds one, who waits for it, its state and promises.

Entries are a cache over the file: one can be dropped once its last change is durable, and is read
again when it is needed.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, NamedTuple

from restate_patterns.embedded.codec import failure_from_text
from restate_patterns.embedded.log import Log
from restate_patterns.embedded.records import Record
from restate_patterns.embedded.store import Store
from restate_patterns.errors import ContextError, Failure
from restate_patterns.limits import KEYS_CACHED_MAX
from restate_patterns.text.wording import sentence_of

_STATE: Final = "SELECT name, CAST(value AS BLOB) FROM state"


class PromiseAnswer(NamedTuple):
    """What a durable promise was completed with, and when it expires (Unix ms) if no run ever comes."""

    value: bytes | None
    failure: Failure | None
    expires_ms: int | None = None


class KeyEntry:
    """One key: the invocations that want it exclusively, first in first out, and what is stored under it."""

    __slots__ = ("key", "last_sequence", "line", "promises", "service", "state", "turn_waiters", "unreadable")

    def __init__(self, service: str, key: str) -> None:
        self.service = service
        self.key = key
        self.line: deque[int] = deque()
        """Numbers of the invocations that hold (the first) or wait for the key."""
        self.state: dict[str, bytes] = {}
        self.promises: dict[str, PromiseAnswer] = {}
        self.unreadable: dict[str, str] = {}
        """Promises whose answer can't be read, and why."""
        self.turn_waiters: deque[Callable[[], None]] = deque()
        self.last_sequence = 0

    @property
    def holder(self) -> int | None:
        """The invocation that holds the key."""
        return self.line[0] if self.line else None


class Keys:
    """Gives key entries, from memory or from the file, and changes what is stored under them."""

    def __init__(self, store: Store, log: Log) -> None:
        self._store = store
        self._log = log
        self._entries: OrderedDict[tuple[str, str], KeyEntry] = OrderedDict()

    def entry(self, service: str, key: str) -> KeyEntry:
        """Give the entry of a key."""
        name = (service, key)
        found = self._entries.get(name)
        if found is None:
            found = self._entries[name] = self._load(service, key)
            if len(self._entries) > KEYS_CACHED_MAX:
                self._trim()
        else:
            self._entries.move_to_end(name)
        return found

    def of(self, record: Record) -> KeyEntry:
        """Give the entry of the key of an invocation of an object or workflow.

        Raises:
            ContextError: It is of a service: it has none.
        """
        if record.key is None:
            raise ContextError(f"{record.target} is a service handler: it has no key and no state")
        return self.entry(record.service, record.key)

    def _load(self, service: str, key: str) -> KeyEntry:
        entry = KeyEntry(service, key)
        name = (service, key)
        entry.state = dict(self._store.read(f"{_STATE} WHERE service=? AND key=?", name))
        entry.line.extend(
            num
            for (num,) in self._store.read(
                "SELECT num FROM invocation WHERE service=? AND key=? AND queue_sequence IS NOT NULL AND status < 6 "
                "ORDER BY queue_sequence",
                name,
            )
        )
        for promise, value, failure, expires_ms in self._store.read(
            "SELECT name, CAST(value AS BLOB), failure, expires_ms FROM promise WHERE service=? AND key=?", name
        ):
            try:
                entry.promises[promise] = PromiseAnswer(value, failure_from_text(failure), expires_ms)
            except Exception as error:  # noqa: BLE001 - whatever stands there, it stops only who asks for it
                entry.unreadable[promise] = sentence_of(error)
        return entry

    def _trim(self) -> None:
        """Drop the entries used longest ago whose changes are durable, looking at a bounded number."""
        for name in list(self._entries)[: KEYS_CACHED_MAX // 10]:
            entry = self._entries[name]
            if entry.last_sequence <= self._log.durable_sequence and not entry.turn_waiters:
                del self._entries[name]

    def touch(self, entry: KeyEntry) -> None:
        """Note that the entry changed now."""
        entry.last_sequence = self._log.append()

    def set_state(self, entry: KeyEntry, name: str, value: bytes) -> None:
        """Write one state."""
        entry.state[name] = value
        self._log.open.states[(entry.service, entry.key, name)] = value
        self.touch(entry)

    def take_back_state(self, service: str, key: str, name: str) -> None:
        """Make a state what the file has, as its latest write could not be stored."""
        state = self.entry(service, key).state
        stored = self._store.read(
            "SELECT CAST(value AS BLOB) FROM state WHERE service=? AND key=? AND name=?", (service, key, name)
        )
        state.pop(name, None)
        if stored:
            state[name] = stored[0][0]

    def take_back_promise(self, service: str, key: str, name: str) -> None:
        """Make a promise open again, as its answer could not be stored."""
        self.entry(service, key).promises.pop(name, None)

    def clear_state(self, entry: KeyEntry, name: str) -> None:
        """Remove one state."""
        if entry.state.pop(name, None) is not None:
            self._log.open.states[(entry.service, entry.key, name)] = None
            self.touch(entry)

    def clear_all_state(self, entry: KeyEntry) -> None:
        """Remove all state of the key."""
        for name in list(entry.state):
            self.clear_state(entry, name)

    def set_promise(self, entry: KeyEntry, name: str, answer: PromiseAnswer) -> None:
        """Store what a promise was completed with."""
        entry.promises[name] = answer
        self._log.open.promises[(entry.service, entry.key, name)] = answer
        self.touch(entry)

    def keep_promises(self, entry: KeyEntry, expires_ms: int | None) -> None:
        """Let the promises of a key keep until a time (Unix ms), or as long as its workflow (None)."""
        for name, answer in list(entry.promises.items()):
            self.set_promise(entry, name, answer._replace(expires_ms=expires_ms))

    def clear_promise(self, entry: KeyEntry, name: str) -> None:
        """Forget a promise."""
        if entry.promises.pop(name, None) is not None:
            self._log.open.promises[(entry.service, entry.key, name)] = None
            self.touch(entry)
