"""What goes into a query cannot break out of it, and means what was asked."""

from __future__ import annotations

import pytest

from restate_patterns.admin.introspection import (
    by_ids,
    holders,
    in_flight_children,
    listing,
    pauses,
    signal_awaited,
    view_of,
)
from restate_patterns.admin.journal import journal_query
from restate_patterns.admin.key_state import state_query
from restate_patterns.client.sql import among, equals, literal, resolving
from restate_patterns.engine.interface import InvocationFilter, InvocationStatus
from restate_patterns.seam import IdempotencyRef, Target, WorkflowRef

EVIL = "x' OR '1'='1"
QUOTED = "'x'' OR ''1''=''1'"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain", "'plain'"),
        ("", "''"),
        ("it's", "'it''s'"),
        ("''", "''''''"),
        (EVIL, QUOTED),
        ('"double" \\ -- ; é\n', "'\"double\" \\ -- ; é\n'"),
    ],
)
def test_literals(text: str, written: str) -> None:
    assert literal(text) == written


def test_conditions() -> None:
    assert equals("key", None) == "key IS NULL"
    assert equals("key", EVIL) == f"key = {QUOTED}"
    assert among("id", ["a", EVIL]) == f"id IN ('a', {QUOTED})"


@pytest.mark.parametrize(
    "query",
    [
        resolving(IdempotencyRef(Target(EVIL, EVIL, EVIL), EVIL)),
        resolving(WorkflowRef(EVIL, EVIL)),
        listing(InvocationFilter(service=EVIL, handler=EVIL, key=EVIL), 1, "2026-11-24T11:17:13.707Z", EVIL),
        listing(InvocationFilter(without=frozenset({EVIL}), id_start=EVIL, id_end=EVIL), 1, None, None),
        by_ids([EVIL]),
        in_flight_children([EVIL], 1),
        holders([(EVIL, EVIL)]),
        pauses([EVIL]),
        journal_query([EVIL]),
        state_query(EVIL, EVIL),
    ],
)
def test_every_query_quotes_what_it_is_given(query: str) -> None:
    """Without its literals a query has nothing of what it was given."""
    assert QUOTED in query
    assert "OR '1'" not in query.replace(QUOTED, "?")


def test_a_service_has_no_key() -> None:
    query = resolving(IdempotencyRef(Target("Shop", "buy"), "i"))
    assert "target_service_key IS NULL" in query
    assert "idempotency_key = 'i'" in query


def test_statuses_are_the_words_of_the_server() -> None:
    chosen = InvocationFilter(statuses=frozenset({InvocationStatus.QUEUED, InvocationStatus.BACKING_OFF}))
    assert "status IN ('backing-off', 'pending')" in listing(chosen, 5, None, None)
    assert "WHERE" not in listing(InvocationFilter(), 5, None, None)


def test_only_failed_ones_and_parts_of_ids() -> None:
    chosen = InvocationFilter(failed=True, without=frozenset({"B", "A"}), id_start="inv_1a", id_end="z")
    query = listing(chosen, 5, None, None)
    assert "completion_failure IS NOT NULL AND NOT target_service_name IN ('A', 'B')" in query
    assert "starts_with(id, 'inv_1a') AND ends_with(id, 'z')" in query


def test_a_handler_that_is_gone_is_said() -> None:
    """The server tells it by a status only."""
    row: dict[str, object] = {
        "id": "inv_1",
        "target_service_name": "Shop",
        "target_handler_name": "buy",
        "status": "backing-off",
        "last_failure": "[500 Internal] unexpected http status code: 404 Not Found",
    }
    assert "has no Shop/buy any more. Serve the code" in (view_of(row).last_failure or "")
    other = "[500 Internal] no route"
    assert view_of({**row, "last_failure": other}).last_failure == other


def test_a_page_begins_after_the_last_one() -> None:
    query = listing(InvocationFilter(), 5, "2026-11-24T11:17:13.707Z", "inv_1")
    assert "created_at < to_timestamp_millis(1795519033707)" in query
    assert "id < 'inv_1'" in query


@pytest.mark.parametrize(
    ("signals", "completions", "what"),
    [
        (None, None, None),
        ([], [3], None),
        ([1], [3], None),
        ([1, 17], [], "an awakeable"),
        ([1, 17], [3], "an awakeable"),
        ([1], [], "a signal"),
    ],
)
def test_what_is_known_of_the_signals_it_waits_for(signals: object, completions: object, what: str | None) -> None:
    """The rows of one that waits for a named signal alone are those of Restate 1.7.12."""
    row = {"suspended_waiting_for_signals": signals, "suspended_waiting_for_completions": completions}
    assert signal_awaited(row) == what
