"""What becomes of one item, and how far a fan-out is."""

from __future__ import annotations

from typing import Generic, TypeVar, cast

from pydantic import BaseModel
from typing_extensions import override

from restate_patterns.errors import TerminalError

R_co = TypeVar("R_co", covariant=True)


class Outcome(Generic[R_co]):
    """What became of one item: a value, or the terminal error it ended with."""

    __slots__ = ("_error", "_index", "_value")

    def __init__(self, index: int, value: R_co | None, error: TerminalError | None) -> None:
        self._index = index
        self._value = value
        self._error = error

    @property
    def index(self) -> int:
        """Which of the items it was, from 0."""
        return self._index

    @property
    def error(self) -> TerminalError | None:
        """The error it ended with; None when it succeeded."""
        return self._error

    @property
    def value(self) -> R_co:
        """What it gave.

        Raises:
            TerminalError: The error it ended with.
        """
        if self._error is not None:
            raise self._error
        return cast("R_co", self._value)

    @override
    def __repr__(self) -> str:
        what = f"value={self._value!r}" if self._error is None else f"error={self._error!r}"
        return f"Outcome(index={self._index}, {what})"


class FanOutProgress(BaseModel):
    """How far a fan-out is."""

    total: int | None
    """How many items there are; None where that is known at the end only."""
    succeeded: int = 0
    failed: int = 0

    @property
    def ended(self) -> int:
        """How many items have ended, in whatever way."""
        return self.succeeded + self.failed
