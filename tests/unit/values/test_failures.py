"""Terminal errors on the wire: the same class at the other end, or one that loses nothing."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restate_patterns import Cancelled, TerminalError, WrongValue, limits
from restate_patterns.errors import Failure
from restate_patterns.values.failures import (
    CLASS_KEY,
    NAME_KEY,
    failure_of_text,
    failure_text,
    from_failure,
    to_failure,
)

if TYPE_CHECKING:
    from nowhere import Unknown  # type: ignore[import-not-found]  # exists for type checkers only


class Declined(TerminalError, code=402, name="declined-in-failures"):
    reason: str
    amount: Decimal = Decimal(0)
    raw: bytes = b""
    missing: Unknown = None


class Twice(TerminalError):
    first: int


FirstTwice = Twice


class Twice(TerminalError):  # type: ignore[no-redef]  # made again, as a decorator would
    first: int


class Custom(TerminalError):
    def __init__(self, seat: int) -> None:
        super().__init__(f"seat {seat}")


@dataclass
class Decorated(TerminalError):
    seat: int


_decorated: Any = Decorated  # `dataclass` makes its own constructor, which checkers do not know of


def test_an_error_comes_back_as_its_class_with_its_fields() -> None:
    sent = Declined(reason="limit", amount=Decimal("1.10"), raw=b"\xff\x00", code=418)
    failure = to_failure(sent)
    error = from_failure(failure)

    assert failure.metadata == {
        NAME_KEY: "declined-in-failures",
        CLASS_KEY: f"{__name__}.Declined",
        "reason": '"limit"',
        "amount": '"1.10"',
        "raw": '"_wA="',
        "missing": "null",
    }
    assert isinstance(error, Declined)
    assert (error.reason, error.amount, error.raw) == ("limit", Decimal("1.10"), b"\xff\x00")
    assert (error.code, error.message) == (418, "Declined")
    assert error.metadata == {}, "what is a field is no metadata"


@pytest.mark.parametrize("error", [Cancelled(), Custom(3), _decorated(3), TerminalError("plain", code=499)])
def test_errors_of_all_forms_travel(error: TerminalError) -> None:
    back = from_failure(to_failure(error))

    assert type(back) is type(error)
    assert (back.message, back.code) == (error.message, error.code)


FREE = {"trace": "4711", "ключ/🔑": "two\nlines", "": ""}


@pytest.mark.parametrize(
    "error",
    [
        TerminalError("plain", code=499, metadata=FREE),
        Declined(reason="limit", message="no", metadata=FREE),
        Cancelled(metadata=FREE),
    ],
)
def test_metadata_comes_back_as_it_was_given(error: TerminalError) -> None:
    """Beside the fields, through calls, as text, copied and pickled; it stays what it was."""
    failure = to_failure(error)
    for back in (
        from_failure(failure),
        from_failure(failure_of_text(failure_text(failure))),
        copy.copy(error),
        pickle.loads(pickle.dumps(error)),
    ):
        assert type(back) is type(error)
        assert back.metadata == FREE
        assert to_failure(back) == failure
    with pytest.raises(TypeError):
        error.metadata["more"] = "x"  # type: ignore[index]


def test_metadata_of_an_error_whose_class_is_not_here_is_handed_on_with_the_fields() -> None:
    failure = to_failure(Declined(reason="limit", metadata=FREE))
    there = Failure(402, "no", {**failure.metadata, NAME_KEY: "NobodyHasThis"})
    assert from_failure(there).metadata == there.metadata
    assert to_failure(from_failure(there)) == there


class Pair(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        (3, r"TerminalError: the metadata must be text by name, not 3"),
        ({3: "x"}, r"TerminalError: the name of metadata must be text, not 3"),
        ({"x": 3}, r"TerminalError: the metadata 'x' must be text, not 3 \(int\)"),
        ({"x": None}, r"TerminalError: the metadata 'x' must be text, not None"),
        ({"x": "\ud800"}, r"TerminalError: the metadata 'x' has half of a surrogate pair"),
        ({"\ud800": "x"}, r"TerminalError: the name of metadata has half of a surrogate pair"),
        ({"error.name": "Declined"}, r"TerminalError: the metadata 'error.name' has a name of the framework's own"),
        ({"restate-patterns.step": "x"}, r"the metadata 'restate-patterns.step' has a name of the framework's own"),
        ({"a": "x" * (limits.TEXT_CHARS_MAX // 2), "b": "x" * (limits.TEXT_CHARS_MAX // 2)}, r"over the limit of"),
    ],
)
def test_metadata_that_cannot_travel_is_refused_where_it_is_given(metadata: Any, sentence: str) -> None:
    with pytest.raises(WrongValue, match=sentence):
        TerminalError("no", metadata=metadata)


def test_metadata_takes_the_name_of_no_field() -> None:
    with pytest.raises(WrongValue, match=r"Declined: the metadata 'reason' has the name of a field; give the field"):
        Declined(reason="limit", metadata={"reason": "x"})
    assert type(Declined(reason="limit", metadata={"k": Pair("v")}).metadata["k"]) is str


def test_the_last_class_of_one_name_and_place_is_the_one_in_use() -> None:
    assert type(from_failure(to_failure(Twice(first=1)))) is Twice


@pytest.mark.parametrize(
    "metadata",
    [
        {NAME_KEY: "NobodyHasThis", "reason": '"x"'},
        {NAME_KEY: "declined-in-failures"},
        {NAME_KEY: "declined-in-failures", "reason": "3"},
        {NAME_KEY: "declined-in-failures", "reason": "{not json"},
        {"reason": '"x"'},
    ],
)
def test_what_does_not_fit_is_a_plain_error_with_its_metadata(metadata: dict[str, str]) -> None:
    failure = Failure(402, "no", metadata)
    error = from_failure(failure)

    assert type(error) is TerminalError
    assert (error.message, error.code, dict(error.metadata)) == ("no", 402, metadata)
    assert to_failure(error) == failure, "it is handed on as it came"


def test_the_place_decides_between_classes_of_one_name_and_nothing_is_guessed() -> None:
    class Local(TerminalError, name="shared-name"):
        pass

    def other() -> type[TerminalError]:
        class Local(TerminalError, name="shared-name"):
            pass

        return Local

    kept = other()

    failure = to_failure(Local())
    from_elsewhere = Failure(500, "no", {NAME_KEY: "shared-name", CLASS_KEY: "another.program.Local"})

    assert kept is not Local
    assert type(from_failure(failure)) is Local, "the place decides"
    assert type(from_failure(from_elsewhere)) is TerminalError


def test_a_field_that_is_no_json_travels_as_text() -> None:
    failure = to_failure(Declined(reason=object()))  # type: ignore[arg-type]  # on purpose

    assert failure.metadata["reason"].startswith('"<object object')


@given(st.dictionaries(st.text(), st.text()), st.text(), st.integers())
def test_no_failure_from_the_wire_crashes(metadata: dict[str, str], message: str, code: int) -> None:
    for more in ({}, {NAME_KEY: "declined-in-failures"}, {NAME_KEY: "Decorated", "seat": "3"}):
        given_metadata: dict[str, Any] = {**metadata, **more}
        error = from_failure(Failure(code, message, given_metadata))

        assert (error.message, error.code) == (message, code)


@pytest.mark.parametrize(
    "failure",
    [
        Failure(500, "no"),
        Failure(500, ""),
        Failure(402, "declined"),
        Failure(500, "declined", {"reason": '"limit"'}),
        Failure(402, "two\n\nlines é", {"reason": '"limit"', "error.name": "Declined"}),
        Failure(402, failure_text(Failure(402, "in another")), {}),
        Failure(500, failure_text(Failure(402, "in another")), {}),
    ],
)
def test_a_failure_as_text(failure: Failure) -> None:
    """It comes back whole, and begins with the sentence."""
    text = failure_text(failure)
    assert failure_of_text(text) == failure
    assert text.startswith(failure.message)


@pytest.mark.parametrize(
    "text", ["", "no", '{"code": 1}', "x\n\nrestate-patterns/failure {}", "restate-patterns/failure"]
)
def test_any_other_text_is_a_sentence(text: str) -> None:
    assert failure_of_text(text) == Failure(500, text)
    assert failure_of_text(text, 409).code == 409


def test_a_plain_failure_is_its_sentence() -> None:
    """Whoever knows nothing of this reads it as it is."""
    assert failure_text(Failure(500, "no")) == "no"
