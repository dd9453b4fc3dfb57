"""Transitions: handlers that carry rules of a machine's table, and the decorators that make them.

Owns what one handler declares. Knows no table: whether rules fit together is `table`'s business.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import Any, Concatenate, Final, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from typing_extensions import override

from restate_patterns.api.context import ObjectContext, ObjectSharedContext
from restate_patterns.api.handler_clients import HandlerClient, OwnHandler
from restate_patterns.api.handlers import Handler, HandlerRef, handler
from restate_patterns.errors import DefinitionError, UsageError
from restate_patterns.options import HandlerOptions
from restate_patterns.patterns.machines.timers import PATIENT
from restate_patterns.retries import RetryPolicy

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=ObjectContext)
Def = TypeVar("Def", bound=Any)
E = TypeVar("E", bound=Enum)
ActionT = TypeVar("ActionT", bound=Callable[[Any, Any], Coroutine[Any, Any, None]])

ENTRY: Final = "__restate_entry__"
EXIT: Final = "__restate_exit__"
_FIRE: Final = "__restate_event__"


@dataclass(frozen=True, slots=True)
class Rule(Generic[E]):
    """From each of the sources an event leads to the target; with a delay, time is the event."""

    sources: tuple[E, ...]
    target: E
    delay: timedelta | None = None
    retry: RetryPolicy = PATIENT
    """With a delay: when what was refused is tried again."""


class Transition(Handler[ObjectContext, P, R]):
    """A handler that moves a state machine. Made by `status.on` and `status.after`.

    `self.<name>.inline(ctx, ...)` runs its body alone: the machine stays where it is.
    """

    _said_options: HandlerOptions

    def __init__(self, declared: Handler[ObjectContext, P, R], rule: Rule[Any]) -> None:
        said = declared if isinstance(declared, Transition) else None
        self.body: Callable[..., Coroutine[Any, Any, R]] = said.body if said else declared.function
        self.rules: tuple[Rule[Any], ...] = (rule, *said.rules) if said else (rule,)
        self.guards: list[str] = list(said.guards) if said else []
        self._said_options = options = said._said_options if said else declared.options
        if options.private is None and all(each.delay is not None for each in self.rules):
            options = replace(options, private=True)  # the timer calls it, nobody else
        super().__init__(self._firing(), name=declared.wire_name, raises=declared.raises, options=options)

    def _firing(self) -> Callable[..., Coroutine[Any, Any, R]]:
        @functools.wraps(self.body)
        async def fire(machine: Any, ctx: ObjectContext, *args: Any) -> R:
            on_event = getattr(machine, _FIRE, None)
            if on_event is None:
                cls = type(machine).__qualname__
                raise UsageError(
                    f"{cls}.{self.attribute} is a transition, but {cls} is no StateMachine; write "
                    f"`class {cls}(StateMachine[...])`"
                )
            return cast("R", await on_event(ctx, self, args))

        return fire

    def guard(
        self, fn: Callable[Concatenate[Any, ObjectSharedContext, P], Coroutine[Any, Any, bool]], /
    ) -> Callable[Concatenate[Any, ObjectSharedContext, P], Coroutine[Any, Any, bool]]:
        """Let an `async def` method decide whether the event may happen; it takes the same argument.

            @make.guard
            async def is_small(self, ctx: ObjectSharedContext, request: PaymentRequest) -> bool: ...

        It is asked after the table, and reads state without writing. False is `EventRefused` (409).
        """
        self.guards.append(fn.__name__)
        return fn

    @overload
    def __get__(self, instance: None, owner: type[Def], /) -> HandlerRef[Def, ObjectContext, P, R]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any], /) -> HandlerClient[ObjectContext, P, R]: ...
    @override
    def __get__(self, instance: object | None, owner: type[Any], /) -> object:
        if instance is None:
            return super().__get__(None, owner)
        return OwnHandler[ObjectContext, P, R](f"{owner.__qualname__}.{self.attribute}", self.body, instance)


class EventDecorator(Protocol):
    """`@status.on(...)`: what makes a transition of a method or handler."""

    @overload
    def __call__(self, declared: Handler[ObjectContext, P, R], /) -> Transition[P, R]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[Any, C, P], Coroutine[Any, Any, R]], /) -> Transition[P, R]: ...
    def __call__(self, declared: Any, /) -> Any:
        """Make a transition of an `async def` method, of a handler, or of a transition with further rules."""
        ...


class TimerDecorator(Protocol):
    """`@status.after(...)`: what makes a transition of a method or handler without argument and result."""

    @overload
    def __call__(self, declared: Handler[ObjectContext, [], None], /) -> Transition[[], None]: ...
    @overload
    def __call__(self, fn: Callable[[Any, C], Coroutine[Any, Any, None]], /) -> Transition[[], None]: ...
    def __call__(self, declared: Any, /) -> Any:
        """Make a transition of an `async def` method, of a handler, or of a transition with further rules."""
        ...


class ActionDecorator(Protocol):
    """`@status.entry(...)`, `@status.exit(...)`: what makes an action of a method, which stays a method."""

    def __call__(self, fn: ActionT, /) -> ActionT:
        """Have an `async def` method of self and a context run on entry or exit."""
        ...


@dataclass(frozen=True, slots=True)
class Ruled:
    """Makes a transition of what stands below `@status.on` or `@status.after`."""

    rule: Rule[Any]

    def __call__(self, declared: Any, /) -> Any:
        """Make the transition.

        Raises:
            DefinitionError: It can't be a handler, or the rule has no source.
        """
        rule = self.rule
        made = cast("Handler[Any, ..., Any]", declared if isinstance(declared, Handler) else handler(declared))
        if not rule.sources:
            raise DefinitionError(
                f"{made.__qualname__}: the transition to {rule.target} has no source; name the states it leaves"
            )
        if rule.delay is not None and rule.delay <= timedelta(0):
            raise DefinitionError(f"{made.__qualname__}: the delay {rule.delay} must be above zero")
        return Transition[..., Any](made, rule)


@dataclass(frozen=True, slots=True)
class Tagged:
    """Marks a method as an action of states."""

    tag: str
    states: tuple[Enum, ...]

    def __call__(self, fn: ActionT, /) -> ActionT:
        """Mark the method, and leave it a method."""
        setattr(fn, self.tag, (*getattr(fn, self.tag, ()), *self.states))
        return fn
