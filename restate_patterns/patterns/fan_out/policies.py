"""When failures of items are too many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from restate_patterns.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerate:
    """Go on while no more than so many items fail: `Tolerate(count=3)`, `Tolerate(share=0.05)`, or both.

    Args:
        count: The most items that may fail.
        share: The most that may fail of all items, from 0 to 1. Where their number is not known before the end, it
            is judged there.

    Raises:
        UsageError: Neither is given, or one is out of range.
    """

    count: int | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        if self.count is None and self.share is None:
            raise UsageError("Tolerate(): say how many items may fail, as in Tolerate(count=3) or Tolerate(share=0.05)")
        if self.count is not None and self.count < 0:
            raise UsageError(f"Tolerate(count={self.count}): the count must not be below 0")
        if self.share is not None and not 0 <= self.share <= 1:
            raise UsageError(f"Tolerate(share={self.share}): a share is from 0 to 1, as in 0.05 for 5 %")

    def exceeded_by(self, failed: int, total: int | None) -> bool:
        """Return whether so many failures are too many.

        Args:
            failed: How many items have failed.
            total: How many items there are; None while that is not known.
        """
        if self.count is not None and failed > self.count:
            return True
        return self.share is not None and total is not None and failed > self.share * total

    def words(self) -> str:
        """Return what is tolerated, in words."""
        parts = [] if self.count is None else [str(self.count)]
        parts += [] if self.share is None else [f"{self.share:.3%}".replace(".000%", "%")]
        return f"no more than {' and '.join(parts)} may"


OnError: TypeAlias = Literal["fail", "collect"] | Tolerate
"""What a failed item means for the others."""


def check_policy(on_error: object) -> None:
    """Check that a policy is one, at run time.

    Raises:
        UsageError: It is none.
    """
    if not isinstance(on_error, Tolerate) and on_error not in ("fail", "collect"):
        raise UsageError(f'on_error={on_error!r}: write "fail", "collect", or Tolerate(count=3)')
