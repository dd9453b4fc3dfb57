"""The table of a machine: read from its class once, and checked.

Owns the sentences about tables that cannot work. Knows no context: it says what is possible, not how.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

from restate_patterns.api.context import ObjectContext
from restate_patterns.errors import DefinitionError, UndefinedName
from restate_patterns.patterns.machines.status import Status
from restate_patterns.patterns.machines.transitions import ENTRY, EXIT, Transition
from restate_patterns.retries import RetryPolicy
from restate_patterns.toolkit import comes_back, declarations, read_definition, type_arguments, wire_name

if TYPE_CHECKING:
    from restate_patterns.api.definitions import VirtualObject


@dataclass(frozen=True, slots=True)
class Event:
    """What can move a machine: `attribute` on the class, `name` on the wire."""

    attribute: str
    name: str
    guards: Sequence[str]
    is_private: bool


@dataclass(frozen=True, slots=True)
class Move:
    """One cell of the table: in `source`, `event` leads to `target`, by itself after `delay`."""

    event: Event
    source: Enum
    target: Enum
    delay: timedelta | None
    retry: RetryPolicy
    """With a delay: when what was refused is tried again."""


@dataclass(frozen=True, slots=True)
class Table:
    """What a machine does in each state. Actions are names of methods."""

    machine: type
    states: type[Enum]
    initial: Enum
    moves: Mapping[tuple[str, Enum], Move]
    entry: Mapping[Enum, Sequence[str]]
    exit: Mapping[Enum, Sequence[str]]

    @property
    def has_timers(self) -> bool:
        """Whether time moves it."""
        return any(move.delay is not None for move in self.moves.values())

    def move(self, attribute: str, state: Enum) -> Move | None:
        """Return what an event does in a state, or None."""
        return self.moves.get((attribute, state))

    def legal(self, state: Enum) -> list[str]:
        """Return the wire names of the events that a caller may send in a state."""
        return [move.event.name for move in self.moves.values() if move.source is state and not move.event.is_private]

    def timers(self, state: Enum) -> list[Move]:
        """Return what time does in a state."""
        return [move for move in self.moves.values() if move.source is state and move.delay is not None]


def read_table(machine: type[VirtualObject], base: type) -> Table:
    """Read the table of a machine class.

    Args:
        machine: The class.
        base: `StateMachine`, for the enum that the class gives it.

    Raises:
        DefinitionError: It cannot work; the sentence names the class, the transition and the fix.
    """
    own = machine.__qualname__
    said: Status[Enum] | None = getattr(machine, "status", None)
    if not isinstance(said, Status):
        raise DefinitionError(f"{own} has no status; write `status = Status(States, initial=States.FIRST)`")
    _check_enum(own, said.states, base, type_arguments(machine).get(base, {}).values())
    transitions = dict(_transitions(machine))
    moves: dict[tuple[str, Enum], Move] = {}
    for attribute, transition in transitions.items():
        for move in _moves(machine, attribute, transition):
            _check_move(own, said, move, moves)
            moves[attribute, move.source] = move
    table = Table(machine, said.states, said.initial, moves, _actions(machine, ENTRY), _actions(machine, EXIT))
    for state in (*table.entry, *table.exit):
        _check_known(f"{own}: an action", said, state)
    _check_reach(own, table)
    _check_contexts(machine, transitions)
    return table


def _transitions(machine: type) -> Iterator[tuple[str, Transition[..., Any]]]:
    for name in _names(machine):
        declared = declarations(machine, name)
        if not any(isinstance(member, Transition) for member in declared):
            continue
        nearest = declared[0]
        if not isinstance(nearest, Transition):
            raise DefinitionError(
                f"{machine.__qualname__}.{name} overrides a transition with a plain handler, which would leave the "
                "table; put `@status.on(...)` on it too"
            )
        yield name, nearest


def _names(machine: type) -> list[str]:
    """Give the names of all attributes, those of the bases first, in the order of their declaration."""
    return list(dict.fromkeys(name for klass in reversed(machine.__mro__) for name in klass.__dict__))


def _moves(machine: type, attribute: str, transition: Transition[..., Any]) -> Iterator[Move]:
    event = Event(
        attribute, wire_name(declarations(machine, attribute)), transition.guards, bool(transition.options.private)
    )
    for rule in transition.rules:
        for source in rule.sources:
            yield Move(event, source, rule.target, rule.delay, rule.retry)


def _actions(machine: type, tag: str) -> Mapping[Enum, Sequence[str]]:
    found: dict[Enum, list[str]] = {}
    for name in _names(machine):
        tagged = (getattr(klass.__dict__.get(name), tag, ()) for klass in machine.__mro__)
        for state in next((states for states in tagged if states), ()):
            found.setdefault(state, []).append(name)
    return found


def _check_enum(own: str, states: type[Enum], base: type, said: Any) -> None:
    for argument in said:
        if isinstance(argument, type) and argument is not states:
            raise DefinitionError(
                f"{own} is a {base.__name__} of {argument.__qualname__}, but its status is one of "
                f"{states.__qualname__}; write the same enum in both"
            )
    for state in states:
        if not comes_back(state):
            raise DefinitionError(
                f"{own}: the state {state.name} of {states.__qualname__} has the value {state.value!r}, which can't be "
                "stored as JSON and found again; give the states values that are text or whole numbers"
            )


def _check_known(what: str, status: Status[Enum], state: object) -> None:
    if not isinstance(state, status.states):
        raise DefinitionError(
            f"{what} names {state!r}, which is no state of {status.states.__qualname__}; the states are "
            f"{', '.join(member.name for member in status.states)}"
        )


def _check_move(own: str, status: Status[Enum], move: Move, moves: Mapping[tuple[str, Enum], Move]) -> None:
    label = f"{own}.{move.event.attribute}"
    _check_known(label, status, move.source)
    _check_known(label, status, move.target)
    other = moves.get((move.event.attribute, move.source))
    if other is not None:
        raise DefinitionError(
            f"{label}: two rules for one pair: {move.event.name!r} in {move.source.name} leads to "
            f"{other.target.name} and to {move.target.name}; keep one, or make it two events"
        )
    if move.delay is not None and move.source is status.initial:
        raise DefinitionError(
            f"{label}: no timer can start in the initial state {move.source.name}, because a key is in it before "
            "anything happened to it; add a state that an event enters, and let time leave that one"
        )


def _check_reach(own: str, table: Table) -> None:
    reached: list[Enum] = [table.initial]
    for state in reached:
        reached += [m.target for m in table.moves.values() if m.source is state and m.target not in reached]
    missing = [state.name for state in table.states if state not in reached]
    if missing:
        raise DefinitionError(
            f"{own}: nothing leads from {table.initial.name} to {', '.join(missing)}; add a transition, or take "
            f"the state out of {table.states.__qualname__}"
        )


def _check_contexts(machine: type[VirtualObject], transitions: Mapping[str, object]) -> None:
    try:
        handlers = read_definition(machine).handlers
    except UndefinedName:
        return  # raised again, at the latest, when the App is made
    for name in transitions:
        if handlers[name].context is not ObjectContext:
            raise DefinitionError(
                f"{handlers[name].label} is a transition, so it writes: annotate its context with `ObjectContext`"
            )
