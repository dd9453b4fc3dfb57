"""The events of a chart as handlers: declared with a payload, or made for those nobody declared."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final, TypeVar, cast, overload

from pydantic import BaseModel, JsonValue

from restate_patterns.api.context import ObjectContext
from restate_patterns.api.handlers import Handler
from restate_patterns.errors import DefinitionError, InvalidInput, UsageError

T = TypeVar("T")

_DELIVER: Final = "__restate_deliver__"
_TAKEN: Final = frozenset({"ctx", "payload", "event_data", "machine", "event", "model", "transition", "state"}) | {
    "source",
    "target",
}
"""Names under which callbacks get something else."""


class ChartEventHandler(Handler[ObjectContext, ..., list[str]]):
    """A handler that delivers an event. Made by `chart_event`."""

    def __init__(self, payload: Any, event: str | None, default: Any = ...) -> None:
        self.event = event
        self.payload = payload
        super().__init__(_function(self, payload, default), name=event if event and can_name_handler(event) else None)

    def named(self, owner: type, attribute: str) -> None:
        """Take the event's id from the attribute where it is not given."""
        self.attribute = attribute
        self.event = self.event or attribute
        self.function.__qualname__ = self.__qualname__ = f"{owner.__qualname__}.{attribute}"
        self.function.__name__ = self.__name__ = attribute


def can_name_handler(event: str) -> bool:
    """Return whether a handler can have the name of an event; `order.paid` can't."""
    return event.isascii() and event.isidentifier() and not event.startswith("_")


@overload
def chart_event(*, event: str | None = None) -> Handler[ObjectContext, [], list[str]]: ...
@overload
def chart_event(payload: type[T], /, *, event: str | None = None) -> Handler[ObjectContext, [T], list[str]]: ...
def chart_event(payload: Any = None, /, *, event: str | None = None) -> Any:
    """Declare an event of the chart, so that checkers know its payload.

        class Order(Statechart, chart=OrderChart):
            pay = chart_event(Payment)
            ship = chart_event()

    Callbacks get the fields of the payload by name, and the whole of it as `payload`. The handler returns the
    ids of the active states.

    Args:
        payload: The type of what the event carries. Default: nothing.
        event: The id of the event. Default: the name of the attribute. An id that can't be the name of a
            handler, such as `order.paid`, leaves the handler the name of the attribute.
    """
    return ChartEventHandler(payload, event)


def undeclared(event: str) -> ChartEventHandler:
    """Make the handler of an event that the class does not declare; its payload is a JSON object, or nothing."""
    return ChartEventHandler(dict[str, JsonValue] | None, event, default=None)


def check_payload(label: str, payload: Any) -> None:
    """Refuse a payload whose fields callbacks could not tell from what the chart gives them.

    Raises:
        DefinitionError: A field has such a name.
    """
    for name in _fields_of(payload):
        if name in _TAKEN:
            raise DefinitionError(
                f"{label}: callbacks get something else as {name!r}; give the payload's field another name"
            )


def carried(payload: Any) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """Return what callbacks get of a payload, by place and by name.

    Raises:
        InvalidInput: A JSON object has a name under which callbacks get something else.
    """
    if payload is None:
        return (), {}
    if isinstance(payload, Mapping):
        data = cast("Mapping[str, Any]", payload)
        for name in data:
            if name in _TAKEN:
                raise InvalidInput(message=f"input validation error: callbacks get something else as {name!r}")
        return (), data
    names = _fields_of(type(payload))
    return ((), {name: getattr(payload, name) for name in names}) if names else ((payload,), {})


def _fields_of(payload: Any) -> list[str]:
    if isinstance(payload, type) and issubclass(payload, BaseModel):
        return list(payload.model_fields)
    if isinstance(payload, type) and dataclasses.is_dataclass(payload):
        return [each.name for each in dataclasses.fields(payload)]
    return []


def _function(made: ChartEventHandler, payload: Any, default: Any) -> Any:
    async def without(self: Any, ctx: ObjectContext) -> list[str]:
        return await _deliver(self, ctx, made, None)

    async def required(self: Any, ctx: ObjectContext, payload: Any) -> list[str]:
        return await _deliver(self, ctx, made, payload)

    async def optional(self: Any, ctx: ObjectContext, payload: Any = None) -> list[str]:
        return await _deliver(self, ctx, made, payload)

    if payload is None:
        return without
    function: Any = required if default is ... else optional
    function.__annotations__ = {"ctx": ObjectContext, "payload": payload, "return": list[str]}
    return function


async def _deliver(machine: Any, ctx: ObjectContext, made: ChartEventHandler, payload: Any) -> list[str]:
    deliver = getattr(machine, _DELIVER, None)
    if deliver is None:
        cls = type(machine).__qualname__
        raise UsageError(f"{cls}.{made.attribute} is an event of a chart, but {cls} is no Statechart")
    return cast("list[str]", await deliver(ctx, made.event, payload))
