"""Named signals: what an invocation waits for under a name, and who has its handle answers.

Owns the declaration, and the two sides of a signal. Knows no context and no handle of an invocation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Protocol, TypeVar, cast

from typing_extensions import TypeForm, override

from restate_patterns.api.answers import Answer
from restate_patterns.api.links import LinkedPlace, tracked
from restate_patterns.api.members import Declared
from restate_patterns.errors import TerminalError, UsageError, WrongValue
from restate_patterns.seam import ServiceKind, ValueOrFailure
from restate_patterns.text.wording import shown
from restate_patterns.values.failures import travelling
from restate_patterns.values.serde import type_name, typed_codec
from restate_patterns.values.storage_checks import checked_text

if TYPE_CHECKING:
    from restate_patterns.api.links import Link
    from restate_patterns.api.scopes import Scope
    from restate_patterns.seam import InvocationRef
    from restate_patterns.values.serde import Codec

T = TypeVar("T")  # invariant: a covariant one would let a signal be resolved with a wider type

T_co = TypeVar("T_co", covariant=True)

UNTYPED: Final[Any] = object()
"""The type of a signal that says its own."""


class SignalType(Protocol[T_co]):
    """A declared signal as far as it is awaited: one of text will do where any object does, as in an f-string."""

    def declared_type(self) -> TypeForm[T_co]:
        """Return the type in the brackets."""
        ...


class Signal(Declared[T]):
    """A name under which each invocation of a class can be answered once, and the type of the answer.

        class Order(Service):
            approved = Signal[bool]()

    The handler waits with `await ctx.signal(self.approved)`; who has a handle of its invocation answers with
    `await handle.signal(Order.approved).resolve(True)`.

    Args:
        name: The wire name. Default: the name of the attribute.
    """

    kind = "signal"
    owners = frozenset(ServiceKind)
    kept_by: ClassVar[str] = "the invocation"

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)

    @override
    def declared_type(self) -> TypeForm[T]:
        return cast("TypeForm[T]", super().declared_type())

    def codec_in(self, scope: Scope) -> Codec[T]:
        """Return the codec of the answer, for a handler of the class.

        Raises:
            UsageError: The handler is of a class that does not declare it.
        """
        return self._codec(scope)

    @override
    def _instead_of_assigning(self) -> str:
        return f"write `await handle.signal({self.label}).resolve(...)` with a handle of its invocation"


class AwaitedSignal(Answer[T]):
    """A signal of this invocation, to await. Made by `ctx.signal`."""

    __slots__ = ()


class SignalHandle(LinkedPlace, Generic[T]):
    """A signal of an invocation, to answer. Made by `signal` of the handle of the invocation."""

    __slots__ = ("_codec", "_name", "_ref")

    def __init__(self, link: Link | None, ref: InvocationRef, name: str, codec: Codec[Any], label: str) -> None:
        super().__init__(link, label)
        self._ref = ref
        self._name = name
        self._codec = codec

    @tracked
    async def resolve(self, value: T, /) -> None:
        """Answer the signal; does nothing when it was answered before, or the invocation is over.

        Args:
            value: What the handler that awaits it gets.

        Raises:
            WrongValue: The value is not of the type of the signal, or would come back as another.
            InvocationNotFound: There is no such invocation. Inside a handler it is not looked for.
            UsageError: The client is one over HTTP: from outside, a handler must be called that does it.
        """
        data = self._codec.encode(value, "the answer of the signal {!r}", self._name)
        await self._caller.complete_signal(self._ref, self._name, ValueOrFailure(data, None))

    @tracked
    async def reject(self, error: TerminalError, /) -> None:
        """Answer the signal with an error, which the handler that awaits it gets raised.

        Args:
            error: The error; its class and fields travel.

        Raises:
            WrongValue: It is no such error, or a field of it is not of its type, or would come back as another value.
            InvocationNotFound: There is no such invocation. Inside a handler it is not looked for.
            UsageError: The client is one over HTTP: from outside, a handler must be called that does it.
        """
        if not isinstance(error, TerminalError):  # pyright: ignore[reportUnnecessaryIsInstance] - what types can't stop
            raise WrongValue(f"the signal {self._name!r}: reject it with a TerminalError, not {shown(error)}")
        await self._caller.complete_signal(self._ref, self._name, ValueOrFailure(None, travelling(error)))


def declared_alone(signal: Signal[Any], type_: object) -> Signal[Any]:
    """Return a declared signal that was given as it should be: its type is in the declaration.

    Raises:
        UsageError: A type was given beside it.
    """
    if type_ is not UNTYPED:
        raise UsageError(f"{signal.label} says its own type: write `signal({signal.label})`, without a type beside it")
    return signal


def named(name: object, type_: object, verb: str) -> tuple[str, Codec[Any]]:
    """Return the name of a signal that is made at run time, and the codec of its answer.

    Args:
        name: The name.
        type_: The type of the answer.
        verb: What was called with both, for the error.

    Raises:
        WrongValue: The name is no text that can be stored.
        UsageError: There is no type, or its values can't be sent and read back.
    """
    if type_ is UNTYPED:
        raise UsageError(f"{verb}({name!r}): say what the signal is resolved with, as in `signal({name!r}, bool)`")
    what = f"{verb}({name!r}, {type_name(type_)})"
    return checked_text(cast("str", name), f"{what}: the name"), typed_codec(type_, what)
