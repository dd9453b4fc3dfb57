"""One event on one chart: the machine is made from its snapshot, runs, and becomes a snapshot again."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import JsonValue
from statemachine.exceptions import TransitionNotAllowed

from restate_patterns.errors import UsageError, WrongValue
from restate_patterns.patterns.machines.errors import IllegalEvent
from restate_patterns.patterns.statecharts.definition import plain_data
from restate_patterns.patterns.statecharts.documents import open_session
from restate_patterns.patterns.statecharts.engine import Delays, DurableEngine
from restate_patterns.patterns.statecharts.library import attributes, event_of, new_model, ordered
from restate_patterns.patterns.statecharts.snapshot import ChartSnapshot
from restate_patterns.toolkit import codec

if TYPE_CHECKING:
    from restate_patterns.api.context import ObjectContext
    from restate_patterns.patterns.statecharts.definition import ChartDefinition

_DATA = codec(dict[str, JsonValue])
_FIELD: Final = "state"
"""Where the library's own model keeps the configuration."""
_MARK: Final = "__restate_configuration__"
"""Where another model has it while its machine is made."""
_CHANGED_BY_ENGINE: Final = frozenset({"history_values", "model"})


@dataclass(frozen=True, slots=True)
class Message:
    """An event with what it carries: `data` goes to callbacks by name, `payload` under that name."""

    event: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    args: tuple[Any, ...] = ()
    payload: Any = None
    is_due: bool = False
    """Whether a timer brings it, so that the delay it was declared with is over."""


class _Injected:
    """A listener that gives callbacks the context and the payload, whatever event they run for."""

    def __init__(self, ctx: ObjectContext, payload: object) -> None:
        self._given = {"ctx": ctx, "payload": payload}

    def prepare_event(self) -> dict[str, object]:
        return self._given


class _Nothing:
    """What a callback gets that sends an event: awaited or not, it has no result."""

    def __await__(self) -> Generator[Any, Any, None]:
        yield from ()


def _process_nothing(caller_future: object = None) -> _Nothing:
    """Stand in for the machine's own loop: an event that a callback sends is taken by the one that runs."""
    return _Nothing()


async def deliver(
    definition: ChartDefinition,
    owner: object,
    ctx: ObjectContext,
    snapshot: ChartSnapshot | None,
    message: Message | None,
) -> tuple[ChartSnapshot, Delays]:
    """Process an event to the end of its macrosteps.

    Args:
        definition: The chart.
        owner: The virtual object; its methods are callbacks too.
        ctx: The handler's own context.
        snapshot: Where the chart is; None when it has not begun.
        message: What happens; None to begin only.

    Returns:
        Where the chart is now, and what is to come later.

    Raises:
        IllegalEvent: The chart refuses events that lead nowhere, and this one does.
    """
    delays = Delays(ctx, dict(snapshot.timers) if snapshot else {})
    machine, before = _machine(definition, owner, ctx, snapshot, message, delays)
    engine: DurableEngine = machine._engine
    if snapshot is None:
        event_of(machine, "__initial__").put()
        await engine.processing_loop()
    if message is not None:
        await _send(definition, machine, engine, message)
    _refuse_attributes(definition, machine, before)
    return _snapshot(definition, machine, delays), delays


async def _send(definition: ChartDefinition, machine: Any, engine: DurableEngine, message: Message) -> None:
    declared: Any = getattr(cast("Any", type(machine)), message.event, None)
    delay = 0 if message.is_due else getattr(declared, "delay", 0)
    internal = bool(getattr(declared, "internal", False))
    event = event_of(machine, message.event, delay_ms=delay, is_internal=internal)
    try:
        trigger = event.put(*message.args, **message.data)
        await engine.processing_loop(trigger.future)
    except TransitionNotAllowed:
        state = ", ".join(state.id for state in machine.configuration)
        legal = sorted({str(each) for each in machine.allowed_events} & set(definition.events))
        raise IllegalEvent(machine=definition.label, event=message.event, state=state, legal=legal) from None


def _machine(
    definition: ChartDefinition,
    owner: object,
    ctx: ObjectContext,
    snapshot: ChartSnapshot | None,
    message: Message | None,
    delays: Delays,
) -> tuple[Any, dict[str, Any]]:
    """Make the machine where the snapshot says; give its attributes too."""
    model = _model(definition, snapshot)
    place = _FIELD if definition.model is None else _MARK
    values = attributes(model)
    values[place] = next(iter(definition.chart.states_map))  # a machine that is somewhere does not begin by itself
    listeners = [_Injected(ctx, message.payload if message else None), owner]
    machine: Any = definition.chart(model=model, state_field=place, listeners=listeners)
    if definition.model is None:
        values[place] = None
    else:
        del values[place]
        machine._config._model = SimpleNamespace(**{place: None})
    machine._config._invalidate()
    engine = DurableEngine(machine, definition, delays)
    attributes(machine).update(_engine=engine, _processing_loop=_process_nothing)
    open_session(machine, ctx.key, is_new=snapshot is None)
    if snapshot is not None:
        machine._config.value = ordered(definition.states[id_].value for id_ in snapshot.configuration)
        machine.history_values.update(
            {id_: [definition.states[each] for each in ids] for id_, ids in snapshot.history.items()}
        )
        engine.running = not snapshot.is_done
    return machine, dict(attributes(machine))


def _model(definition: ChartDefinition, snapshot: ChartSnapshot | None) -> Any:
    stored = definition.model_codec
    if definition.model is None or stored is None:
        model = new_model()
        attributes(model).update(snapshot.data if snapshot else {})
        return model
    if snapshot is None:
        return definition.model()
    return stored.read(json.dumps(snapshot.data).encode(), f"the data of {definition.label}")


def _snapshot(definition: ChartDefinition, machine: Any, delays: Delays) -> ChartSnapshot:
    return ChartSnapshot(
        version=definition.version,
        configuration=[state.id for state in machine.configuration],
        history={id_: [state.id for state in states] for id_, states in machine.history_values.items()},
        data=_data(definition, machine.model),
        timers=delays.kept,
        is_done=not machine._engine.running,
    )


def _data(definition: ChartDefinition, model: Any) -> dict[str, JsonValue]:
    stored = definition.model_codec
    try:
        data = _DATA.encode(plain_data(model, _FIELD)) if stored is None else stored.encode(model)
    except WrongValue as error:
        raise UsageError(
            f"{definition.label}: the chart's model can't be stored: {error}. Keep plain JSON on it, or give a typed "
            "one: `model=` a dataclass or pydantic model"
        ) from None
    kept: dict[str, JsonValue] = json.loads(data)
    return kept


def _refuse_attributes(definition: ChartDefinition, machine: Any, before: Mapping[str, Any]) -> None:
    for name, value in attributes(machine).items():
        if not name.startswith("_") and name not in _CHANGED_BY_ENGINE and before.get(name) is not value:
            raise UsageError(
                f"{definition.label}: `self.{name} = ...` in the chart: a machine is made anew for each event, so its "
                f"attributes are forgotten; keep the value on the model: `self.model.{name}`"
            )
