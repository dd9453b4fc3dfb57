"""Text of others on one line: nothing that moves a cursor, ends a line or turns it round goes through."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from restate_patterns.text.log_lines import logger_named
from restate_patterns.text.printable import printable, printable_json, printable_lines

ANY_TEXT = st.text(st.characters())
HOSTILE = "k\nforged\r\x1b[2J\x1b]0;t\x07\x7f\x9b\x85\u200f\u202e\u2066\u2028\u2029\ufeff\x00\ud800\x0b\x0c\x1c"


@given(ANY_TEXT)
def test_one_line(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert (shown == text) == text.isprintable()


@given(ANY_TEXT)
def test_lines(text: str) -> None:
    assert all(each.isprintable() or each in "\n\t" for each in printable_lines(text))
    assert printable_lines(text).count("\n") == text.count("\n")


@given(st.recursive(ANY_TEXT, lambda each: st.lists(each) | st.dictionaries(ANY_TEXT, each)), st.none() | st.just(2))
def test_json_says_the_same(value: object, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    shown = printable_json(text)
    assert json.loads(shown) == json.loads(json.dumps(value))
    assert shown.replace("\n", "").isprintable()
    assert shown.count("\n") == text.count("\n")


def test_what_is_shown() -> None:
    assert printable("a\n\x1b\u202eé \U0001f600 [red]") == r"a\n\x1b\u202eé 😀 [red]"
    assert printable(HOSTILE).startswith(r"k\nforged\r\x1b[2J\x1b]0;t\x07\x7f\x9b\x85\u200f\u202e")


@contextmanager
def _written(logger: logging.Logger) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    try:
        yield stream
    finally:
        logger.removeHandler(handler)


class _Mute:
    @override
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    "value", [HOSTILE, ValueError(HOSTILE), {"a": HOSTILE}, [HOSTILE], HOSTILE.encode("utf-8", "replace")]
)
def test_a_log_line_stays_one(value: object) -> None:
    logger = logger_named("restate_patterns.test")
    with _written(logger) as stream:
        logger.warning("%s of %d, %.1f, %r: %s", value, 3, 1.5, value, None)
        logger.warning("%(a)s", {"a": value})
        logger.warning("%s", _Mute())
    lines = stream.getvalue().split("\n")
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)
    assert " of 3, 1.5, " in lines[0]
    assert lines[2] == "WARNING <_Mute>"


def test_messages_in_a_traceback_stay_on_their_lines() -> None:
    logger = logger_named("restate_patterns.test")
    with _written(logger) as stream:
        try:
            try:
                raise ValueError(HOSTILE)
            except ValueError as error:
                error.add_note(HOSTILE)
                group = ExceptionGroup(HOSTILE, [KeyError(HOSTILE), error])
                raise RuntimeError(HOSTILE) from group
        except RuntimeError:
            logger.exception("broken")
    text = stream.getvalue()
    assert not [line for line in text.split("\n") if line.strip(" |").startswith("forged")]
    assert all(each.isprintable() or each == "\n" for each in text)
    assert text.count(r"k\nforged") >= 5
    assert "raise RuntimeError(HOSTILE) from group" in text


def test_a_logger_is_made_so_once() -> None:
    assert logger_named("restate_patterns.test") is logger_named("restate_patterns.test")
    assert len(logger_named("restate_patterns.test").filters) == 1
