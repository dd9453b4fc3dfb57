"""Contexts: what one invocation may do. Five classes, by kind of service and by what they may write.

Owns the typed face over `execution.DurableAttempt`. Knows no backend and no definition class.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar, overload

from typing_extensions import TypeForm, override

from restate_patterns.api.actions import action_of
from restate_patterns.api.awakeables import Awakeable, AwakeableId
from restate_patterns.api.handler_loggers import logger_of
from restate_patterns.api.links import Link
from restate_patterns.api.members import declared_as
from restate_patterns.api.named_values import NamedPromise, NamedState, ReadOnlyState
from restate_patterns.api.scopes import Scope, Scoped
from restate_patterns.api.signals import UNTYPED, AwaitedSignal, Signal, SignalType, declared_alone, named
from restate_patterns.api.typed_clients import Clients
from restate_patterns.errors import DefinitionError, UsageError
from restate_patterns.options import Step
from restate_patterns.seam import HandlerKind, ServiceKind
from restate_patterns.values.fingerprints import fingerprint
from restate_patterns.values.serde import codec, type_name, typed_codec

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine, Mapping
    from contextlib import AbstractContextManager
    from logging import Logger, LoggerAdapter

    from restate_patterns.api.actions import Action
    from restate_patterns.api.specs import HandlerSpec, ServiceSpec
    from restate_patterns.execution.attempt import DurableAttempt
    from restate_patterns.values.serde import Codec

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# Names of steps are few, and making a `Step` costs nine times as much as looking one up.
@lru_cache(maxsize=1024)
def _step_named(name: str) -> Step:
    return Step(name)


class Context(Scoped, Clients):
    """What the handler of a service may do.

    Everything asked of a context is journaled: after a crash the handler runs again and gets the same
    answers. A context is for its own handler only, not for actions of `run` or other invocations.
    """

    __slots__ = ("_attempt", "_scope")
    _handler_kinds: ClassVar[Mapping[ServiceKind, HandlerKind]] = {ServiceKind.SERVICE: HandlerKind.STATELESS}
    """What kind of handler takes this context, by kind of service."""

    def __init__(self, attempt: DurableAttempt, service: ServiceSpec, handler: HandlerSpec) -> None:
        super().__init__(Link(attempt, attempt.track))
        self._attempt = attempt
        self._scope = Scope(attempt, service, handler)

    @property
    def random(self) -> random.Random:
        """Random numbers, the same on every replay; seeded per invocation."""
        return self._attempt.random

    @property
    def logger(self) -> LoggerAdapter[Logger]:
        """A logger named after the handler that says each line once, whatever is replayed and tried again.

        A process that has just started may repeat the lines between the last entry of the journal and a failure.
        Its records carry `invocation_id` as an extra.
        """
        return logger_of(self._attempt, self._scope.handler)

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the request that made this invocation; names in lower case, read-only."""
        return MappingProxyType(self._attempt.invocation.headers)

    @property
    def invocation_id(self) -> str:
        """The id of this invocation."""
        return self._attempt.invocation.id

    def now(self) -> datetime:
        """Return durable time: aware, in UTC, to the millisecond, the same on every replay."""
        return _EPOCH + timedelta(milliseconds=self._attempt.now_ms())

    def uuid4(self) -> uuid.UUID:
        """Return a random UUID, the same on every replay: fit for idempotency keys of others."""
        return uuid.UUID(int=self._attempt.random.getrandbits(128), version=4)

    @overload
    async def run(
        self, step: str | Step, action: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    async def run(self, step: str | Step, action: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    def run(
        self, step: str | Step, action: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Coroutine[Any, Any, Any]:
        """Do something outside the journal once, and record its result.

        The action may be `async` (it runs on the real event loop) or not (it runs in a thread). What it
        raises is tried again inside the step; a `TerminalError` is its result. It runs at least once, and
        never again after its result was recorded: give the other side an idempotency key.

        Args:
            step: The step's name, or a `Step` with retry policy and timeout.
            action: What to do. Its return annotation says how the result is stored; without one the
                result must be plain JSON.
            args: For the action, which gets them as they are now, on each try: data is copied.
            kwargs: For the action.

        Returns:
            What the action returned, as it reads back from the journal.

        Raises:
            TerminalError: The action raised it.
            StepFailed: The tries are used up, and the policy says `then="fail"`. Terminal.
            UsageError: The result can't be stored, or a context was given to the action.

        Journal:
            One entry, matched by name and arguments; a replay returns its result.
        """
        bound = action_of(action, step if isinstance(step, Step) else _step_named(step), args, kwargs)
        arguments = fingerprint(*bound.args, **bound.kwargs)
        return self._attempt.track(self._run(bound, arguments), f"ctx.run({bound.step.name!r}, ...)")

    async def _run(self, action: Action, arguments: bytes) -> Any:
        return action.read(await self._attempt.step(action.step, arguments, action) or b"")

    def awakeable(self, type: TypeForm[T], /) -> Awakeable[T]:
        """Make something to wait for that another program resolves by its id.

        Args:
            type: What it is resolved with.

        Returns:
            The awakeable: hand out its `id`, then await it.

        Raises:
            UsageError: Values of the type never come back as they were.
        """
        try:
            value_codec: Codec[T] = codec(type)
        except DefinitionError as error:
            raise UsageError(f"ctx.awakeable: {error}") from None
        id_, answer = self._attempt.awakeable()
        return Awakeable(AwakeableId[T].typed(id_, value_codec), answer, value_codec)

    @overload
    def signal(self, signal: SignalType[T], /) -> AwaitedSignal[T]: ...
    @overload
    def signal(self, signal: str, type: TypeForm[T], /) -> AwaitedSignal[T]: ...
    def signal(self, signal: SignalType[Any] | str, type: Any = UNTYPED, /) -> AwaitedSignal[Any]:
        """Return a signal of this invocation, to await: it is answered through a handle of the invocation.

        An answer that came before is there; the first one counts. Asking again gives the same.

        Args:
            signal: The one that the class declares (`self.approved`), or a name that is made at run time.
            type: What it is resolved with, for such a name.

        Raises:
            WrongValue: The name is no text that can be stored.
            UsageError: The class declares the name with another type or not at all, or values of the type can't be
                sent.
        """
        if isinstance(signal, Signal):
            name, value_codec = declared_alone(signal, type).name, signal.codec_in(self._scope)
        else:
            name, value_codec = named(signal, type, "ctx.signal")
            declared_as(self._scope, "signal", name, value_codec.type, f"ctx.signal({name!r}, {type_name(type)})")
        return AwaitedSignal(self._attempt.signal(name), value_codec, f"signal {name!r}")

    def shielded(self) -> AbstractContextManager[None]:
        """Keep a cancellation of this invocation from what is awaited inside a `with` block.

        Tasks made inside are shielded too. A cancellation that comes meanwhile arrives after the block.
        """
        return self._attempt.shielded()


class ObjectSharedContext(Context):
    """What a shared handler of a virtual object may do: read its state, beside all others."""

    __slots__ = ()
    _handler_kinds: ClassVar[Mapping[ServiceKind, HandlerKind]] = {ServiceKind.VIRTUAL_OBJECT: HandlerKind.SHARED}

    @property
    def key(self) -> str:
        """The key of the object or workflow."""
        key = self._attempt.invocation.target.key
        assert key is not None
        return key

    def state(self, name: str, type: TypeForm[T], /) -> ReadOnlyState[T]:
        """Return a state of this key under a name that is made at run time, to read.

        Args:
            name: The wire name. One that the class declares is the same state, with its default.
            type: What it holds.

        Raises:
            WrongValue: The name is no text that can be stored.
            UsageError: The class declares the name with another type, or values of the type never come back.
        """
        return ReadOnlyState(*self._named_state(name, type))

    def _named_state(
        self, name: str, type_: object
    ) -> tuple[DurableAttempt, str, Codec[Any], str, Callable[[], Any] | None]:
        what = f"ctx.state({name!r}, {type_name(type_)})"
        value_codec = typed_codec(type_, what)
        declared = declared_as(self._scope, "state", name, value_codec.type, what)
        return self._attempt, name, value_codec, what, None if declared is None else declared.when_unset

    async def state_keys(self) -> list[str]:
        """List the wire names of the states that are set, sorted."""
        return await self._attempt.state_names()


class ObjectContext(ObjectSharedContext):
    """What an exclusive handler of a virtual object may do: read and write its state, one at a time per key."""

    __slots__ = ()
    _handler_kinds: ClassVar[Mapping[ServiceKind, HandlerKind]] = {ServiceKind.VIRTUAL_OBJECT: HandlerKind.EXCLUSIVE}

    @override
    def state(self, name: str, type: TypeForm[T], /) -> NamedState[T]:
        """Return a state of this key under a name that is made at run time, to read and write.

        Args:
            name: The wire name. One that the class declares is the same state, with its default.
            type: What it holds.

        Raises:
            WrongValue: The name is no text that can be stored.
            UsageError: The class declares the name with another type, or values of the type never come back.
        """
        return NamedState(*self._named_state(name, type))

    def clear_all(self) -> None:
        """Remove all state of this key."""
        self._attempt.clear_all_state()


class WorkflowSharedContext(ObjectSharedContext):
    """What the other handlers of a workflow may do: read its state, answer its promises."""

    __slots__ = ()
    _handler_kinds: ClassVar[Mapping[ServiceKind, HandlerKind]] = {ServiceKind.WORKFLOW: HandlerKind.SHARED}

    def promise(self, name: str, type: TypeForm[T], /) -> NamedPromise[T]:
        """Return a durable promise of this workflow under a name that is made at run time.

        Args:
            name: The wire name. One that the class declares is the same promise.
            type: What it is resolved with.

        Raises:
            WrongValue: The name is no text that can be stored.
            UsageError: The class declares the name with another type, or values of the type never come back.
        """
        what = f"ctx.promise({name!r}, {type_name(type)})"
        value_codec = typed_codec(type, what)
        declared_as(self._scope, "durable promise", name, value_codec.type, what)
        return NamedPromise(self._attempt, name, value_codec, what)


class WorkflowContext(WorkflowSharedContext, ObjectContext):
    """What `run` of a workflow may do."""

    __slots__ = ()
    _handler_kinds: ClassVar[Mapping[ServiceKind, HandlerKind]] = {ServiceKind.WORKFLOW: HandlerKind.WORKFLOW}
