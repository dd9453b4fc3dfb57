"""Terminal errors: their fields, their sentences, and copies of them."""

from __future__ import annotations

import copy
import pickle
from typing import ClassVar

import pytest
from typing_extensions import override

from restate_patterns import DeadlockError, DefinitionError, StateNotSet, StepFailed, TerminalError
from restate_patterns.errors import JournalMismatch


class Declined(TerminalError, code=402):
    """The card was declined.

    More about it.
    """

    reason: str
    tries: int = 1
    limit: ClassVar[int] = 3


class Taken(Declined, code=409, name="seat-taken"):
    message = "seat {seat} is taken: {reason}"
    seat: int


class Bare(TerminalError):
    pass


class Composed(TerminalError):
    names: list[str]

    @override
    def describe(self) -> str:
        return " and ".join(self.names)


def test_the_sentence_is_the_first_line_of_the_docstring() -> None:
    error = Declined(reason="limit")

    assert (str(error), error.message, error.code) == ("The card was declined.",) * 2 + (402,)
    assert (error.reason, error.tries) == ("limit", 1)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (Taken(reason="sold", seat=3), "seat 3 is taken: sold"),
        (Bare(), "Bare"),
        (Composed(names=["a", "b"]), "a and b"),
        (Declined(reason="x", message="said"), "said"),
        (TerminalError("said"), "said"),
        (TerminalError(), "terminal error"),
        (StepFailed(step="pay", cause="no"), "the step 'pay' failed for good: no"),
    ],
)
def test_the_sentence(error: TerminalError, sentence: str) -> None:
    assert (str(error), error.message, error.args) == (sentence, sentence, (sentence,))


def test_a_code_can_be_given_to_one_error() -> None:
    assert TerminalError("teapot", code=418).code == 418
    assert Declined(reason="x", code=418).code == 418
    assert Declined.code == 402


def test_fields_are_inherited_and_class_variables_are_none() -> None:
    assert Taken.field_names == ("reason", "tries", "seat")
    assert Taken.error_name == "seat-taken"
    assert Declined.error_name == "Declined"


def test_a_missing_or_unknown_field_is_named() -> None:
    with pytest.raises(TypeError, match=r"Declined needs its field 'reason': give reason=\.\.\."):
        Declined()  # type: ignore[call-arg]  # on purpose
    with pytest.raises(TypeError, match=r"Declined has no field 'amount'; it has \['reason', 'tries'\]"):
        Declined(reason="x", amount=1)  # type: ignore[call-arg]  # on purpose


def test_a_field_with_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(DefinitionError, match=r"Wrong: every TerminalError has 'metadata'"):

        class Wrong(TerminalError):
            metadata: str  # type: ignore[assignment]  # on purpose


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_copies_keep_class_fields_and_code(copied: object) -> None:
    assert callable(copied)
    error = copied(Taken(reason="sold", seat=3, code=410))

    assert isinstance(error, Taken)
    assert (error.seat, error.reason, error.code, str(error)) == (3, "sold", 410, "seat 3 is taken: sold")


def test_repr_shows_the_fields() -> None:
    assert repr(Declined(reason="x")) == "Declined('The card was declined.', reason='x', tries=1)"


def test_sentences_of_the_framework_say_what_to_do() -> None:
    assert "a -> b -> a" in str(DeadlockError(cycle=["a", "b", "a"]))
    assert "self.total.get(ctx, None)" in str(StateNotSet(state="total"))
    assert "entry 3" in str(JournalMismatch(3, "a step", "a call"))
