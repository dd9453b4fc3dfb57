"""Every error of the framework.

* `DefinitionError`: a class, a handler or an option is wrong; raised when it is made.
    * `UndefinedName`: an annotation that can't be resolved; raised at the latest when the `App` is made.
* `TerminalError`: ends an invocation for good; travels to the caller with its fields.
    * `Cancelled`: the invocation was cancelled.
    * `Killed`: the invocation was killed.
    * `TimedOut`: a handler let the `TimeoutError` of a time limit pass.
    * `StateNotSet`: a state without default was read before it was set.
    * `DeadlockError`: a call would have closed a cycle of waiting objects.
    * `InvocationNotFound`: no invocation has this id, or it is past its retention.
    * `AlreadyInvoked`, `AlreadyCompleted`: a second run of a workflow; a second answer to a promise.
    * `IdempotencyKeyReused`: a key that named another request before.
    * `InvalidInput`: a body that the handler's type does not take.
    * `StepFailed`: a step used up its tries.
* `UsageError`: the API is used in a way that cannot work; pauses the invocation (a bug, not weather).
    * `ContextError`: a context used outside its attempt.
    * `NotDurable`: a handler waits for, or reaches for, something that is not durable.
    * `CallNotAwaited`: a call was made and never awaited.
    * `AttemptSpins`: a handler ran over its budget of callbacks without waiting.
    * `WrongValue`: a value is not of the type that its place declares.
    * `UnreadableValue`: a stored value is not of the type the code declares now.
* `JournalMismatch`: the code took another path than the journal says.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Final, Self

from typing_extensions import Format, dataclass_transform, get_annotations, override

from restate_patterns.limits import FAILURE_CODE_MAX
from restate_patterns.text.metadata import why_no_metadata
from restate_patterns.text.wording import sentence_of, shown, text_of, why_no_text

_NAMED_FIELD: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Failure:
    """A terminal error on the wire: HTTP-like code, sentence, and fields as JSON text by name."""

    code: int
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


class DefinitionError(TypeError):
    """A service, handler, state or option is declared in a way that cannot work."""


class UndefinedName(DefinitionError):
    """A name that a definition uses can't be resolved, or not yet."""


@dataclass_transform(kw_only_default=True, eq_default=False)
class _ErrorWithFields(Exception):
    """Tells type checkers that subclasses of `TerminalError` take their fields by keyword."""


