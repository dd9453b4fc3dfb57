"""States and durable promises whose names are made at run time; the ones that a class declares are its members.

Owns what can be done with them. Whether a context may have one, and what a class has declared, is not known here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

from restate_patterns.api.invocation_handles import NOT_READY, NotReady
from restate_patterns.api.links import Link, LinkedPlace, tracked
from restate_patterns.errors import StateNotSet
from restate_patterns.seam import ValueOrFailure
from restate_patterns.values.failures import travelling
from restate_patterns.values.storage_checks import checked_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from restate_patterns.errors import TerminalError
    from restate_patterns.execution.attempt import DurableAttempt
    from restate_patterns.values.serde import Codec

T = TypeVar("T")  # invariant: a covariant one would let a value of a wider type be written
T_co = TypeVar("T_co", covariant=True)
D = TypeVar("D")

_MISSING: Final[Any] = object()


class _Named(LinkedPlace):
    """Something of the key with a name and a type.

    Args:
        attempt: What asks for it.
        name: The wire name.
        codec: Of the values.
        label: What to call it in sentences.

    Raises:
        WrongValue: The name is no text that can be stored.
    """

    __slots__ = ("_attempt", "_codec", "_name")

    def __init__(self, attempt: DurableAttempt, name: str, codec: Codec[Any], label: str) -> None:
        super().__init__(Link(attempt, attempt.track), label)
        self._attempt = attempt
        self._name = checked_text(name, f"{label}: the name")
        self._codec = codec


class ReadOnlyState(_Named, Generic[T_co]):
    """A state of the key under a name made at run time, as a shared handler has it. Made by `ctx.state`."""

    __slots__ = ("_when_unset",)

    def __init__(
        self,
        attempt: DurableAttempt,
        name: str,
        codec: Codec[Any],
        label: str,
        when_unset: Callable[[], Any] | None,
    ) -> None:
        super().__init__(attempt, name, codec, label)
        self._when_unset = when_unset

    @overload
    async def get(self, /) -> T_co: ...
    @overload
    async def get(self, default: D, /) -> T_co | D: ...
    @tracked
    async def get(self, default: Any = _MISSING, /) -> Any:
        """Read the state.

        Args:
            default: What to give while nothing is set.

        Returns:
            The value, a fresh one each time; what was read is what a replay reads.

        Raises:
            StateNotSet: Nothing is set, and neither this call nor the class has a default. Terminal.
        """
        data = await self._attempt.get_state(self._name)
        if data is not None:
            return self._codec.read(data, "the state {!r}", self._name)
        if default is not _MISSING:
            return default
        if self._when_unset is not None:
            return self._when_unset()
        raise StateNotSet(
            message=f"the state {self._name!r} was read before it was set: read it with a default "
            f"(`await {self._label}.get(None)`)",
            state=self._name,
        )


class NamedState(ReadOnlyState[T], Generic[T]):
    """A state of the key under a name made at run time, as an exclusive handler has it. Made by `ctx.state`."""

    __slots__ = ()

    def set(self, value: T, /) -> None:
        """Write the state.

        Args:
            value: The new value; later changes to it are not seen.

        Raises:
            WrongValue: The value is not of the type, or would come back as another.
        """
        self._attempt.set_state(self._name, self._codec.encode(value, "{}.set(...)", self._label))

    def clear(self) -> None:
        """Remove the state: nothing is set under its name any more."""
        self._attempt.clear_state(self._name)


class NamedPromise(_Named, Generic[T]):
    """A durable promise of the workflow under a name made at run time. Made by `ctx.promise`."""

    __slots__ = ()

    @tracked
    async def value(self) -> T:
        """Wait for the value.

        Raises:
            TerminalError: The promise was rejected; as the class that was given, where that is imported.
        """
        return self._read(await self._attempt.promise_value(self._name))

    @tracked
    async def peek(self) -> T | NotReady:
        """Look at the value without waiting; a `NotReady` while there is none.

        Raises:
            TerminalError: The promise was rejected.
        """
        data = await self._attempt.promise_peek(self._name)
        return NOT_READY if data is None else self._read(data)

    @tracked
    async def resolve(self, value: T, /) -> None:
        """Set the value, for good.

        Raises:
            AlreadyCompleted: It was set or rejected before. Terminal.
            WrongValue: The value is not of the type, or would come back as another.
        """
        data = self._codec.encode(value, "{}.resolve(...)", self._label)
        await self._attempt.promise_complete(self._name, ValueOrFailure(data, None))

    @tracked
    async def reject(self, error: TerminalError, /) -> None:
        """Reject the promise: who waits for it gets `error` raised.

        Raises:
            AlreadyCompleted: It was set or rejected before. Terminal.
            WrongValue: A field of the error is not of its type, or would come back as another value.
        """
        await self._attempt.promise_complete(self._name, ValueOrFailure(None, travelling(error)))

    def _read(self, data: bytes) -> T:
        value: T = self._codec.read(data, "the durable promise {!r}", self._name)
        return value
