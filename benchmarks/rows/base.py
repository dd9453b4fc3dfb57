"""What every row is: a name, what it needs, and how it is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.results import Result
from benchmarks.sides import SideSpec

EMBEDDED = SideSpec("restate-patterns embedded", "embedded")


class RowMissingError(RuntimeError):
    """A row cannot be measured here; the message says what to install."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How the rows are measured.

    Args:
        directory: An empty directory for files.
        seconds: How long each sample is taken.
        rounds: How many pairs of samples.
        stored_count: How many invocations a "million" is.
        stored_file: A file with that many suspended invocations, kept between runs; made when it is missing.
        tell: Takes progress, a line at a time.
    """

    directory: Path
    seconds: float
    rounds: int
    stored_count: int
    stored_file: Path
    tell: Callable[[str], None]


class Row(Protocol):
    """One measurement.

    Args:
        name: The name for `--only`.
        what: What is measured, in words.
    """

    name: str
    what: str

    def measure(self, settings: Settings) -> Result:
        """Measure it.

        Raises:
            RowMissingError: Something it needs is not installed.
        """
        ...


def require(specs: Sequence[SideSpec]) -> None:
    """Make sure that the packages of some sides are installed.

    Raises:
        RowMissingError: One is not.
    """
    missing = sorted({package for spec in specs for package in spec.missing()})
    if missing:
        raise RowMissingError(f"{', '.join(missing)} not installed: run `pip install -e '.[bench]'`")
