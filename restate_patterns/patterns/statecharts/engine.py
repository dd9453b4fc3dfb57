"""The library's engine, with durable delays in place of its own and nothing that runs beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue
from statemachine.engines.async_ import AsyncEngine
from typing_extensions import override

from restate_patterns.errors import Cancelled, UsageError, WrongValue
from restate_patterns.patterns.statecharts.definition import ChartDefinition
from restate_patterns.patterns.statecharts.library import timeout_of
from restate_patterns.patterns.statecharts.snapshot import PendingEvent
from restate_patterns.toolkit import codec

if TYPE_CHECKING:
    from restate_patterns.api.context import ObjectContext

_ARGS = codec(list[JsonValue])
_DATA = codec(dict[str, JsonValue])


@dataclass
class Delays:
    """The delayed events of one chart while an event is processed."""

    ctx: ObjectContext
    kept: dict[str, PendingEvent]
    """Those under way, by id."""
    begun: dict[str, datetime] = field(default_factory=dict[str, datetime])
    """When the new ones among them are due."""
    ended: list[PendingEvent] = field(default_factory=list[PendingEvent])
    """Those that were under way and will not come."""

    def add(self, event: PendingEvent, delay_ms: float) -> None:
        """Let an event come later."""
        id_ = f"{self.ctx.invocation_id}/{len(self.begun)}"
        self.kept[id_] = event
        self.begun[id_] = self.ctx.now() + timedelta(milliseconds=delay_ms)

    def end(self, is_meant: Callable[[PendingEvent], bool]) -> None:
        """Take back the events that are meant."""
        for id_ in [id_ for id_, event in self.kept.items() if is_meant(event)]:
            event = self.kept.pop(id_)
            if id_ not in self.begun:
                self.ended.append(event)


class DurableEngine(AsyncEngine):
    """Processes events of one machine inside a handler.

    Args:
        sm: The machine.
        definition: Of its chart.
        delays: What is to come later.
    """

    def __init__(self, sm: Any, definition: ChartDefinition, delays: Delays) -> None:
        super().__init__(sm)  # pyright: ignore[reportUnknownMemberType] - the library's is untyped
        self._delays = delays
        self._takes_errors = bool(sm.catch_errors_as_events) and definition.takes("error.execution")
        self._invoke_manager: Any = Timeouts(sm, delays)

    @override
    def __del__(self) -> None:
        """Do nothing: the library's ends all timeouts when an engine is garbage, and here they live on."""

    @override
    def put(self, trigger_data: Any, internal: bool = False) -> None:
        event = trigger_data.event
        if event and event.delay > 0:
            self._delays.add(_pending(trigger_data), event.delay)
        else:
            super().put(trigger_data, internal=internal)

    @override
    def cancel_event(self, send_id: str) -> None:
        super().cancel_event(send_id)
        self._delays.end(lambda event: event.send_id == send_id)

    @override
    def _on_error_handler(self) -> Callable[[Exception], None] | None:
        as_event = super()._on_error_handler()
        if as_event is None or not self._takes_errors:
            return None  # an error that no transition takes is not swallowed

        def handle(error: Exception) -> None:
            _refuse_to_swallow(error)
            as_event(error)

        return handle

    @override
    def _handle_error(self, error: Exception, trigger_data: Any) -> None:
        _refuse_to_swallow(error)
        if not self._takes_errors:
            raise error
        super()._handle_error(error, trigger_data)


class Timeouts:
    """In place of the library's invocations: of those, only timeouts of states can be durable.

    Args:
        sm: The machine.
        delays: What is to come later.
    """

    def __init__(self, sm: Any, delays: Delays) -> None:
        self._sm = sm
        self._delays = delays
        self._entered: list[Any] = []

    def mark_for_invoke(self, state: Any, event_kwargs: object = None) -> None:
        """Remember that a state with timeouts was entered."""
        self._entered.append(state)

    def cancel_for_state(self, state: Any) -> None:
        """End the timeouts of a state that is left."""
        self._entered = [each for each in self._entered if each.id != state.id]
        self._delays.end(lambda event: event.state == state.id)

    async def spawn_pending_async(self) -> None:
        """Start the timeouts of the states in which the macrostep ended."""
        for state in sorted(self._entered, key=lambda each: each.document_order):
            for spec in state.invoke:
                timeout = timeout_of(spec)
                if timeout is not None:
                    duration_s, event = timeout
                    event = event or f"done.invoke.{state.id}.timeout"
                    self._delays.add(PendingEvent(event=event, state=state.id), duration_s * 1_000)
        self._entered.clear()

    def cancel_all(self) -> None:
        """End all timeouts: the chart is done."""
        self._entered.clear()
        self._delays.end(lambda event: event.state is not None)

    def handle_external_event(self, trigger_data: object) -> None:
        """Do nothing: nothing runs beside the chart that an event could be for."""

    def send_to_child(self, invokeid: str, event: str, **data: object) -> bool:
        """Tell that there is no such child."""
        return False


def _refuse_to_swallow(error: Exception) -> None:
    """Raise what is no business of the chart: a cancelled invocation, and misuse."""
    if isinstance(error, Cancelled | UsageError):
        raise error


def _pending(trigger: Any) -> PendingEvent:
    try:
        _ARGS.encode(list(trigger.args))
        _DATA.encode(trigger.kwargs)
    except WrongValue as error:
        raise UsageError(f"the delayed event {trigger.event!s} carries what can't be stored as JSON: {error}") from None
    return PendingEvent(
        event=str(trigger.event), args=list(trigger.args), data=dict(trigger.kwargs), send_id=trigger.send_id
    )
