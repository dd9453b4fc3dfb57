"""Looks into the file of a dead server: which steps have a durable result.

The one place of the torture test that knows how the engine stores a journal. It opens the file read-only, so
that the next server finds it as the last one left it.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path


def durable_steps(file: Path) -> set[tuple[str, str]]:
    """Give operation and step of every step whose result is in the file."""
    if not file.exists():
        return set()
    with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
        (made,) = connection.execute("SELECT count(*) FROM sqlite_master WHERE name='journal'").fetchone()
        if not made:
            return set()
        rows = connection.execute("SELECT value FROM journal WHERE CAST(value AS TEXT) LIKE '\"op-%/%\"'").fetchall()
    results = [json.loads(value) for (value,) in rows]
    return {(operation, step) for operation, _, step in (each.partition("/") for each in results) if " " not in step}
