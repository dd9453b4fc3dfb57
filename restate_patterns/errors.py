"""Every error of the framework.

* `DefinitionError`: a class, a handler or an option is wrong; raised when it is made.
* `TerminalError`: ends an invocation for good; travels to the caller with its fields.
    * `Cancelled`: the invocation was cancelled.
    * `Killed`: the invocation was killed.
    * `StateNotSet`: a state without default was read before it was set.
    * `DeadlockError`: a call would have closed a cycle of waiting objects.
    * `InvocationNotFound`: no invocation has this id, or it is past its retention.
    * `AlreadyInvoked`, `AlreadyCompleted`: a second run of a workflow; a second answer to a promise.
    * `InvalidInput`: a body that the handler's type does not take.
    * `StepFailed`: a step used up its tries.
* `UsageError`: the API is used in a way that cannot work; pauses the invocation (a bug, not weather).
    * `ContextError`: a context used outside its attempt.
    * `NotDurable`: a handler waits for, or reaches for, something that is not durable.
    * `CallNotAwaited`: a call was made and never awaited.
    * `AttemptSpins`: a handler ran over its budget of callbacks without waiting.
* `JournalMismatch`: the code took another path than the journal says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from typing_extensions import dataclass_transform


@dataclass(frozen=True, slots=True)
class Failure:
    """A terminal error on the wire: HTTP-like code, sentence, and fields as JSON text by name."""

    code: int
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)


class DefinitionError(TypeError):
    """A service, handler, state or option is declared in a way that cannot work."""


@dataclass_transform(kw_only_default=True, eq_default=False)
class TerminalError(Exception):
    """Ends an invocation for good: it is not retried, and the caller gets it.

    Subclasses declare their fields like a dataclass with keyword-only fields; the fields travel
    across calls and the caller catches the same class:

        class Declined(TerminalError, code=402):
            '''The card was declined.'''
            reason: str

        raise Declined(reason="limit")

    Args:
        message: The sentence people read. Default: the first line of the class's docstring.
        code: An HTTP-like code from 200 to 999. Default: the class's.
    """

    code: ClassVar[int] = 500
    error_name: ClassVar[str] = "TerminalError"

    def __init__(self, message: str | None = None, *, code: int | None = None, **fields: Any) -> None:
        raise NotImplementedError

    def __init_subclass__(cls, *, code: int | None = None, name: str | None = None) -> None:
        super().__init_subclass__()

    @property
    def message(self) -> str:
        """The sentence people read."""
        return str(self.args[0])


class Cancelled(TerminalError, code=409):
    """cancelled"""


class Killed(TerminalError, code=409):
    """killed"""


class StateNotSet(TerminalError, code=500):
    """A state without default was read before it was set."""

    state: str


class DeadlockError(TerminalError, code=409):
    """A call would have closed a cycle of invocations that wait for each other."""

    cycle: list[str]


class InvocationNotFound(TerminalError, code=404):
    """invocation not found"""


class AlreadyInvoked(TerminalError, code=409):
    """the workflow method was already invoked"""


class AlreadyCompleted(TerminalError, code=409):
    """promise was already completed"""


class InvalidInput(TerminalError, code=400):
    """The body is not what the handler takes."""


class StepFailed(TerminalError, code=500):
    """A step used up its tries."""

    step: str
    cause: str


class UsageError(RuntimeError):
    """The API is used in a way that cannot work; the invocation pauses until the code is mended."""


class ContextError(UsageError):
    """A context was used outside its own attempt."""


class NotDurable(UsageError):
    """A handler waits for something that is not durable, or reaches for I/O outside `ctx.run`."""


class CallNotAwaited(UsageError):
    """A call was made and never awaited."""


class AttemptSpins(UsageError):
    """A handler ran over its budget of callbacks without waiting for anything."""


class AttemptSealed(BaseException):
    """Raised by every primitive of an attempt that is being dropped; never reaches a journal."""


class JournalMismatch(BaseException):
    """The code took another path than the journal says; ends the attempt whatever user code catches.

    Args:
        position: Index of the entry in the journal of the invocation, from 0.
        expected: The entry the journal has, in words.
        found: The operation the code asked for, in words.
    """

    def __init__(self, position: int, expected: str, found: str) -> None:
        super().__init__(position, expected, found)
        self.position = position
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        return (
            f"journal mismatch at entry {self.position}: the journal has {self.expected}, the code asks for "
            f"{self.found}. The handler's code changed, or it is not deterministic. Run the old code and resume, "
            "restart the invocation from the start, or kill it"
        )
