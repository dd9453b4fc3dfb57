"""The tables of the file, their version, and how older files are brought to it."""

from __future__ import annotations

from restate_patterns.embedded.records import Status

APPLICATION_ID = 0x52535450
"""Marks a SQLite file as ours (`PRAGMA application_id`)."""

VERSION = 2
"""Version of the tables below (`PRAGMA user_version`)."""

MIGRATIONS: dict[int, str] = {
    1: f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE invocation (
    num INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    service TEXT NOT NULL,
    handler TEXT NOT NULL,
    key TEXT,
    body BLOB NOT NULL,
    headers TEXT NOT NULL,
    idempotency_key TEXT,
    caller INTEGER,
    caller_handle INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    status INTEGER NOT NULL,
    modified_ms INTEGER NOT NULL,
    start_ms INTEGER NOT NULL,
    queue_sequence INTEGER,
    first_handle INTEGER NOT NULL,
    failed_count INTEGER NOT NULL,
    failed_at_index INTEGER NOT NULL,
    failure TEXT,
    mismatch INTEGER NOT NULL,
    retry_at_ms INTEGER,
    waits TEXT,
    attached INTEGER NOT NULL,
    output BLOB,
    output_failure TEXT,
    completed_ms INTEGER,
    expires_ms INTEGER
);
CREATE INDEX invocation_by_key ON invocation (service, key, queue_sequence)
    WHERE key IS NOT NULL AND status < {Status.COMPLETED:d};
CREATE INDEX invocation_active ON invocation (num) WHERE status = {Status.ACTIVE:d};
CREATE INDEX invocation_by_expiry ON invocation (expires_ms) WHERE expires_ms IS NOT NULL;
CREATE TABLE journal (
    invocation INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    handle INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    value BLOB,
    failure TEXT,
    commands BLOB,
    PRIMARY KEY (invocation, idx)
) WITHOUT ROWID;
CREATE TABLE state (
    service TEXT NOT NULL,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (service, key, name)
) WITHOUT ROWID;
CREATE TABLE promise (
    service TEXT NOT NULL,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    value BLOB,
    failure TEXT,
    expires_ms INTEGER,
    PRIMARY KEY (service, key, name)
) WITHOUT ROWID;
CREATE INDEX promise_by_expiry ON promise (expires_ms) WHERE expires_ms IS NOT NULL;
CREATE TABLE timer (
    invocation INTEGER NOT NULL,
    handle INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (invocation, handle)
) WITHOUT ROWID;
CREATE INDEX timer_by_due ON timer (due_ms, sequence);
CREATE TABLE waiter (
    target TEXT NOT NULL,
    invocation INTEGER NOT NULL,
    handle INTEGER NOT NULL,
    PRIMARY KEY (target, invocation, handle)
) WITHOUT ROWID;
CREATE TABLE idempotency (
    service TEXT NOT NULL,
    key TEXT NOT NULL,
    handler TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    invocation INTEGER NOT NULL,
    PRIMARY KEY (service, key, handler, idempotency_key)
) WITHOUT ROWID;
CREATE TABLE step (
    invocation INTEGER NOT NULL,
    handle INTEGER NOT NULL,
    failed_count INTEGER NOT NULL,
    failure TEXT NOT NULL,
    PRIMARY KEY (invocation, handle)
) WITHOUT ROWID;
""",
    2: """
CREATE TABLE signal (
    invocation INTEGER NOT NULL,
    name TEXT NOT NULL,
    value BLOB,
    failure TEXT,
    PRIMARY KEY (invocation, name)
) WITHOUT ROWID;
""",
}
"""What brings a file from version n - 1 to version n."""

MOVE_TABLES = """
CREATE TABLE IF NOT EXISTS moved_send (
    invocation INTEGER PRIMARY KEY,
    begun_ms INTEGER NOT NULL,
    new_id TEXT,
    latest_start_ms INTEGER
);
"""
"""What a file gets when its content begins to move to a server; no engine reads it."""
