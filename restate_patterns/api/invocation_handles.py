"""Handles: an invocation that was sent, to wait for, look at or cancel; the same inside and outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from typing_extensions import override

from restate_patterns.api.links import Linked, tracked
from restate_patterns.errors import UsageError
from restate_patterns.seam import IdempotencyRef

if TYPE_CHECKING:
    from datetime import timedelta

    from restate_patterns.api.links import Link
    from restate_patterns.seam import InvocationRef
    from restate_patterns.values.serde import Codec

R_co = TypeVar("R_co", covariant=True)


class NotReady:
    """There is no result yet; tell it with `isinstance(output, NotReady)`."""

    __slots__ = ()

    @override
    def __repr__(self) -> str:
        return "NotReady()"


NOT_READY: Final = NotReady()


class InvocationHandle(Linked, Generic[R_co]):
    """An invocation that was accepted. Made by `send`, `handle` and `invocation`."""

    __slots__ = ("_codec", "_ref")

    def __init__(self, link: Link, ref: InvocationRef, codec: Codec[Any], label: str) -> None:
        super().__init__(link, label)
        self._ref = ref
        self._codec = codec

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
