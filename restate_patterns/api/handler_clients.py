"""A handler as something to call: through a client, or on `self`, where it can only run inline."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NoReturn, ParamSpec, TypeVar, cast

from typing_extensions import override

from restate_patterns.api.invocation_handles import InvocationHandle
from restate_patterns.api.links import Link, Linked, tracked
from restate_patterns.api.scopes import Scoped
from restate_patterns.errors import UsageError
from restate_patterns.seam import Caller, IdempotencyRef, InvocationRef, Request, Target, WorkflowRef
from restate_patterns.values.copies import all_plain
from restate_patterns.values.storage_checks import checked_headers, checked_text

if TYPE_CHECKING:
    from restate_patterns.api.specs import HandlerFace

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=Scoped)


@dataclass(frozen=True, slots=True)
class CallOptions:
    """Options of calls through one client."""

    idempotency_key: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    timeout_s: float | None = None


_NO_OPTIONS = CallOptions()


class _Encoded(NamedTuple):
    """An argument that was encoded when it was given: what becomes of it until the call is awaited is not seen."""

    body: bytes


class HandlerClient(Linked, Generic[C, P, R]):
    """A handler seen through a client, or on `self`. Made by attribute access, never by hand."""

    __slots__ = ("_key", "_options", "_spec")

    def __init__(
        self, link: Link | None, spec: HandlerFace, key: str | None, options: CallOptions = _NO_OPTIONS
    ) -> None:
        super().__init__(link, spec.label)
        self._spec = spec
        self._key = key
        self._options = options

    @tracked
    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the handler and wait for its result.

        Inside a handler the call is durable: made once, whatever crashes, and its result is recorded. The argument
        goes as it is now, whenever the call is awaited.

        Returns:
            What the handler returns.

        Raises:
            TerminalError: The one the handler ended with, as the class it raised where that is imported.
            TimeoutError: The timeout of `with_options` passed; the callee goes on.
        """
        data = await self._caller.call(self._request(args, kwargs), self._options.timeout_s)
        result: R = self._spec.output.read(data, "the result of {}", self._label)
        return result

    @tracked
    async def send(self, *args: P.args, **kwargs: P.kwargs) -> InvocationHandle[R]:
        """Have the handler called, without waiting for it. The argument goes as it is now.

        Returns:
            A handle to wait for the result, look at it, or cancel.
        """
        return self._handle(await self._caller.send(self._request(args, kwargs), 0))

    @tracked
    async def send_after(self, delay: timedelta, /, *args: P.args, **kwargs: P.kwargs) -> InvocationHandle[R]:
        """Have the handler called in `delay` from now; the delay is durable.

        Inside a handler "now" is `ctx.now()`: an attempt that comes to it later finds a part of the delay over.

        Returns:
            A handle; cancelling it before the delay is over means it never runs.

        Raises:
            ValueError: The delay is below zero.
        """
        delay_ms = round(delay / timedelta(milliseconds=1))
        if delay_ms < 0:
            raise ValueError(f"{self._label}.send_after: the delay {delay} is below zero")
        return self._handle(await self._caller.send(self._request(args, kwargs), delay_ms))

    async def inline(self, ctx: C, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the handler's body here, in this invocation, on `self`: no call, no journal entry of its own.

        Raises:
            UsageError: This is a client, which has no body to run.
        """
        raise UsageError(
            f"{self._label}.inline(ctx, ...) runs a body on self; through a client write `await {self._label}(...)`"
        )

    def with_options(
        self,
        *,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: timedelta | None = None,
    ) -> HandlerClient[C, P, R]:
        """Return the same handler with options for its calls; what is left out stays as it was.

        Args:
            idempotency_key: Calls with the same key to the same handler happen once.
            headers: Sent along; the handler reads them in `ctx.headers`, their names in lower case.
            timeout: The longest wait of a call. The callee goes on after it.

        Raises:
            WrongValue: A header or the idempotency key is no text that can be stored.
        """
        if idempotency_key is not None:
            idempotency_key = checked_text(idempotency_key, f"{self._label}: the idempotency key")
        given = checked_headers(headers or {}, self._label)
        options = replace(
            self._options,
            idempotency_key=idempotency_key if idempotency_key is not None else self._options.idempotency_key,
            headers={**self._options.headers, **{name.lower(): value for name, value in given.items()}},
            timeout_s=timeout.total_seconds() if timeout is not None else self._options.timeout_s,
        )
        return HandlerClient(self._link, self._spec, self._key, options)

    def handle(self) -> InvocationHandle[R]:
        """Return the handle of the invocation made before with this idempotency key, or of this workflow's run.

        Raises:
            UsageError: There is nothing to find it by.
        """
        if self._options.idempotency_key is not None:
            return self._handle(IdempotencyRef(self._target(), self._options.idempotency_key))
        if self._spec.is_run and self._key is not None:
            return self._handle(WorkflowRef(self._spec.service, self._key))
        raise UsageError(
            f"{self._label}.handle() finds an invocation by its idempotency key: write "
            f"`.with_options(idempotency_key=...).handle()`. By id it is `client.invocation({self._label}, id)`"
        )

    @override
    def _given(
        self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if all_plain(args) and (not kwargs or all_plain(kwargs.values())):
            return args, kwargs
        before = args[:1] if method == "send_after" else ()
        return (*before, _Encoded(self._spec.encode_arguments(args[len(before) :], kwargs))), {}

    def _request(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> Request:
        first = args[0] if args else None
        body = first.body if isinstance(first, _Encoded) else self._spec.encode_arguments(args, kwargs)
        headers = self._options.headers
        if body and (content_type := self._spec.content_type) is not None:
            headers = {"content-type": content_type, **headers}
        return Request(self._target(), body, headers, self._options.idempotency_key)

    def _target(self) -> Target:
        return Target(self._spec.service, self._spec.name, self._key)

    def _handle(self, ref: InvocationRef) -> InvocationHandle[R]:
        assert self._link is not None
        return InvocationHandle(self._link, ref, self._spec.output, self._label, self._spec.declared_by)

    @override
    def __repr__(self) -> str:
        key = "" if self._key is None else f" of key {self._key!r}"
        return f"<{self._label}{key}>"


def spec_of(handler: HandlerClient[Any, ..., Any]) -> HandlerFace:
    """Return what is known of a client's handler."""
    return handler._spec  # pyright: ignore[reportPrivateUsage] - the one door to it


def asks_through(handler: HandlerClient[Any, ..., Any], caller: Caller) -> bool:
    """Return whether a client's handler asks through a caller."""
    link = handler._link  # pyright: ignore[reportPrivateUsage] - beside the class
    return link is not None and link.caller is caller


def request_of(handler: HandlerClient[Any, ..., Any], argument: object) -> tuple[Request, float | None]:
    """Return what a call with one argument asks for, and its timeout in seconds.

    Raises:
        WrongValue: The argument is not what the handler takes.
    """
    return handler._request((argument,), {}), handler._options.timeout_s  # pyright: ignore[reportPrivateUsage] - likewise


def without_timeout(
    call: Callable[..., Coroutine[Any, Any, R]],
) -> tuple[Callable[..., Coroutine[Any, Any, R]], float | None]:
    """Return a call without the timeout of `with_options`, and that timeout in seconds; anything else as it is."""
    given: object = call
    if not isinstance(given, HandlerClient) or isinstance(given, OwnHandler):
        return call, None
    client = cast("HandlerClient[Any, ..., R]", given)
    options = client._options  # pyright: ignore[reportPrivateUsage] - beside the class
    without = replace(options, timeout_s=None)
    return HandlerClient[Any, ..., R](client._link, client._spec, client._key, without), options.timeout_s  # pyright: ignore[reportPrivateUsage] - likewise


class OwnHandler(HandlerClient[C, P, R]):
    """A handler on `self`: it has a body to run here, and nobody to call."""

    __slots__ = ("_function", "_instance")

    def __init__(self, label: str, function: Callable[..., Coroutine[Any, Any, R]], instance: object) -> None:
        Linked.__init__(self, None, label)
        self._function = function
        self._instance = instance

    @override
    async def inline(self, ctx: C, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._function(self._instance, ctx, *args, **kwargs)

    @override
    def with_options(
        self,
        *,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: timedelta | None = None,
    ) -> HandlerClient[C, P, R]:
        raise self._refused("with_options")

    @override
    def handle(self) -> InvocationHandle[R]:
        raise self._refused("handle")

    @override
    def _given(
        self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return args, kwargs

    @override
    def _track(self, coroutine: Coroutine[Any, Any, Any], method: str) -> NoReturn:
        coroutine.close()
        raise self._refused(method)

    def _refused(self, method: str) -> UsageError:
        name = self._label.rpartition(".")[2]
        call = f"self.{name}(...)" if method == "__call__" else f"self.{name}.{method}(...)"
        return UsageError(
            f"`{call}`: self is no client. To run the body here write `await self.{name}.inline(ctx, ...)`; to call "
            f"it as an invocation of its own, take a client: `ctx.object_client({self._label.partition('.')[0]}, "
            f"key).{name}(...)` (service_client, workflow_client)"
        )

    @override
    def __repr__(self) -> str:
        return f"<{self._label} on self>"
