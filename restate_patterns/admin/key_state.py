"""The state of a key on a Restate server, and how a write of it loses nothing. Pure.

Restate replaces the whole state of a key, asynchronously, in the key's turn; with a version it does
so only if the state then still has that version, and says nothing when it has not.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from restate_patterns.admin.connection import JsonObject
from restate_patterns.client.sql import among, equals

State: TypeAlias = Mapping[str, bytes]
Change: TypeAlias = Callable[[State], State]
"""Gives the new state for the one before."""


def state_query(service: str, key: str) -> str:
    """Write the query for the state of a key."""
    where = f"{equals('service_name', service)} AND {equals('service_key', key)}"
    return f"SELECT key, value FROM state WHERE {where} ORDER BY key"


def states_query(service: str, keys: Iterable[str]) -> str:
    """Write the query for the state of some keys."""
    where = f"{equals('service_name', service)} AND {among('service_key', keys)}"
    return f"SELECT service_key, key, value FROM state WHERE {where}"


def states_of(rows: Iterable[JsonObject]) -> Mapping[str, State]:
    """Read the state of some keys, by key; a key without state is left out."""
    found: dict[str, list[JsonObject]] = {}
    for row in rows:
        found.setdefault(str(row.get("service_key", "")), []).append(row)
    return {key: state_of(of_key) for key, of_key in found.items()}


def state_of(rows: Iterable[JsonObject]) -> State:
    """Read the state of a key; the server writes bytes in hexadecimal."""
    return {str(row["key"]): bytes.fromhex(str(row.get("value", ""))) for row in rows}


def version_of(state: State) -> str:
    """Return the version that Restate computes for a state: a hash of names and values, sorted by name."""
    digest = hashlib.sha256()
    named = sorted((name.encode(), value) for name, value in state.items())
    for index, (name, value) in enumerate(named):
        digest.update(index.to_bytes(8, "big") + b"\x01" + name + b"\x02" + value + b"\x03")
    return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()


def write_body(key: str, before: State, after: State) -> JsonObject:
    """Return the body of a request that replaces a state, if it still is what it was."""
    return {
        "object_key": key,
        "new_state": {name: _json_bytes(value) for name, value in after.items()},
        "version": version_of(before),
    }


def _json_bytes(value: bytes) -> str | list[int]:
    """Write bytes as text where they are: the server takes either, and an array is up to four times as long."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return list(value)


def setting(values: State, *, replace: bool) -> Change:
    """Return the change that writes some names; the others stay, or go with `replace`."""
    return lambda before: dict(values) if replace else {**before, **values}


def clearing(names: Iterable[str] | None) -> Change:
    """Return the change that removes some names, or all."""
    gone = None if names is None else frozenset(names)
    return lambda before: {} if gone is None else {name: before[name] for name in before if name not in gone}
