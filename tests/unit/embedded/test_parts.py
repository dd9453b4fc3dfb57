"""The pure parts of the engine: ids, codec, deadlock search."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restate_patterns.embedded.codec import decode_commands, encode_commands
from restate_patterns.embedded.deadlocks import find_cycle
from restate_patterns.embedded.ids import Ids, new_secret
from restate_patterns.embedded.operations import result_fingerprint
from restate_patterns.embedded.records import Command, CommandKind
from restate_patterns.engine.errors import MalformedId
from restate_patterns.errors import Failure
from restate_patterns.seam import ValueOrFailure

_failures = st.builds(
    Failure, st.integers(0, 999), st.text(), st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3)
)
_commands = st.builds(
    Command,
    st.sampled_from(CommandKind),
    st.text(),
    st.binary(max_size=8),
    st.none() | st.binary(),
    st.none() | _failures,
)


@given(st.lists(_commands, max_size=6))
def test_commands_survive_the_codec(commands: list[Command]) -> None:
    assert decode_commands(encode_commands(commands)) == commands


def test_ids_are_read_back_and_a_changed_one_names_nothing() -> None:
    ids = Ids(new_secret())
    text = ids.invocation(7, 3)
    assert ids.read_invocation(text) == (7, 3)
    awakeable = ids.awakeable(7, 3, 12)
    assert ids.read_awakeable(awakeable) == (7, 3, 12)
    changed = text[:-1] + ("0" if text[-1] != "0" else "1")
    with pytest.raises(MalformedId):
        ids.read_invocation(text[:-1])
    assert Ids(new_secret()).read_invocation(text) is None
    try:
        assert ids.read_invocation(changed) is None
    except MalformedId:
        pass


@pytest.mark.parametrize(
    "text", ["", "inv_1", "inv_1zzzz", "hello", "inv_1" + "é" * 40, "sign_1" + "0" * 40, "inv_1" + "w" * 40]
)
def test_what_is_no_id_is_malformed(text: str) -> None:
    with pytest.raises(MalformedId):
        Ids(new_secret()).read_invocation(text)


def _cycle(graph: dict[int, list[int] | None], start: int) -> list[int] | None:
    return find_cycle(start, graph.get)


def test_self_call_pair_and_ring_are_dead() -> None:
    """1 calls 2, which is queued behind 1."""
    assert _cycle({1: [2], 2: [1]}, 1) == [1, 2]
    assert _cycle({1: [2], 2: [3], 3: [4], 4: [1]}, 4) is not None
    ring: dict[int, list[int] | None] = {n: [(n + 1) % 6] for n in range(6)}
    assert sorted(_cycle(ring, 0) or []) == list(range(6))


def test_rule_27_all_it_waits_for_must_be_dead() -> None:
    assert _cycle({1: [2, 3], 2: [1], 3: None}, 1) is None
    assert _cycle({1: [2, 3], 2: [1], 3: [1]}, 1) is not None
    assert _cycle({1: [2], 2: [3], 3: [2, 4], 4: None}, 1) is None
    assert _cycle({1: None, 2: [1]}, 1) is None


@given(st.dictionaries(st.integers(0, 15), st.lists(st.integers(0, 15), max_size=3), max_size=16))
def test_acyclic_graphs_are_never_dead(edges: dict[int, list[int]]) -> None:
    acyclic: dict[int, list[int] | None] = {
        node: [target for target in targets if target > node] or None for node, targets in edges.items()
    }
    assert all(_cycle(acyclic, node) is None for node in range(16))


@given(
    st.dictionaries(st.integers(0, 12), st.lists(st.integers(0, 12), min_size=1, max_size=3), max_size=12),
    st.integers(0, 12),
)
def test_dead_means_no_way_out(edges: dict[int, list[int]], start: int) -> None:
    """The search agrees with the definition: dead exactly when nothing alive can be reached."""
    reached, to_visit = set[int](), [start]
    while to_visit:
        node = to_visit.pop()
        if node not in reached:
            reached.add(node)
            to_visit.extend(edges.get(node, []))
    assert (_cycle(dict(edges), start) is not None) == all(node in edges for node in reached)


@pytest.mark.parametrize(
    ("result", "stored"),
    [
        (ValueOrFailure(b'{"b":1}', None), "d33f9d1d4f1b5865"),
        (ValueOrFailure(None, Failure(409, "no")), "6f310fc5e6cca5a1"),
    ],
    ids=["value", "failure"],
)
def test_the_fingerprint_of_an_answer_is_the_one_that_is_in_files(result: ValueOrFailure, stored: str) -> None:
    assert result_fingerprint(result).hex() == stored
