"""Durable promises: values of one workflow that are set once and waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from restate_patterns.api.context import WorkflowSharedContext
from restate_patterns.api.invocation_handles import NOT_READY, NotReady
from restate_patterns.api.members import Declared, T, check_context
from restate_patterns.api.scopes import scope_of
from restate_patterns.api.typed_clients import watched
from restate_patterns.seam import ServiceKind, ValueOrFailure
from restate_patterns.values.failures import travelling

if TYPE_CHECKING:
    from restate_patterns.errors import TerminalError
    from restate_patterns.values.serde import Codec


class DurablePromise(Declared[T]):
    """A value of a workflow that is set once, by any of its handlers, and waited for by any.

        class Registration(Workflow):
            verified = DurablePromise[bool]()

    Args:
        name: The wire name. Default: the name of the attribute.
    """

    kind = "durable promise"
    owners = frozenset({ServiceKind.WORKFLOW})

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)

    @watched
    async def value(self, ctx: WorkflowSharedContext, /) -> T:
        """Wait for the value.

        Raises:
            TerminalError: The promise was rejected; as the class that was given, where that is imported.
        """
        codec = self._for(ctx, "value")
        return self._read(codec, await scope_of(ctx).attempt.promise_value(self.name))

    @watched
    async def peek(self, ctx: WorkflowSharedContext, /) -> T | NotReady:
        """Look at the value without waiting; a `NotReady` while there is none.

        Raises:
            TerminalError: The promise was rejected.
        """
        codec = self._for(ctx, "peek")
        data = await scope_of(ctx).attempt.promise_peek(self.name)
        return NOT_READY if data is None else self._read(codec, data)

    @watched
    async def resolve(self, ctx: WorkflowSharedContext, value: T, /) -> None:
        """Set the value, for good.

        Raises:
            AlreadyCompleted: It was set or rejected before. Terminal.
            WrongValue: The value is not of the declared type, or would come back as another.
        """
        codec = self._for(ctx, "resolve")
        data = codec.encode(value, "{}.resolve(ctx, ...)", self.label)
        await scope_of(ctx).attempt.promise_complete(self.name, ValueOrFailure(data, None))

    @watched
    async def reject(self, ctx: WorkflowSharedContext, error: TerminalError, /) -> None:
        """Reject the promise: who waits for it gets `error` raised.

        Raises:
            AlreadyCompleted: It was set or rejected before. Terminal.
            WrongValue: A field of the error is not of its type, or would come back as another value.
        """
        self._for(ctx, "reject")
        await scope_of(ctx).attempt.promise_complete(self.name, ValueOrFailure(None, travelling(error)))

    def _for(self, ctx: WorkflowSharedContext, verb: str) -> Codec[T]:
        check_context(ctx, WorkflowSharedContext, f"{self.label}.{verb}(ctx)")
        return self._codec(scope_of(ctx))

    def _read(self, codec: Codec[T], data: bytes) -> T:
        return codec.read(data, f"the durable promise {self.name!r} of {self._owner}")

    @override
    def _instead_of_assigning(self) -> str:
        return f"write `await self.{self._attribute}.resolve(ctx, ...)`"
