"""`StateMachine`: a virtual object that its transitions move, and nothing else.

Owns what happens at an event. Knows the table, not how it was declared.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from enum import Enum
from typing import Any, Final, Generic, TypeVar, cast

from typing_extensions import override

from restate_patterns.api.context import ObjectContext, ObjectSharedContext
from restate_patterns.api.definitions import VirtualObject
from restate_patterns.api.handler_clients import HandlerClient
from restate_patterns.api.handlers import handler
from restate_patterns.api.state import State
from restate_patterns.errors import Cancelled, TerminalError
from restate_patterns.patterns.machines.drawing import draw
from restate_patterns.patterns.machines.errors import EventRefused, IllegalEvent
from restate_patterns.patterns.machines.history import Change
from restate_patterns.patterns.machines.status import Status
from restate_patterns.patterns.machines.table import Event, Move, Table, read_table
from restate_patterns.patterns.machines.timers import LateTimer, Timers
from restate_patterns.patterns.machines.transitions import Transition
from restate_patterns.retries import RetryPolicy

E = TypeVar("E", bound=Enum)

_TABLE: Final = "__restate_table__"
_VISIT: Final = "machine-visit"
"""The header by which a timer says which stay in a state it was set for."""


class StateMachine(VirtualObject, Generic[E]):
    """A virtual object that is in one state of an enum, and changes it by declared transitions only.

        class Payment(StateMachine[S]):
            status = Status(S, initial=S.NEW)

            @status.on(S.NEW, to=S.DONE)
            async def make(self, ctx: ObjectContext, request: PaymentRequest) -> bool: ...

            @status.after(timedelta(hours=24), S.DONE, to=S.EXPIRED)
            async def expire(self, ctx: ObjectContext) -> None: ...

    An event that its state does not take is an `IllegalEvent`, terminal, 409. The table is checked when the
    class is made: unknown and unreachable states, two rules for one pair of state and event, timers that
    could not start.

    Raises:
        DefinitionError: The table cannot work; the sentence names the transition and the fix.
    """

    status: Status[E]
    _history: State[list[Change[E]]] = State[list[Change[E]]](default_factory=list, name="history")
    _timers = State[Timers](default=Timers(), name="timers")

    @override
    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        retry: RetryPolicy | None = None,
        retention: timedelta | None = None,
        inactivity_timeout: timedelta | None = None,
        private: bool | None = None,
    ) -> None:
        """Check the class; see `VirtualObject` for the arguments."""
        super().__init_subclass__(
            name=name, retry=retry, retention=retention, inactivity_timeout=inactivity_timeout, private=private
        )
        if not getattr(cls, "__parameters__", ()):
            _table_of(cls)

    @handler
    async def current(self, ctx: ObjectSharedContext) -> E:
        """Return the state the machine is in; while a transition is under way, the one it leaves."""
        return await self.status.get(ctx)

    @handler
    async def history(self, ctx: ObjectSharedContext) -> list[Change[E]]:
        """Return the changes of state that the machine remembers, the oldest first."""
        return await self._history.get(ctx)

    @handler
    async def diagram(self, ctx: ObjectSharedContext) -> str:
        """Return the machine as a Mermaid state diagram with the live state marked."""
        return type(self).mermaid(await self.status.get(ctx))

    @handler
    async def late_timers(self, ctx: ObjectSharedContext) -> list[LateTimer]:
        """Return the transitions of time that were due in this stay and were refused, the oldest refusal first."""
        return sorted((await self._timers.get(ctx)).late, key=lambda late: late.since)

    @handler
    async def fire_late_timers(self, ctx: ObjectContext) -> list[str]:
        """Have what is late tried again now, also what waits for a person; gives the wire names of the events."""
        timers = await self._timers.get(ctx)
        for late in timers.late:
            move = self._timed(late.event, await self.status.get(ctx))
            if move is None:
                continue
            if late.next_try is not None:
                await ctx.invocation(getattr(type(self), move.event.attribute), late.invocation_id).cancel()
            id_ = await self._send(ctx, move, timers.visit, timedelta(0))
            timers = timers.with_late(replace(late, next_try=ctx.now(), invocation_id=id_))
        self._timers.set(ctx, timers)
        return [late.event for late in timers.late]

    @classmethod
    def mermaid(cls, live: E | None = None) -> str:
        """Return the machine as a Mermaid state diagram.

        Args:
            live: A state to mark.
        """
        return draw(_table_of(cls), live)

    async def __restate_event__(self, ctx: ObjectContext, transition: Transition[..., Any], args: Any) -> Any:
        """Do what a transition says, or refuse it without a trace."""
        visit = ctx.headers.get(_VISIT)
        if visit is None:
            return await self._move(ctx, transition, args)
        timers = await self._timers.get(ctx)
        if visit != timers.visit:
            return None  # a timer of a stay that is over
        try:
            return await self._move(ctx, transition, args)
        except TerminalError as error:
            with ctx.shielded():
                await self._refused(ctx, transition, error)
            raise

    async def _move(self, ctx: ObjectContext, transition: Transition[..., Any], args: Any) -> Any:
        table = _table_of(type(self))
        here = await self.status.get(ctx)
        move = table.move(transition.attribute, here)
        if move is None:
            name = getattr(type(self), transition.attribute).name
            raise IllegalEvent(machine=_wire_name(self), event=name, state=here.name, legal=table.legal(here))
        await self._ask_guards(ctx, move.event, here, args)
        for name in table.exit.get(here, ()):
            await getattr(self, name)(ctx)
        result = await transition.body(self, ctx, *args)
        for name in table.entry.get(move.target, ()):
            await getattr(self, name)(ctx)
        with ctx.shielded():  # from here on it happens, all of it
            await self._change(ctx, table, move)
        return result

    async def _ask_guards(self, ctx: ObjectSharedContext, event: Event, here: Enum, args: Any) -> None:
        for guard in event.guards:
            if not await getattr(self, guard)(ctx, *args):
                raise EventRefused(machine=_wire_name(self), event=event.name, state=here.name, guard=guard)

    async def _change(self, ctx: ObjectContext, table: Table, move: Move) -> None:
        """Write the new state and everything that belongs to it; nothing is written before all is read and sent."""
        over = await self._timers.get(ctx)
        begun = await self._start_timers(ctx, table.timers(move.target))
        if kept := self.status.history_count:
            source, target = cast("E", move.source), cast("E", move.target)
            change = Change(move.event.name, source, target, ctx.now(), ctx.invocation_id)
            self._history.set(ctx, [*await self._history.get(ctx), change][-kept:])
        self.status.moved(ctx, cast("E", move.target))
        if table.has_timers:
            self._timers.set(ctx, begun)
        for id_ in over.pending():
            if id_ != ctx.invocation_id:
                await ctx.invocation(getattr(type(self), move.event.attribute), id_).cancel()

    async def _start_timers(self, ctx: ObjectContext, moves: list[Move]) -> Timers:
        ids = [await self._send(ctx, move, ctx.invocation_id, move.delay or timedelta(0)) for move in moves]
        return Timers(ctx.invocation_id, tuple(ids))

    async def _send(self, ctx: ObjectContext, move: Move, visit: str, delay: timedelta) -> str:
        me = ctx.object_client(type(self), ctx.key)
        event = cast("HandlerClient[ObjectContext, [], None]", getattr(me, move.event.attribute))
        return (await event.with_options(headers={_VISIT: visit}).send_after(delay)).id

    async def _refused(self, ctx: ObjectContext, transition: Transition[..., Any], error: TerminalError) -> None:
        """Keep what time could not do: it is tried again by its policy, and then waits for a person."""
        here = await self.status.get(ctx)
        move = _table_of(type(self)).move(transition.attribute, here)
        timers = await self._timers.get(ctx)
        event = getattr(type(self), transition.attribute).name
        before = timers.late_one(event)
        failed_count = 1 if before is None else before.failed_count + 1
        wait_ms = None
        if move is not None and not isinstance(error, Cancelled):
            wait_ms = move.retry.delay_ms(failed_count, error, ctx.random.random)
        id_, next_try = ctx.invocation_id, None
        if move is not None and wait_ms is not None:
            wait = timedelta(milliseconds=wait_ms)
            id_, next_try = await self._send(ctx, move, timers.visit, wait), ctx.now() + wait
        since = ctx.now() if before is None else before.since
        late = LateTimer(event, str(error), failed_count, since, next_try, id_)
        self._timers.set(ctx, timers.with_late(late))
        ctx.logger.warning(
            "%s/%s: time could not fire %r in the state %s (try %d): %s; %s",
            _wire_name(self),
            ctx.key,
            event,
            here.name,
            failed_count,
            error,
            "it waits for a person: call fire_late_timers" if wait_ms is None else f"the next try is in {wait_ms} ms",
        )

    def _timed(self, event: str, state: Enum) -> Move | None:
        moves = _table_of(type(self)).timers(state)
        return next((move for move in moves if move.event.name == event), None)


def _table_of(machine: type[StateMachine[Any]]) -> Table:
    table: Table | None = machine.__dict__.get(_TABLE)
    if table is None or table.machine is not machine:  # dataclass(slots=True) copies the attributes of a class
        table = read_table(machine, StateMachine)
        setattr(machine, _TABLE, table)
    return table


def _wire_name(machine: StateMachine[Any]) -> str:
    return type(machine).__restate_options__.name
