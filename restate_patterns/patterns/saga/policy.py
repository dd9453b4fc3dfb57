"""How undo actions and retriable steps are tried again, and what happens to the rest when one gives up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from restate_patterns.errors import DefinitionError
from restate_patterns.retries import RetryPolicy

_TEN_MINUTES = RetryPolicy(initial=timedelta(milliseconds=100), max_attempts=20, then="fail")


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoPolicy:
    """How often an undo action is tried when it ends with a terminal error, and what waits for it.

    The same holds for actions after the pivot. What is not terminal is tried again where it arises: by the
    called handler, or inside the step.

    Args:
        retry: Tries of what ends with a terminal error; for a `run` step also the tries inside it. A `Step` with
            its own policy is tried by that. After the last try the saga is stuck, whatever `then` says.
            Default: 20 tries in about ten minutes.
        rest: What the rest of the stack does meanwhile: `"run"` undoes it, `"wait"` keeps the order.

    Raises:
        DefinitionError: `rest` is neither.
    """

    retry: RetryPolicy = _TEN_MINUTES
    rest: Literal["run", "wait"] = "run"

    def __post_init__(self) -> None:
        if self.rest not in ("run", "wait"):
            raise DefinitionError(f'UndoPolicy: rest={self.rest!r} must be "run" or "wait"')
