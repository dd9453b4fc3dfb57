"""What goes wrong with sagas, for callers: typed, with the first error first."""

from __future__ import annotations

from typing_extensions import override

from restate_patterns.errors import TerminalError
from restate_patterns.patterns.saga.record import ErrorRecord, UndoError


class SagaFailed(TerminalError, code=500):
    """A saga ended with a terminal error, and some of its undo actions did not succeed.

    Its code is that of the original error. A saga whose undo actions all succeeded raises the original
    error as it is.
    """

    original: ErrorRecord
    """The error that ended the saga."""
    undo_errors: list[UndoError]
    """The undo actions that did not succeed, in the order in which they were given up."""

    @property
    def original_error(self) -> TerminalError:
        """The error that ended the saga, as the class that was raised where that is imported."""
        return self.original.error()

    @override
    def describe(self) -> str:
        lost = "; ".join(f"{each.step} ({each.decision}): {each.error.message}" for each in self.undo_errors)
        return f"{self.original.message} (and was not undone completely: {lost})"


class RecordPending(TerminalError, code=409):
    """A record is marked by a saga that has not ended; try again when it has."""

    message = "{record} is pending: the saga {owner} has not ended. Try again later, or wait for it"
    record: str
    owner: str


class NotStuck(TerminalError, code=404):
    """No saga of this id is stuck, or not at this step."""

    message = "the saga {saga} is not stuck{at}; see which are: restate-patterns sagas list"
    saga: str
    at: str


class UnknownSaga(TerminalError, code=404):
    """The log has no saga of this id."""

    message = "no record of the saga {saga}: only sagas made with `logged=True`, or that were stuck, are in the log"
    saga: str