class TerminalError(_ErrorWithFields):
    """Ends an invocation for good: it is not retried, and the caller gets it.

    Subclasses declare their fields like a dataclass with keyword-only fields; the fields travel
    across calls and the caller catches the same class:

        class Declined(TerminalError, code=402):
            '''The card was declined.'''
            reason: str

        raise Declined(reason="limit")

    The sentence is, in this order: the argument `message=`, the class's `message = "no seat {seat}"`
    (filled with the fields), the first line of its docstring, its name. Override `describe` for more.

    Args:
        message: The sentence people read.
        code: An HTTP-like code from 1 to 65,535; 200 to 999 become the HTTP status. Default: the class's.
        metadata: Text by name that travels along, for what is no field: a trace id, what a gateway adds.
        fields: The fields that the class declares.

    Raises:
        TypeError: A declared field is missing, or an argument is not a declared field.
        WrongValue: The message is no text, the code no such number, or the metadata can't travel.
    """

    message: str = "terminal error"
    code: int = 500
    error_name: ClassVar[str] = "TerminalError"
    """What the class is called on the wire."""
    field_names: ClassVar[tuple[str, ...]] = ()
    """The declared fields, those of the bases first."""
    metadata: Mapping[str, str] = MappingProxyType({})
    """Text by name that travels along. Of an error whose class is not known here: its fields too, as JSON."""

    def __init__(
        self,
        message: str | None = None,
        *,
        code: int | None = None,
        metadata: Mapping[str, str] | None = None,
        **fields: object,
    ) -> None:
        self._set_fields(fields)
        own = type(self).__qualname__
        if metadata is not None:
            if (reason := why_no_metadata(metadata, self.field_names)) is not None:
                raise WrongValue(f"{own}: {reason}")
            found = {str.__str__(name): str.__str__(text) for name, text in metadata.items()}
            self._say("metadata", MappingProxyType(found))
        if code is not None:
            number = code_of(code)
            if number is None:
                raise WrongValue(f"{own}: the code must be a number from 1 to {FAILURE_CODE_MAX}, not {shown(code)}")
            self._say("code", number)
        if message is None:
            message = self._described()
        elif not isinstance(message, str):  # pyright: ignore[reportUnnecessaryIsInstance] - what types can't stop
            raise WrongValue(f"{own}: the message must be text, not {shown(message)}; write `str(...)` around it")
        self._say("message", message)
        super().__init__(message)

    @override
    def __init_subclass__(cls, *, code: int | None = None, name: str | None = None) -> None:
        super().__init_subclass__()
        if code is not None:
            cls.code = code
        _check_class(cls, name)
        if "message" not in cls.__dict__:
            cls.message = _first_line(cls.__dict__.get("__doc__")) or cls.__name__
        cls.error_name = name or cls.__name__
        own = [
            field
            for field, hint in get_annotations(cls, format=Format.FORWARDREF).items()
            if "ClassVar" not in str(hint)
        ]
        reserved = sorted({"args", "code", "field_names", "message", "metadata"}.intersection(own))
        if reserved:
            raise DefinitionError(
                f"{cls.__qualname__}: every TerminalError has {reserved[0]!r}, so a field can't be called "
                "that; rename it (for a fixed code write `class X(TerminalError, code=409)`, for a fixed "
                "sentence `message = '...'` without annotation)"
            )
        cls.field_names = tuple(dict.fromkeys([*cls.field_names, *own]))

    def describe(self) -> str:
        """Compose the sentence from the fields; called when no `message=` is given."""
        template = text_of(type(self).message)
        if not self.field_names or "{" not in template:
            return template
        fields = {name: getattr(self, name) for name in self.field_names}
        try:
            return template.format_map(fields)
        except Exception:  # noqa: BLE001 - braces that stand for no field, or a field that can't be formatted
            return _NAMED_FIELD.sub(lambda named: text_of(fields.get(named[1], named[0])), template)

    def _described(self) -> str:
        try:
            return text_of(self.describe())
        except Exception as error:  # noqa: BLE001 - the error ends the invocation, whatever its sentence comes to
            return f"{type(self).__qualname__} (its describe() raised {sentence_of(error)})"

    def _say(self, name: str, value: object) -> None:
        """Set what a subclass may have made a property of."""
        try:
            setattr(self, name, value)
        except AttributeError:
            pass

    @classmethod
    def restored(cls, message: str, code: int, fields: Mapping[str, object], metadata: Mapping[str, str]) -> Self:
        """Make the error as it was raised elsewhere, without running the class's `__init__`.

        Raises:
            TypeError: The fields are not those that the class declares.
        """
        error = cls.__new__(cls, message)
        error._set_fields(fields)
        error._say("code", code)
        error._say("message", message)
        error._say("metadata", MappingProxyType(dict(metadata)))
        error.args = (message,)
        return error

    def _set_fields(self, fields: Mapping[str, object]) -> None:
        unknown = [name for name in fields if name not in self.field_names]
        if unknown:
            raise TypeError(f"{type(self).__qualname__} has no field {unknown[0]!r}; it has {list(self.field_names)}")
        for name in self.field_names:
            if name in fields:
                setattr(self, name, fields[name])
            elif not hasattr(type(self), name):
                raise TypeError(f"{type(self).__qualname__} needs its field {name!r}: give {name}=...")

    @override
    def __reduce__(self) -> tuple[object, ...]:
        """Pickle and copy by fields, so that `__init__` need not be called with them."""
        fields = {name: getattr(self, name) for name in self.field_names}
        return _restored, (type(self), self.message, self.code, fields, dict(self.metadata))

    @override
    def __repr__(self) -> str:
        """Show the class, the sentence and the fields."""
        fields = "".join(f", {name}={getattr(self, name, None)!r}" for name in self.field_names)
        return f"{type(self).__qualname__}({self.message!r}{fields})"


