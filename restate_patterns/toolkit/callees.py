"""What callables that are given to a pattern are called, whom they reach, and how their results read.

A handler of a client is known by its service; anything else is code of the handler that gave it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, NamedTuple, TypeVar, cast

from restate_patterns.api.context import Context
from restate_patterns.api.handler_clients import HandlerClient, asks_through, request_of, spec_of
from restate_patterns.api.scopes import scope_of
from restate_patterns.errors import UsageError
from restate_patterns.seam import Request, Target
from restate_patterns.values.copies import all_plain, kept_arguments
from restate_patterns.values.serde import Codec, codec

__all__ = [
    "Callee",
    "RawCall",
    "call_raw",
    "callee",
    "kept_arguments",
    "kept_for",
    "raw_call",
    "result_codec",
    "stopping",
]

A = TypeVar("A")
R = TypeVar("R")


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


def stopping(ctx: Context, call: Callable[[A], Awaitable[R]]) -> Callable[[A], Awaitable[R]]:
    """Return a call whose callee is cancelled with the wait for it, which then ends when the callee has.

    Args:
        ctx: The handler's own context.
        call: A handler of a client that `ctx` made; anything else is given back as it is.
    """
    given: object = call
    if not isinstance(given, HandlerClient):
        return call
    handler = cast("HandlerClient[Any, ..., R]", given)
    if not asks_through(handler, scope_of(ctx).attempt):
        return call
    face = spec_of(handler)

    async def stopped_with_its_wait(argument: A) -> R:
        request, timeout_s = request_of(handler, argument)
        data = await scope_of(ctx).attempt.call(request, timeout_s, stops=True)
        result: R = face.output.read(data, "the result of {}", face.label)
        return result

    return stopped_with_its_wait


class RawCall(NamedTuple):
    """A call of a handler by name, on bytes: for patterns that hand calls on to other invocations."""

    service: str
    handler: str
    key: str | None
    body: bytes
    headers: Mapping[str, str]
    timeout_s: float | None


def raw_call(call: Callable[[A], object], argument: A) -> RawCall:
    """Return the call that a handler of a client would make, to be made by another invocation.

    Raises:
        UsageError: It is no handler of a client: its code is in this handler, and can't be handed on.
        WrongValue: The argument is not what the handler takes.
    """
    request, timeout_s = request_of(_client_handler(call), argument)
    target = request.target
    return RawCall(target.service, target.handler, target.key, request.body, request.headers, timeout_s)


def result_codec(call: Callable[[A], object]) -> Codec[Any]:
    """Return how the output of a handler of a client is read.

    Raises:
        UsageError: It is no handler of a client.
    """
    return spec_of(_client_handler(call)).output


def _client_handler(call: object) -> HandlerClient[Any, ..., Any]:
    if isinstance(call, HandlerClient):
        return cast("HandlerClient[Any, ..., Any]", call)
    raise UsageError(
        f"{call!r} is code of this handler, which no other invocation can run: write a handler that does it, and "
        "give that of a client, as in ctx.service_client(Resizer).resize"
    )


async def call_raw(ctx: Context, call: RawCall) -> bytes:
    """Make a call on bytes, and return its output. Cancelling the wait cancels the callee, and waits for its end.

    Raises:
        TerminalError: The one that the handler ended with.
        TimeoutError: The time of the call is over, and the callee was cancelled.
    """
    request = Request(Target(call.service, call.handler, call.key), call.body, call.headers, None)
    return await scope_of(ctx).attempt.call(request, call.timeout_s, stops=True)
