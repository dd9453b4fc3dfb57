"""How results of steps are stored on a server."""

from __future__ import annotations

import pytest

from restate_patterns.errors import Failure
from restate_patterns.restate.envelope import unwrap, wrap
from restate_patterns.seam import ValueOrFailure

RESULTS = [
    ValueOrFailure(b'{"a": 1}', None),
    ValueOrFailure(b"", None),
    ValueOrFailure(None, None),
    ValueOrFailure(b"two\nlines\n\x00\xff", None),
    ValueOrFailure(None, Failure(402, "declined", {"reason": '"limit"'})),
    ValueOrFailure(None, Failure(500, "", {})),
]


@pytest.mark.parametrize("result", RESULTS, ids=str)
def test_rule_06_a_result_reads_back_with_its_time_and_its_arguments(result: ValueOrFailure) -> None:
    recorded = unwrap(wrap(result, 1_700_000_000_123, "00ff"))
    assert recorded == (result, 1_700_000_000_123, "00ff")


def test_a_value_is_readable_where_the_server_shows_it() -> None:
    assert (wrap(ValueOrFailure(b'{"a": 1}', None), 5, "ff").value or b"").endswith(b'\n{"a": 1}')


@pytest.mark.parametrize(
    "stored",
    [
        ValueOrFailure(b"17", None),
        ValueOrFailure(b"17\n18", None),
        ValueOrFailure(b'{"time_ms": "late", "arguments": ""}\n18', None),
        ValueOrFailure(b"[]\n18", None),
        ValueOrFailure(None, Failure(500, "no")),
        ValueOrFailure(None, Failure(500, "no", {"restate-patterns.step": "{"})),
    ],
)
def test_what_another_program_wrote_is_refused(stored: ValueOrFailure) -> None:
    with pytest.raises(ValueError, match="step"):
        unwrap(stored)