def code_of(value: Any) -> int | None:
    """Return a code as a plain number; None when it is no whole number, or out of range."""
    try:
        code = int(operator.index(value))
    except Exception:  # noqa: BLE001 - whatever it is, it is no number
        return None
    return code if 1 <= code <= FAILURE_CODE_MAX and not isinstance(value, bool) else None


def _check_class(cls: type[TerminalError], name: str | None) -> None:
    own = cls.__dict__.get("code")
    if own is not None and not hasattr(own, "__get__") and code_of(own) is None:
        raise DefinitionError(
            f"{cls.__qualname__}: the code must be a number from 1 to {FAILURE_CODE_MAX}, not {shown(own)}"
        )
    if name is not None and (reason := why_no_text(name)) is not None:
        raise DefinitionError(f"{cls.__qualname__}: the name on the wire {reason}")


def _first_line(documentation: str | None) -> str:
    return documentation.strip().partition("\n")[0] if documentation else ""


def _restored(
    cls: type[TerminalError], message: str, code: int, fields: dict[str, object], metadata: dict[str, str]
) -> TerminalError:
    return cls.restored(message, code, fields, metadata)


class Cancelled(TerminalError, code=409):
    """The invocation was cancelled; what the handler awaits after this runs normally."""

    message = "cancelled"


class Killed(TerminalError, code=409):
    """The invocation was killed."""

    message = "killed"


class TimedOut(TerminalError, code=408):
    """A handler let a `TimeoutError` pass: a time limit of its own was over and nothing caught it.

    The limit is in the journal, so the next attempt would meet the same end. It is no `TimeoutError` itself: who
    calls the handler with a time limit must be able to tell the callee's from the own.
    """

    message = "timed out"


class StateNotSet(TerminalError, code=500):
    """A state without default was read before it was set."""

    message = (
        "the state {state!r} was read before it was set: declare a default (`State[T](default=...)`) "
        "or read it with one (`await self.{state}.get(ctx, None)`)"
    )
    state: str


class DeadlockError(TerminalError, code=409):
    """A call would have closed a cycle of invocations that wait for each other."""

    cycle: list[str]

    @override
    def describe(self) -> str:
        return (
            "deadlock: each of these invocations waits for the next: "
            + " -> ".join(self.cycle)
            + ". Send instead of calling, or move the shared part to a handler that holds no key"
        )


class InvocationNotFound(TerminalError, code=404):
    """No invocation has this id, or it is past its retention."""

    message = "invocation not found"


class AlreadyInvoked(TerminalError, code=409):
    """A workflow runs once per key, and this one has."""

    message = "the workflow method was already invoked"


class AlreadyCompleted(TerminalError, code=409):
    """A durable promise takes one answer, and it has one."""

    message = "promise was already completed"


class IdempotencyKeyReused(TerminalError, code=422):
    """A request came under an idempotency key that named another one before, with another argument."""

    message = "the idempotency key was used before with another argument: repeat that request, or take another key"


class InvalidInput(TerminalError, code=400):
    """The body is not what the handler takes."""

    message = "input validation error"


class StepFailed(TerminalError, code=500):
    """A step used up its tries."""

    message = "the step {step!r} failed for good: {cause}"
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


class WrongValue(UsageError, TypeError):
    """A value is not of the type that its place declares: an argument, a state, a result."""


class UnreadableValue(UsageError):
    """A stored value is not of the type the code declares now; mend the type, then resume.

    Args:
        what: The thing read, in words (`the state 'total' of Cart`).
        reason: Why it does not fit.
    """

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(
            f"{what} can't be read: {reason}. The type in the code changed, or another program wrote it: "
            "accept the old form too, then resume the invocation"
        )


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
        self.place = ""
        """File, line and function of the handler that asked, where they are known."""

    @override
    def __str__(self) -> str:
        at = f" at {self.place}" if self.place else ""
        return (
            f"journal mismatch at entry {self.position}: the journal has {self.expected}, the code asks for "
            f"{self.found}{at}. The handler's code changed, or it is not deterministic. Run the old code and "
            "resume, restart the invocation from the start, or kill it"
        )
