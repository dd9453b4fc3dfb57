"""`Status`: the state a machine is in, and the decorators that declare its table."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import Any, Generic, NoReturn, TypeVar, cast

from typing_extensions import override

from restate_patterns.api.context import ObjectContext
from restate_patterns.api.state import State
from restate_patterns.errors import DefinitionError, UsageError
from restate_patterns.limits import MACHINE_HISTORY_COUNT
from restate_patterns.patterns.machines.timers import PATIENT
from restate_patterns.patterns.machines.transitions import (
    ENTRY,
    EXIT,
    ActionDecorator,
    EventDecorator,
    Rule,
    Ruled,
    Tagged,
    TimerDecorator,
)
from restate_patterns.retries import RetryPolicy

E = TypeVar("E", bound=Enum)


class Status(State[E], Generic[E]):
    """The state of a `StateMachine`, one member of an enum; its methods decorate transitions.

        class Payment(StateMachine[S]):
            status = Status(S, initial=S.NEW)

            @status.on(S.NEW, to=S.DONE)
            async def make(self, ctx: ObjectContext, request: PaymentRequest) -> bool: ...

    Read it with `await self.status.get(ctx)`; only transitions change it.

    Args:
        states: The enum.
        initial: Where a key is that nothing has happened to.
        history: How many changes the machine remembers, the latest; 0 for none.
        name: The wire name. Default: the name of the attribute.

    Raises:
        DefinitionError: `initial` is no member of the enum.
    """

    is_own = True

    def __init__(
        self, states: type[E], /, *, initial: E, history: int = MACHINE_HISTORY_COUNT, name: str | None = None
    ) -> None:
        super().__init__(default=initial, name=name)
        given = cast("object", states)
        if not (isinstance(given, type) and issubclass(given, Enum)):
            raise DefinitionError(f"Status: the states are the members of an enum, and {states!r} is none")
        if not isinstance(cast("object", initial), states):
            raise DefinitionError(f"Status: initial={initial!r} is no member of {states.__qualname__}")
        if history < 0:
            raise DefinitionError(f"Status: history={history} must be 0 or more changes")
        self.states = states
        self.initial = initial
        self.history_count = history

    def on(self, *sources: E, to: E) -> EventDecorator:
        """Declare a transition on an event: the handler is the event, its argument the payload.

        The order is: table, guards, exit actions of the source, the body, entry actions of the target, and
        then the change of state. A terminal error on the way leaves the machine where it was. Stack the
        decorator for other targets from other sources, and put it above `@handler(...)` for options.

        Args:
            sources: The states in which the event is possible.
            to: Where it leads.
        """
        return Ruled(Rule(sources, to))

    def after(self, delay: timedelta, *sources: E, to: E, retry: RetryPolicy = PATIENT) -> TimerDecorator:
        """Declare a transition that time makes: a durable timer starts when a transition enters a source.

        Leaving the source ends the timer; entering it again starts a new one. The handler is private unless
        it says `@handler(private=False)` or has an `on` as well. A transition that a guard or a terminal error refuses
        is tried again, as long as the machine stays; `late_timers` shows it, and `fire_late_timers` tries it now.

        Args:
            delay: How long after the entry.
            sources: The states that time ends.
            to: Where it leads.
            retry: When it is tried again after a refusal. After the last try it waits for a person, whatever `then`
                says. Default: after a second, then ever more rarely, at least once an hour, with no end.
        """
        return Ruled(Rule(sources, to, delay, retry))

    def entry(self, *states: E) -> ActionDecorator:
        """Declare a method that runs when a transition enters one of the states.

        Args:
            states: The states.
        """
        return Tagged(ENTRY, states)

    def exit(self, *states: E) -> ActionDecorator:
        """Declare a method that runs when a transition leaves one of the states.

        Args:
            states: The states.
        """
        return Tagged(EXIT, states)

    @override
    def set(self, ctx: ObjectContext, value: E, /) -> NoReturn:
        """Refuse: only transitions change the state of a machine."""
        raise UsageError(f"`self.{self._attribute}.set(ctx, ...)`: {self._instead_of_assigning()}")

    @override
    def clear(self, ctx: ObjectContext, /) -> NoReturn:
        """Refuse: only transitions change the state of a machine."""
        raise UsageError(f"`self.{self._attribute}.clear(ctx)`: {self._instead_of_assigning()}")

    def moved(self, ctx: ObjectContext, target: E, /) -> None:
        """Write the state; for the machine itself."""
        super().set(ctx, target)

    @override
    def declared_type(self) -> Any:
        return self.states

    @override
    def _instead_of_assigning(self) -> str:
        return "only transitions change the state of a machine; declare one that leads there"
