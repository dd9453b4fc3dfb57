"""The version of a state as Restate computes it, and changes that keep what they do not name."""

from __future__ import annotations

import pytest

from restate_patterns.admin.key_state import clearing, setting, state_of, version_of, write_body


@pytest.mark.parametrize(
    ("state", "version"),
    [
        ({}, "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"),
        ({"name": b"bob"}, "tDqA04Lj3_qJ-PgNPTecXDGZgpwy6jm2Ni2BYqJIthM"),
        ({"b": b"bbb", "a": b"aaa"}, "RVM17P6x18Wp-JnzQ01BzmqCvhAunTOQI_az6Px3Zyk"),
    ],
)
def test_versions(state: dict[str, bytes], version: str) -> None:
    """The server's own examples."""
    assert version_of(state) == version


def test_changes() -> None:
    before = {"a": b"1", "b": b"2"}
    assert setting({"b": b"3"}, replace=False)(before) == {"a": b"1", "b": b"3"}
    assert setting({"b": b"3"}, replace=True)(before) == {"b": b"3"}
    assert clearing(["a", "none"])(before) == {"b": b"2"}
    assert clearing([])(before) == before
    assert clearing(None)(before) == {}


def test_rows_and_bodies() -> None:
    assert state_of([{"key": "a", "value": "00ff"}, {"key": "empty"}]) == {"a": b"\x00\xff", "empty": b""}
    body = write_body("k", {}, {"a": b"\x00\xff"})
    assert body["new_state"] == {"a": [0, 255]}
    assert body["version"] == version_of({})
