"""A chart as its virtual object needs it: states, events, version, and what is wrong with a snapshot of it.

Owns the sentences about charts that cannot be made durable and snapshots that do not fit. Touches the
library by its classes only: runs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from restate_patterns.errors import DefinitionError, TerminalError, UsageError
from restate_patterns.patterns.statecharts.documents import send_actions
from restate_patterns.patterns.statecharts.library import (
    attributes,
    event_ids,
    is_chart,
    states_of,
    timeout_of,
    transitions_of,
)
from restate_patterns.patterns.statecharts.snapshot import ChartSnapshot
from restate_patterns.toolkit import Codec, codec

if TYPE_CHECKING:
    from pydantic import JsonValue

Migration: TypeAlias = Callable[[ChartSnapshot], ChartSnapshot]

_PLATFORM = ("done.", "error.")


@dataclass(frozen=True, slots=True)
class ChartDefinition:
    """A chart, its version, and how older snapshots of it are brought up to date."""

    label: str
    chart: Any
    """The `StateChart` class."""
    version: int
    migrations: Mapping[int, Migration]
    model: type[Any] | None
    states: Mapping[str, Any]
    """The states and history states, by id."""
    events: tuple[str, ...]
    """The ids of the events that callers may send."""

    @property
    def model_codec(self) -> Codec[Any] | None:
        """How the model is stored; None for the library's own, whose attributes are stored."""
        return None if self.model is None else codec(self.model)

    def takes(self, event: str) -> bool:
        """Return whether any transition of the chart is for an event."""
        return any(transition.match(event) for transition in transitions_of(self.chart))

    def upgraded(self, snapshot: ChartSnapshot) -> ChartSnapshot:
        """Bring a snapshot to the version of the code.

        Raises:
            UsageError: It is of a later version, or a migration is missing.
        """
        if snapshot.version > self.version:
            raise UsageError(
                f"{self.label}: the snapshot is of version {snapshot.version}, and this program has version "
                f"{self.version} of the chart; run the newer program"
            )
        for version in range(snapshot.version, self.version):
            migrate = self.migrations.get(version)
            if migrate is None:
                raise UsageError(
                    f"{self.label}: the snapshot is of version {version}, and nothing leads from there to "
                    f"{version + 1}; declare `migrations={{{version}: ...}}`"
                )
            snapshot = migrate(snapshot).model_copy(update={"version": version + 1})
        return snapshot

    def problems(self, snapshot: ChartSnapshot) -> list[str]:
        """Return what is wrong with a stored snapshot under this code, in sentences; none when it fits."""
        try:
            current = self.upgraded(snapshot)
        except UsageError as error:
            return [str(error)]
        except Exception as error:  # noqa: BLE001 - a migration is user code, and this is its test
            return [f"{self.label}: the migration from version {snapshot.version} failed: {error!r}"]
        return [f"{self.label}: {problem}" for problem in self._misfits(current)]

    def _misfits(self, snapshot: ChartSnapshot) -> Iterator[str]:
        unknown = [id_ for id_ in snapshot.configuration if id_ not in self.states]
        if unknown:
            yield f"the snapshot is in the states {', '.join(unknown)}, which the chart does not have"
        else:
            yield from _inconsistencies(self.chart, {self.states[id_] for id_ in snapshot.configuration})
        for id_, remembered in snapshot.history.items():
            for missing in (each for each in (id_, *remembered) if each not in self.states):
                yield f"the history state {id_!r} remembers {missing!r}, which the chart does not have"
        for timer in snapshot.timers.values():
            if not self.takes(timer.event):
                yield f"a timer will send {timer.event!r}, which no transition of the chart takes"
            if timer.state is not None and timer.state not in self.states:
                yield f"a timer belongs to the state {timer.state!r}, which the chart does not have"
        if self.model is not None:
            try:
                codec(self.model).decode(json.dumps(snapshot.data).encode())
            except TerminalError as error:
                yield f"its data is no {self.model.__qualname__}: {error.message}"


def read_chart(
    label: str,
    chart: object,
    *,
    version: int,
    migrations: Mapping[int, Migration],
    model: type[Any] | None,
    owner: type,
) -> ChartDefinition:
    """Check that a chart can be durable, and read it.

    Args:
        label: The virtual object, for sentences.
        chart: The `StateChart` class.
        version: Of the chart.
        migrations: From each older version to the next.
        model: What the chart's data is, or None.
        owner: The class of the virtual object, whose methods are callbacks too.

    Raises:
        DefinitionError: It can't; the sentence says why and what to do.
    """
    if not is_chart(chart):
        raise DefinitionError(f"{label}: chart={chart!r} is no StateChart with states; give the class")
    if version < 1:
        raise DefinitionError(f"{label}: version={version} must be 1 or more")
    late = [each for each in migrations if not 1 <= each < version]
    if late:
        raise DefinitionError(
            f"{label}: migrations lead from older versions, 1 to {version - 1}; {late[0]} is none of them"
        )
    if model is not None and "__dict__" not in dir(model):
        raise DefinitionError(f"{label}: the model {model.__qualname__} has slots, and the chart needs to mark it")
    _refuse_invocations(label, chart, owner)
    if any(action.idlocation for action in send_actions(chart)):
        raise DefinitionError(
            f"{label}: the document has a <send idlocation=...>, whose id would be another one on each replay; "
            "give the send an `id`"
        )
    states = {state.id: state for state in states_of(chart)}
    return ChartDefinition(label, chart, version, dict(migrations), model, states, tuple(_events(chart)))


def _refuse_invocations(label: str, chart: Any, owner: type) -> None:
    for state in states_of(chart):
        for spec in state.invoke:
            found = not spec.is_convention or hasattr(chart, str(spec.func)) or hasattr(owner, str(spec.func))
            if found and timeout_of(spec) is None:
                raise DefinitionError(
                    f"{label}: the state {state.id!r} invokes {spec}, which would run in a thread and be lost by a "
                    "crash; do it in an entry action with `await ctx.run(...)`, or send to another service"
                )


def _events(chart: Any) -> Iterator[str]:
    for id_ in event_ids(chart):
        if not id_.startswith(_PLATFORM) and "*" not in id_ and not id_.endswith("."):
            yield id_


def _inconsistencies(chart: Any, active: set[Any]) -> Iterator[str]:
    """Tell where active states contradict the hierarchy."""
    roots = list(chart.states)
    if all(state.parallel for state in roots) and len(roots) > 1:
        yield from _inactive(roots, active, "the chart")
    else:
        yield from _not_one(roots, active, "the chart")
    for state in sorted(active, key=lambda each: str(each.id)):
        if state.parent is not None and state.parent not in active:
            yield f"{state.id!r} is active and {state.parent.id!r} around it is not"
        if state.parallel:
            yield from _inactive(state.states, active, repr(state.id))
        elif state.states:
            yield from _not_one(state.states, active, repr(state.id))


def _inactive(states: Any, active: set[Any], where: str) -> Iterator[str]:
    for state in states:
        if state not in active:
            yield f"the region {state.id!r} of {where} is not active"


def _not_one(states: Any, active: set[Any], where: str) -> Iterator[str]:
    among = [state.id for state in states if state in active]
    if len(among) != 1:
        yield f"of the states in {where} exactly one is active, not {', '.join(among) or 'none'}"


def plain_data(model: object, state_field: str) -> dict[str, JsonValue]:
    """Return the attributes of the library's own model."""
    return {name: value for name, value in attributes(model).items() if name != state_field}
