"""The rule of replay, alone: what is matched, what is kept, and what is a mismatch."""

from __future__ import annotations

import pytest

from restate_patterns import limits
from restate_patterns.embedded.journal_cursor import EntryTooBig, JournalCursor
from restate_patterns.embedded.records import CANCEL_ROW, START_ROW, Command, CommandKind, Record, Row
from restate_patterns.errors import AttemptSealed, Failure, JournalMismatch
from restate_patterns.seam import Target

STEP, SLEEP = CommandKind.RUN, CommandKind.SLEEP
A, B, C = (Command(STEP, name, b"") for name in "abc")


def record(*drains: list[Command] | None, first_handle: int = 0) -> Record:
    """Make an invocation whose journal has these drains; None is a row that was not delivered yet."""
    made = Record(1, 1, "inv", Target("S", "h", None), b"", {})
    made.first_handle = first_handle
    made.rows = [Row(index, START_ROW if index == 0 else 0, 0, commands=each) for index, each in enumerate(drains)]
    return made


class Attempt:
    """Moves a cursor through the journal of a record."""

    def __init__(self, of: Record) -> None:
        self.record = of
        self.grown: list[int] = []
        self.cursor = JournalCursor(of, lambda _, row: self.grown.append(row.index))

    def begin(self, index: int) -> None:
        """Open a row."""
        assert self.record.rows is not None
        self.record.delivered_count = index + 1
        self.cursor.begin(self.record.rows[index])

    def ask(self, *asked: Command) -> list[int]:
        """Ask for operations; gives the handles of those that were kept."""
        return [self.cursor.keep(*each) for each in asked if self.cursor.match(*each[:3]) is None]


def test_what_is_new_is_kept_and_what_was_kept_is_matched() -> None:
    fresh = Attempt(record(None, None))
    fresh.begin(0)
    assert fresh.ask(A, B) == [0, 1]
    assert fresh.cursor.finish(cut_short=False) is None
    fresh.begin(1)
    assert fresh.ask(C) == [2]
    assert fresh.grown == [0, 1]
    again = Attempt(fresh.record)
    again.begin(0)
    assert again.cursor.replaying
    assert again.ask(A, B) == []
    assert again.cursor.finish(cut_short=False) is None
    again.begin(1)
    assert again.ask(C) == []
    assert again.cursor.handle == 2
    assert again.grown == []


def test_a_match_gives_what_was_recorded() -> None:
    failure = Failure(409, "no")
    recorded = Command(CommandKind.PROMISE_PEEK, "p", b"", b"1", failure)
    attempt = Attempt(record([recorded], None))
    attempt.begin(0)
    assert attempt.cursor.match(CommandKind.PROMISE_PEEK, "p", b"") == recorded


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Command(SLEEP, "b", b""), "sleep 'b'"),
        (Command(STEP, "x", b""), "run 'x'"),
        (Command(STEP, "b", b"\x01"), "fingerprint 01"),
    ],
    ids=["kind", "name", "fingerprint"],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_another_command_in_a_place_is_a_mismatch(asked: Command, words: str, place: int) -> None:
    drain = [A, A, A]
    drain[place] = B
    attempt = Attempt(record(drain, []))
    attempt.begin(0)
    attempt.ask(*drain[:place])
    with pytest.raises(JournalMismatch, match=words) as mismatch:
        attempt.ask(asked)
    assert mismatch.value.position == place


@pytest.mark.parametrize("asked", [[], [A]], ids=["nothing", "one of two"])
def test_less_than_is_recorded_is_a_mismatch_unless_an_error_cut_the_drain_short(asked: list[Command]) -> None:
    attempt = Attempt(record([A, B], []))
    attempt.begin(0)
    attempt.ask(*asked)
    assert attempt.cursor.finish(cut_short=True) is None
    mismatch = attempt.cursor.finish(cut_short=False)
    assert mismatch is not None
    assert mismatch.position == len(asked)


def test_more_than_is_recorded_is_a_mismatch_before_the_end_of_the_journal() -> None:
    attempt = Attempt(record([A], [B], []))
    attempt.begin(0)
    with pytest.raises(JournalMismatch, match="nothing more before the next wait"):
        attempt.ask(A, C)


@pytest.mark.parametrize("following", [(), (None,)], ids=["last", "the next was never delivered"])
def test_the_last_row_that_was_delivered_grows(following: tuple[None, ...]) -> None:
    attempt = Attempt(record([A], *following))
    attempt.begin(0)
    assert attempt.ask(A, B) == [1]
    assert attempt.grown == [0]
    assert attempt.cursor.recording
    assert attempt.record.rows is not None
    assert attempt.record.rows[0].commands == [A, B]


@pytest.mark.parametrize("failure", ["it failed", None])
def test_a_drain_that_an_error_cut_short_replays_until_it_comes_farther(failure: str | None) -> None:
    of = record([A])
    of.failure = failure
    attempt = Attempt(of)
    attempt.begin(0)
    replaying = [attempt.cursor.replaying]
    attempt.ask(A)
    replaying.append(attempt.cursor.replaying)
    assert replaying == [True, failure is None]


def test_handles_go_on_from_those_that_an_earlier_journal_gave() -> None:
    attempt = Attempt(record(None, first_handle=7))
    attempt.begin(0)
    assert attempt.ask(A, B) == [7, 8]


def test_what_is_taken_back_was_not_asked_for() -> None:
    attempt = Attempt(record(None))
    attempt.begin(0)
    assert attempt.cursor.match(*A[:3]) is None
    attempt.cursor.take_back()
    assert attempt.ask(B) == [0]


def test_nothing_is_asked_for_after_the_end_of_an_attempt() -> None:
    attempt = Attempt(record(None))
    attempt.begin(0)
    attempt.cursor.closed = True
    with pytest.raises(AttemptSealed):
        attempt.ask(A)


def test_a_cancel_is_ahead_until_it_is_delivered() -> None:
    of = record([], [])
    assert of.rows is not None
    of.rows[1].handle = CANCEL_ROW
    attempt = Attempt(of)
    attempt.begin(0)
    assert attempt.cursor.cancel_ahead()
    attempt.begin(1)
    assert not attempt.cursor.cancel_ahead()


@pytest.mark.parametrize("grown", [False, True], ids=["new", "grown"])
def test_a_drain_takes_no_more_than_an_entry_holds(grown: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "COMMANDS_BYTES_MAX", 200)
    first = Command(CommandKind.GET_STATE, "s", b"", b"x" * 100)
    attempt = Attempt(record([first]) if grown else record(None))
    attempt.begin(0)
    attempt.ask(first)
    with pytest.raises(EntryTooBig, match="over the limit of 200"):
        attempt.ask(first)
    assert attempt.record.rows is not None
    assert attempt.record.rows[0].commands == [first]
