"""`Schedule`: what programs declare and act on. Owns what may be said of one; `keeper` keeps it."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta
from typing import Any, Final, ParamSpec, TypeAlias, TypeVar, cast, get_args, overload

from pydantic import JsonValue
from typing_extensions import override

from restate_patterns.api.context import (
    Context,
    ObjectContext,
    ObjectSharedContext,
    WorkflowContext,
    WorkflowSharedContext,
)
from restate_patterns.api.definitions import VirtualObject, Workflow
from restate_patterns.api.handlers import HandlerRef
from restate_patterns.api.typed_clients import Clients, watched
from restate_patterns.errors import DefinitionError
from restate_patterns.patterns.schedules.declaration import Missed, Overlap, ScheduleDeclaration, Takes, Tick
from restate_patterns.patterns.schedules.keeper import Schedules, ScheduleSpan
from restate_patterns.patterns.schedules.record import ScheduleRecord, ScheduleRun
from restate_patterns.patterns.schedules.timing import check, date_of, ms_of
from restate_patterns.toolkit import read_definition

T = TypeVar("T")
P = ParamSpec("P")
Keyless: TypeAlias = HandlerRef[Any, Context, P, Any] | HandlerRef[Any, WorkflowContext, P, Any]
"""A handler that is called without a key, or whose key is made for each run."""
Keyed: TypeAlias = (
    HandlerRef[Any, ObjectContext, P, Any]
    | HandlerRef[Any, ObjectSharedContext, P, Any]
    | HandlerRef[Any, WorkflowSharedContext, P, Any]
)

_NO_PAYLOAD: Final[Any] = object()


class Schedule:
    """A handler that is run again and again: by cron in a time zone, or at intervals.

        nightly = Schedule("nightly", cron="0 2 * * *", zone="Europe/Berlin", to=Report.nightly)
        app = App([Report(), nightly])

    The app declares it at each start; one that is made at run time is declared with `declare`. It is kept by its name:
    an equal declaration changes nothing, another one replaces it, and it stays until it is removed.

    Each tick runs its target once, whatever crashes. Where a local time does not exist or comes twice it does as
    Debian's cron: see the guide.

    Args:
        name: Its name: one for each schedule on a server.
        to: What it runs: a handler of a service, of an object, or the `run` of a workflow, which gets a key of its own
            for each tick. It takes nothing, the `Tick`, or the `payload`.
        key: Which object, or which workflow where `to` is not its `run`.
        payload: What each run is given. Default: the `Tick`, if the handler takes one.
        cron: When: minute, hour, day of the month, month, weekday, as in `0 2 * * *`; with a sixth field in front for
            seconds it ticks by elapsed time.
        zone: The time zone of `cron`, by its name in the IANA database.
        every: When, instead: at this interval, 10 milliseconds or more; counted from `start`, or from 1970.
        start: No tick comes before this time; with its time zone.
        jitter: By how much a run may be put off, each by another time; for schedules that would all come at once.
        overlap: What becomes of a run while the last one goes on: `skip` it; `queue` it until that has ended; `cancel`
            that one, and begin when it has ended; `allow` both.
        missed: What becomes of ticks that came while nothing ran: `skip` them, run `once` for the last, or for `all`
            of them, one after the other, 100 at most. A minute late is not missed.

    Raises:
        DefinitionError: It can't work; the sentence names the fix.
        WrongValue: The payload is not what the handler takes.
    """

    @overload
    def __init__(
        self,
        name: str,
        /,
        *,
        to: Keyless[[]] | Keyless[[Tick]],
        cron: str | None = None,
        zone: str = "UTC",
        every: timedelta | None = None,
        start: datetime | None = None,
        jitter: timedelta = timedelta(0),
        overlap: Overlap = "skip",
        missed: Missed = "once",
    ) -> None: ...
    @overload
    def __init__(
        self,
        name: str,
        /,
        *,
        to: Keyless[[T]],
        payload: T,
        cron: str | None = None,
        zone: str = "UTC",
        every: timedelta | None = None,
        start: datetime | None = None,
        jitter: timedelta = timedelta(0),
        overlap: Overlap = "skip",
        missed: Missed = "once",
    ) -> None: ...
    @overload
    def __init__(
        self,
        name: str,
        /,
        *,
        to: Keyed[[]] | Keyed[[Tick]],
        key: str,
        cron: str | None = None,
        zone: str = "UTC",
        every: timedelta | None = None,
        start: datetime | None = None,
        jitter: timedelta = timedelta(0),
        overlap: Overlap = "skip",
        missed: Missed = "once",
    ) -> None: ...
    @overload
    def __init__(
        self,
        name: str,
        /,
        *,
        to: Keyed[[T]],
        key: str,
        payload: T,
        cron: str | None = None,
        zone: str = "UTC",
        every: timedelta | None = None,
        start: datetime | None = None,
        jitter: timedelta = timedelta(0),
        overlap: Overlap = "skip",
        missed: Missed = "once",
    ) -> None: ...
    def __init__(
        self,
        name: str,
        /,
        *,
        to: HandlerRef[Any, Any, ..., Any],
        key: str | None = None,
        payload: Any = _NO_PAYLOAD,
        cron: str | None = None,
        zone: str = "UTC",
        every: timedelta | None = None,
        start: datetime | None = None,
        jitter: timedelta = timedelta(0),
        overlap: Overlap = "skip",
        missed: Missed = "once",
    ) -> None:
        if not name:
            raise DefinitionError('Schedule: give it a name, as in Schedule("nightly", ...)')
        if start is not None and start.utcoffset() is None:
            raise DefinitionError(
                f"Schedule {name!r}: start={start!r} has no time zone; write datetime(..., tzinfo=UTC)"
            )
        self.name = name
        takes, given = _taken(name, to, payload)
        self.declaration = ScheduleDeclaration(
            cron=cron,
            zone=zone,
            every=every,
            start=None if start is None else date_of(ms_of(start)),
            jitter=jitter,
            overlap=_one_of(name, "overlap", overlap, get_args(Overlap)),
            missed=_one_of(name, "missed", missed, get_args(Missed)),
            service=read_definition(to.definition).name,
            handler=to.name,
            key=key,
            key_of_tick=_has_key_of_tick(name, to, key),
            takes=takes,
            payload=given,
        )
        check(name, self.declaration)

    @property
    def label(self) -> str:
        """What it is called in sentences."""
        return f"the schedule {self.name!r}"

    @watched
    async def declare(self, via: Clients, /) -> bool:
        """Declare it: begin it, or replace another declaration of its name. The app that has it does so at each start.

        What came under the other declaration and has not begun is begun first, then the timer is replaced, once,
        however many declare it. One that is paused stays so.

        Args:
            via: A context inside a handler, a client outside.

        Returns:
            Whether that changed anything.

        Raises:
            ScheduleRefused: The target is none, or would refuse each run; or it is private, and no app declares it.
        """
        return await via.object_client(Schedules, self.name).declare(self.declaration)

    @watched
    async def show(self, via: Clients, /) -> ScheduleRecord:
        """Return how it stands.

        Raises:
            UnknownSchedule: It was not declared, or was removed.
        """
        return await via.object_client(Schedules, self.name).show()

    @watched
    async def pause(self, via: Clients, note: str = "", /) -> None:
        """Begin no more runs by itself until it is resumed, over restarts and new declarations; what runs goes on.

        Args:
            via: A context inside a handler, a client outside.
            note: Why; `show` says it.

        Raises:
            UnknownSchedule: It was not declared, or was removed.
        """
        await via.object_client(Schedules, self.name).pause(note)

    @watched
    async def resume(self, via: Clients, /) -> None:
        """Go on, with the next tick from now: those that came meanwhile are for `backfill`.

        Raises:
            UnknownSchedule: It was not declared, or was removed.
        """
        await via.object_client(Schedules, self.name).resume()

    @watched
    async def trigger(self, via: Clients, /) -> ScheduleRun:
        """Begin a run now, besides those of its ticks, also while it is paused.

        Returns:
            The run; where the last one goes on, what the overlap makes of it.

        Raises:
            UnknownSchedule: It was not declared, or was removed.
        """
        return await via.object_client(Schedules, self.name).trigger()

    @watched
    async def backfill(self, via: Clients, since: datetime, until: datetime, /) -> int:
        """Run for each tick of a span of the past, one after the other unless they may overlap.

        Args:
            via: A context inside a handler, a client outside.
            since: From when; with its time zone.
            until: Until when, itself included.

        Returns:
            How many ticks there were.

        Raises:
            UnknownSchedule: It was not declared, or was removed.
            BackfillTooLong: There are over a thousand.
        """
        span = ScheduleSpan(since=date_of(ms_of(since)), until=date_of(ms_of(until)))
        return await via.object_client(Schedules, self.name).backfill(span)

    @watched
    async def remove(self, via: Clients, /) -> bool:
        """Remove it; what runs goes on. An app that has it declares it again at its next start.

        Returns:
            Whether there was one.
        """
        return await via.object_client(Schedules, self.name).remove()

    @override
    def __repr__(self) -> str:
        return f"<schedule {self.name!r} of {self.declaration.target()}>"


def _taken(name: str, to: HandlerRef[Any, Any, ..., Any], payload: Any) -> tuple[Takes, JsonValue]:
    """Return what each run is given."""
    if not isinstance(cast("object", to), HandlerRef):
        raise DefinitionError(f"Schedule {name!r}: name the handler on its class, as in to=Report.nightly, not {to!r}")
    spec = read_definition(to.definition).handlers[to.attribute]
    if payload is not _NO_PAYLOAD:
        body = spec.encode_arguments((payload,), {})
        if spec.argument is not None and spec.argument.codec.type is bytes:
            return "bytes", base64.b64encode(body).decode()
        return "payload", json.loads(body or b"null")
    if spec.argument is None:
        return "nothing", None
    if Tick in (spec.argument.codec.type, *get_args(spec.argument.codec.type)):
        return "tick", None
    spec.encode_arguments((), {})
    return "nothing", None


def _has_key_of_tick(name: str, to: HandlerRef[Any, Any, ..., Any], key: str | None) -> bool:
    is_run = read_definition(to.definition).handlers[to.attribute].is_run
    if is_run and key is not None:
        raise DefinitionError(
            f"Schedule {name!r}: a workflow runs once per key; leave key= out, and each run has its own"
        )
    has_keys = issubclass(to.definition, VirtualObject | Workflow) and not is_run
    if has_keys is (key is None):
        fix = f"say which one: key=..., as {to!r} has a key" if has_keys else f"leave key= out: {to!r} has none"
        raise DefinitionError(f"Schedule {name!r}: {fix}")
    return is_run


def _one_of(name: str, option: str, value: T, known: tuple[Any, ...]) -> T:
    if value not in known:
        raise DefinitionError(f"Schedule {name!r}: {option}={value!r} is none of {', '.join(map(repr, known))}")
    return value
