"""Handles: an invocation that was sent, to wait for, look at, cancel or signal; the same inside and outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

from typing_extensions import TypeForm, override

from restate_patterns.api.links import Linked, tracked
from restate_patterns.api.signals import UNTYPED, Signal, SignalHandle, declared_alone, named
from restate_patterns.errors import UsageError
from restate_patterns.seam import IdempotencyRef
from restate_patterns.values.serde import typed_codec

if TYPE_CHECKING:
    from datetime import timedelta

    from restate_patterns.api.links import Link
    from restate_patterns.seam import InvocationRef
    from restate_patterns.values.serde import Codec

R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")


class NotReady:
    """There is no result yet; tell it with `isinstance(output, NotReady)`."""

    __slots__ = ()

    @override
    def __repr__(self) -> str:
        return "NotReady()"


NOT_READY: Final = NotReady()


class InvocationHandle(Linked, Generic[R_co]):
    """An invocation that was accepted. Made by `send`, `handle` and `invocation`."""

    __slots__ = ("_codec", "_definition", "_ref")

    def __init__(
        self, link: Link, ref: InvocationRef, codec: Codec[Any], label: str, definition: type | None = None
    ) -> None:
        super().__init__(link, label)
        self._ref = ref
        self._codec = codec
        self._definition = definition

    @property
    def id(self) -> str:
        """The invocation id.

        Raises:
            UsageError: The handle names the invocation by idempotency key or workflow, not by id.
        """
        if isinstance(self._ref, str):
            return self._ref
        raise UsageError(f"{self!r} does not know the invocation id; `send` gives a handle that does")

    @tracked
    async def result(self, *, timeout: timedelta | None = None) -> R_co:
        """Wait for the result.

        Args:
            timeout: The longest wait. Default: no end. Inside a handler the wait is a durable timer.

        Raises:
            TerminalError: The one the handler ended with, as the class it raised where that is imported.
            InvocationNotFound: There is no such invocation, or it is past its retention. Terminal.
            TimeoutError: `timeout` passed; the invocation goes on.
        """
        timeout_s = None if timeout is None else timeout.total_seconds()
        data = await self._caller.attach(self._ref, timeout_s)
        return self._read(data)

    @tracked
    async def output(self) -> R_co | NotReady:
        """Look at the result without waiting.

        Returns:
            The result, or a `NotReady` while the invocation runs.

        Raises:
            TerminalError: The one the handler ended with.
            InvocationNotFound: There is no such invocation, or it is past its retention. Terminal.
        """
        data = await self._caller.output(self._ref)
        return NOT_READY if data is None else self._read(data)

    @tracked
    async def cancel(self) -> None:
        """Ask the invocation to cancel; its handler gets `Cancelled` at its next wait and may clean up."""
        await self._caller.cancel(self._ref)

    @overload
    def signal(self, signal: Signal[T], /) -> SignalHandle[T]: ...
    @overload
    def signal(self, signal: str, type: TypeForm[T], /) -> SignalHandle[T]: ...
    def signal(self, signal: Signal[Any] | str, type: Any = UNTYPED, /) -> SignalHandle[Any]:
        """Return a signal of the invocation, to resolve or reject.

        Args:
            signal: The one that its class declares (`Order.approved`), or a name that is made at run time.
            type: What it is resolved with, for such a name.

        Raises:
            WrongValue: The name is no text that can be stored.
            UsageError: The class of the invocation does not declare it, or values of the type can't be sent.
        """
        if isinstance(signal, Signal):
            name, codec = self._declared(declared_alone(signal, type))
        else:
            name, codec = named(signal, type, f"{self._label}.signal")
        return SignalHandle(self._link, self._ref, name, codec, f"{self._label}.signal({name!r})")

    def _declared(self, signal: Signal[Any]) -> tuple[str, Codec[Any]]:
        definition = self._definition
        if definition is not None and getattr(definition, signal.attribute, None) is not signal:
            raise UsageError(
                f"{signal.label} is no signal of {definition.__qualname__}, whose invocation this is: nobody would "
                f"wait for it. Give one that {definition.__qualname__} declares, or a name and its type"
            )
        return signal.name, typed_codec(signal.declared_type(), signal.label)

    def _read(self, data: bytes) -> R_co:
        value: R_co = self._codec.read(data, f"the result of {self._label}")
        return value

    @override
    def __repr__(self) -> str:
        match self._ref:
            case str():
                by = self._ref
            case IdempotencyRef():
                by = f"idempotency key {self._ref.idempotency_key!r}"
            case _:
                by = f"key {self._ref.key!r}"
        return f"<handle of {self._label} by {by}>"
