"""`Statechart`: a virtual object that a chart of `python-statemachine` moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from pydantic import JsonValue
from typing_extensions import override

from restate_patterns.api.context import ObjectContext, ObjectSharedContext
from restate_patterns.api.definitions import VirtualObject
from restate_patterns.api.handlers import handler
from restate_patterns.api.state import State
from restate_patterns.errors import Cancelled, DefinitionError, TerminalError, UnreadableValue
from restate_patterns.patterns.machines.errors import IllegalEvent
from restate_patterns.patterns.machines.timers import PATIENT
from restate_patterns.patterns.statecharts.events import (
    ChartEventHandler,
    can_name_handler,
    carried,
    check_payload,
    undeclared,
)
from restate_patterns.patterns.statecharts.snapshot import ChartSnapshot, PendingEvent
from restate_patterns.retries import RetryPolicy

if TYPE_CHECKING:
    from statemachine import StateChart

    from restate_patterns.patterns.statecharts.definition import ChartDefinition
    from restate_patterns.patterns.statecharts.engine import Delays

_CHART: Final = "__restate_chart__"
_PACKAGE: Final = "restate_patterns.patterns.statecharts"


@dataclass(frozen=True, slots=True)
class ChartMessage:
    """An event by its id, for those that have no handler of their own (`order.paid` in a document).

    Args:
        event: The id.
        data: What it carries; callbacks get it by name.
    """

    event: str
    data: dict[str, JsonValue]


class Statechart(VirtualObject):
    """A virtual object whose key is one running chart: events are handlers, the configuration is durable.

        class Order(Statechart, chart=OrderChart, version=2, migrations={1: to_two}):
            pay = chart_event(Payment)

    `chart` is a `StateChart` of `python-statemachine`, written in Python or loaded with
    `statemachine.io.load` from SCXML, JSON or YAML; the extra `statecharts` brings the library. Callbacks may
    be methods of the chart, its model or this class; they take `ctx` and `payload` by name. The chart's delays
    and its timeouts are durable timers. Events nobody declared have handlers that take a JSON object.

    Raises:
        DefinitionError: The chart can't be durable; the sentence says why and what to do.
    """

    _snapshot = State[ChartSnapshot](name="snapshot")

    @override
    def __init_subclass__(
        cls,
        *,
        chart: type[StateChart[Any]] | None = None,
        version: int = 1,
        migrations: Mapping[int, Callable[[ChartSnapshot], ChartSnapshot]] | None = None,
        model: type[Any] | None = None,
        name: str | None = None,
        retry: RetryPolicy | None = None,
        retention: timedelta | None = None,
        inactivity_timeout: timedelta | None = None,
        private: bool | None = None,
    ) -> None:
        """Check the class, and make handlers of the chart's events.

        Args:
            chart: The chart.
            version: Of the chart; a snapshot says which one wrote it.
            migrations: What brings a snapshot from each older version to the next.
            model: What the chart's data is: a dataclass or pydantic model that can be made without
                arguments. Default: an object with what JSON-like attributes the chart gives it.
            name: As for `VirtualObject`.
            retry: As for `VirtualObject`.
            retention: As for `VirtualObject`.
            inactivity_timeout: As for `VirtualObject`.
            private: As for `VirtualObject`.
        """
        if chart is not None:
            found = _part("definition").read_chart(
                name or cls.__name__, chart, version=version, migrations=migrations or {}, model=model, owner=cls
            )
            _part("documents").mend(chart)
            setattr(cls, _CHART, found)
            _make_handlers(cls, found)
        elif not hasattr(cls, _CHART):
            raise DefinitionError(
                f"{cls.__qualname__} has no chart; write `class {cls.__name__}(Statechart, chart=...)`"
            )
        super().__init_subclass__(
            name=name, retry=retry, retention=retention, inactivity_timeout=inactivity_timeout, private=private
        )

    @handler
    async def start(self, ctx: ObjectContext) -> list[str]:
        """Enter the initial states, if nothing has happened yet; the first event does so too.

        Returns:
            The ids of the active states.
        """
        return await self._process(ctx, None)

    @handler
    async def dispatch(self, ctx: ObjectContext, message: ChartMessage) -> list[str]:
        """Send any event by its id.

        Returns:
            The ids of the active states.
        """
        return await self._process(ctx, _part("running").Message(message.event, message.data))

    @handler
    async def configuration(self, ctx: ObjectSharedContext) -> list[str]:
        """Return the ids of the active states; none before anything happened."""
        stored = await self._load(ctx)
        return stored.configuration if stored else []

    @handler
    async def snapshot(self, ctx: ObjectSharedContext) -> ChartSnapshot | None:
        """Return what is stored, as it is stored."""
        return await self._snapshot.get(ctx, None)

    @handler
    async def diagram(self, ctx: ObjectSharedContext) -> str:
        """Return the chart as a Mermaid state diagram with the live states marked."""
        stored = await self._load(ctx)
        return type(self).mermaid(stored.configuration if stored else ())

    @handler(private=True)
    async def timer(self, ctx: ObjectContext, id: str) -> None:
        """Deliver a delayed event, unless the chart took it back."""
        stored = await self._load(ctx)
        event = stored.timers.get(id) if stored else None
        if stored is None or event is None:
            return
        rest = {key: timer for key, timer in stored.timers.items() if key != id}
        message = _part("running").Message(event.event, event.data, tuple(event.args), is_due=True)
        try:
            await self._process(ctx, message, stored.model_copy(update={"timers": rest}))
        except TerminalError as error:
            with ctx.shielded():
                await self._refused(ctx, stored, id, error)
            raise

    @handler
    async def late_events(self, ctx: ObjectSharedContext) -> dict[str, PendingEvent]:
        """Return the delayed events that were due and were refused, by id."""
        stored = await self._load(ctx)
        return {id_: event for id_, event in stored.timers.items() if event.is_late} if stored else {}

    @handler
    async def fire_late_events(self, ctx: ObjectContext) -> list[str]:
        """Have the late events delivered again now, also those that wait for a person; gives their ids."""
        stored = await self._load(ctx)
        late = {id_: event for id_, event in stored.timers.items() if event.is_late} if stored else {}
        for id_, event in late.items():
            if event.next_try is not None:
                await ctx.invocation(type(self).timer, event.invocation).cancel()
            sent = await ctx.object_client(type(self), ctx.key).timer.send(id_)
            late[id_] = event.model_copy(update={"invocation": sent.id, "next_try": ctx.now()})
        if stored is not None and late:
            self._snapshot.set(ctx, stored.model_copy(update={"timers": {**stored.timers, **late}}))
        return list(late)

    @handler
    async def drop_late_event(self, ctx: ObjectContext, id: str) -> bool:
        """Forget a late event: it is not delivered any more. False when there is none of this id."""
        stored = await self._load(ctx)
        event = stored.timers.get(id) if stored else None
        if stored is None or event is None or not event.is_late:
            return False
        if event.next_try is not None:
            await ctx.invocation(type(self).timer, event.invocation).cancel()
        rest = {key: timer for key, timer in stored.timers.items() if key != id}
        self._snapshot.set(ctx, stored.model_copy(update={"timers": rest}))
        return True

    @classmethod
    def mermaid(cls, live: list[str] | tuple[str, ...] = ()) -> str:
        """Return the chart as a Mermaid state diagram.

        Args:
            live: The ids of states to mark.
        """
        drawn: str = _part("drawing").draw(_definition(cls), live)
        return drawn

    @classmethod
    def check_snapshot(cls, snapshot: ChartSnapshot) -> list[str]:
        """Check a stored snapshot against this code, before it is deployed.

        Returns:
            What does not fit, in sentences: states, history and timers that the chart does not have, a
            configuration that contradicts its hierarchy, data that is not of the model, a migration that is
            missing or fails. None of them when the snapshot can go on under this code.
        """
        return _definition(cls).problems(snapshot)

    async def __restate_deliver__(self, ctx: ObjectContext, event: str, payload: Any) -> list[str]:
        """Deliver an event that a handler of its own brought."""
        args, data = carried(payload)
        return await self._process(ctx, _part("running").Message(event, data, args, payload))

    async def _load(self, ctx: ObjectSharedContext) -> ChartSnapshot | None:
        definition = _definition(type(self))
        stored = await self._snapshot.get(ctx, None)
        if stored is None or stored.version == definition.version:
            return stored
        problems = definition.problems(stored)
        if problems:
            raise UnreadableValue(f"the snapshot of {definition.label}", "; ".join(problems))
        return definition.upgraded(stored)

    async def _process(self, ctx: ObjectContext, message: Any, stored: ChartSnapshot | None = None) -> list[str]:
        stored = stored or await self._load(ctx)
        after: ChartSnapshot
        delays: Delays
        after, delays = await _part("running").deliver(_definition(type(self)), self, ctx, stored, message)
        with ctx.shielded():  # from here on it happens, all of it
            await self._store(ctx, after, delays)
        return after.configuration

    async def _refused(self, ctx: ObjectContext, stored: ChartSnapshot, id_: str, error: TerminalError) -> None:
        """Keep a delayed event that was due and refused.

        It is delivered again later; one that leads nowhere where the chart is, or was cancelled, waits for a person.
        """
        event = stored.timers[id_]
        wait_ms = None
        if not isinstance(error, Cancelled | IllegalEvent):
            wait_ms = PATIENT.delay_ms(event.failed_count + 1)
        late: dict[str, Any] = {"failed_count": event.failed_count + 1, "error": str(error), "next_try": None}
        if wait_ms is not None:
            wait = timedelta(milliseconds=wait_ms)
            sent = await ctx.object_client(type(self), ctx.key).timer.send_after(wait, id_)
            late.update(invocation=sent.id, next_try=ctx.now() + wait)
        timers = {**stored.timers, id_: event.model_copy(update=late)}
        self._snapshot.set(ctx, stored.model_copy(update={"timers": timers}))
        ctx.logger.warning(
            "%s/%s: the delayed event %r was refused (try %d): %s; %s",
            type(self).__restate_options__.name,
            ctx.key,
            event.event,
            late["failed_count"],
            error,
            "it waits for a person: call fire_late_events or drop_late_event"
            if wait_ms is None
            else f"the next try is in {wait_ms} ms",
        )

    async def _store(self, ctx: ObjectContext, after: ChartSnapshot, delays: Delays) -> None:
        me = ctx.object_client(type(self), ctx.key)
        timers = dict(after.timers)
        for id_, due in delays.begun.items():
            if id_ in timers:
                sent = await me.timer.send_after(max(timedelta(0), due - ctx.now()), id_)
                timers[id_] = timers[id_].model_copy(update={"invocation": sent.id})
        self._snapshot.set(ctx, after.model_copy(update={"timers": timers}))
        for event in delays.ended:
            await ctx.invocation(type(self).timer, event.invocation).cancel()


def _definition(cls: type[Statechart]) -> ChartDefinition:
    found: ChartDefinition = getattr(cls, _CHART)
    return found


def _part(name: str) -> Any:
    """Import what needs the library, which is an extra."""
    try:
        return import_module(f"{_PACKAGE}.{name}")
    except ModuleNotFoundError as error:
        if error.name != "statemachine":
            raise
        raise DefinitionError(
            "a Statechart needs python-statemachine; install the extra: `pip install 'restate-patterns[statecharts]'`"
        ) from None


def _make_handlers(cls: type[Statechart], definition: ChartDefinition) -> None:
    declared = {name: each for name, each in vars(cls).items() if isinstance(each, ChartEventHandler)}
    for name, each in declared.items():
        each.named(cls, name)
        if each.event is not None and not definition.takes(each.event):
            raise DefinitionError(
                f"{cls.__qualname__}.{name}: the chart has no transition for the event {each.event!r}; it has "
                f"{', '.join(definition.events) or 'none'}"
            )
        check_payload(f"{cls.__qualname__}.{name}", each.payload)
    known = {each.event for each in declared.values()}
    for event in definition.events:
        if event in known or not can_name_handler(event):
            continue
        if hasattr(cls, event):
            raise DefinitionError(
                f"{cls.__qualname__}: the event {event!r} has the name of something every Statechart has; declare it "
                f"under another one: `my_{event} = chart_event(event={event!r})`"
            )
        made = undeclared(event)
        made.named(cls, event)
        setattr(cls, event, made)
