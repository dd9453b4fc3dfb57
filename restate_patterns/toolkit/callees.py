"""What callables that are given to a pattern are called, whom they reach, and how their results read.

A handler of a client is known by its service; anything else is code of the handler that gave it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NamedTuple, cast

from restate_patterns.api.handler_clients import HandlerClient, spec_of
from restate_patterns.values.copies import all_plain, kept_arguments
from restate_patterns.values.serde import Codec, codec

__all__ = ["Callee", "callee", "kept_arguments", "kept_for"]


class Callee(NamedTuple):
    """Something to call later, and more than once, with what is known of it."""

    call: Callable[..., Coroutine[Any, Any, Any]]
    name: str
    participant: str | None
    codec: Codec[Any]


def callee(action: Callable[..., Coroutine[Any, Any, Any]], headers: Mapping[str, str]) -> Callee:
    """Return what is known of a callable; its calls through a client carry `headers`, which say on whose behalf.

    Args:
        action: A handler of a client, its `send`, or any coroutine function.
        headers: For calls through a client.
    """
    if isinstance(action, HandlerClient):
        handler = cast("HandlerClient[Any, ..., Any]", action).with_options(headers=headers)
        spec = spec_of(handler)
        return Callee(handler, spec.label, spec.service, spec.output)
    client: object = getattr(action, "__self__", None)
    if isinstance(client, HandlerClient):  # `client.handler.send`, `.send_after`
        handler, verb = cast("HandlerClient[Any, ..., Any]", client).with_options(headers=headers), action.__name__
        spec = spec_of(handler)
        return Callee(getattr(handler, verb), f"{spec.label}.{verb}", spec.service, codec(Any))
    return Callee(action, getattr(action, "__qualname__", repr(action)).rpartition("<locals>.")[2], None, codec(Any))


def kept_for(
    action: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """Return the arguments of a call that is made later, as they are now.

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
