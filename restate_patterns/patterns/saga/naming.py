"""What the callables given to a saga are called, whom they reach, and how their results read.

A handler of a client is known by its service; anything else is code of the saga's own handler.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, NamedTuple, cast

from restate_patterns.api.handler_clients import HandlerClient, spec_of
from restate_patterns.values.copies import all_plain, kept_arguments
from restate_patterns.values.serde import Codec, codec

SAGA_HEADER: Final = "restate-patterns-saga"
"""Tells a record that is marked as pending on whose behalf it is called."""


class Named(NamedTuple):
    """A callable with what is known of it."""

    call: Callable[..., Coroutine[Any, Any, Any]]
    name: str
    participant: str | None
    codec: Codec[Any]


def named(action: Callable[..., Coroutine[Any, Any, Any]], headers: Mapping[str, str]) -> Named:
    """Say what a callable is called; calls through a client carry `headers`."""
    if isinstance(action, HandlerClient):
        handler = cast("HandlerClient[Any, ..., Any]", action).with_options(headers=headers)
        spec = spec_of(handler)
        return Named(handler, spec.label, spec.service, spec.output)
    client: object = getattr(action, "__self__", None)
    if isinstance(client, HandlerClient):  # `client.handler.send`, `.send_after`
        handler, verb = cast("HandlerClient[Any, ..., Any]", client).with_options(headers=headers), action.__name__
        spec = spec_of(handler)
        return Named(getattr(handler, verb), f"{spec.label}.{verb}", spec.service, codec(Any))
    return Named(action, getattr(action, "__qualname__", repr(action)).rpartition("<locals>.")[2], None, codec(Any))


def kept_for(
    action: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """Give the arguments of a call that is made later, as they are now.

    Raises:
        WrongValue: They are not what the handler takes.
    """
    client: object = getattr(action, "__self__", action)
    if isinstance(client, HandlerClient):
        spec = spec_of(cast("HandlerClient[Any, ..., Any]", client))
        before = args[:1] if getattr(action, "__name__", "") == "send_after" else ()
        body = spec.encode_arguments(args[len(before) :], kwargs)
        if body and spec.argument is not None and not (all_plain(args) and all_plain(kwargs.values())):
            return (*before, spec.argument.codec.decode(body)), {}
    return kept_arguments(args, kwargs)
