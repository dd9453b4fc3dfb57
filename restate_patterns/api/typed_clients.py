"""Typed clients: objects that look like a definition and call its handlers through a `Caller`.

A client is typed as the class it is for; at run time it is a small proxy that knows the handlers and
refuses everything else with a sentence.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, Never, NoReturn, Protocol, TypeVar, cast, overload

from typing_extensions import TypeForm, override

from restate_patterns.api.definition_reader import is_definition, read_definition
from restate_patterns.api.handler_clients import CallOptions, HandlerClient
from restate_patterns.api.handlers import HandlerRef
from restate_patterns.api.invocation_handles import InvocationHandle
from restate_patterns.api.links import Link
from restate_patterns.api.members import Declared
from restate_patterns.api.named_handlers import named_handler
from restate_patterns.api.signals import Signal
from restate_patterns.errors import UsageError
from restate_patterns.seam import ServiceKind
from restate_patterns.values.copies import kept
from restate_patterns.values.serde import typed_codec
from restate_patterns.values.storage_checks import checked_text, is_sound_text

if TYPE_CHECKING:
    from restate_patterns.api.definitions import Definition, Service, VirtualObject, Workflow
    from restate_patterns.api.specs import ServiceSpec

AnyService = TypeVar("AnyService", bound="Service")
AnyVirtualObject = TypeVar("AnyVirtualObject", bound="VirtualObject")
AnyWorkflow = TypeVar("AnyWorkflow", bound="Workflow")
T = TypeVar("T")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Coroutine[Any, Any, Any]])

_CLIENT_METHODS: Final = {
    ServiceKind.SERVICE: "service_client({})",
    ServiceKind.VIRTUAL_OBJECT: "object_client({}, key)",
    ServiceKind.WORKFLOW: "workflow_client({}, key)",
}
_NO_OPTIONS: Final = CallOptions()


class ClientProxy:
    """Stands for a service, or for one key of an object or workflow. Typed as the class it is for."""

    __slots__ = ("__key", "__link", "__spec")
    __key: str | None
    __link: Link
    __spec: ServiceSpec

    def __init__(self, link: Link, spec: ServiceSpec, key: str | None) -> None:
        set_ = object.__setattr__
        set_(self, "_ClientProxy__link", link)
        set_(self, "_ClientProxy__spec", spec)
        set_(self, "_ClientProxy__key", key)

    def __getattr__(self, name: str) -> HandlerClient[Any, ..., Any]:
        found = self.__spec.handlers.get(name)
        if found is None:
            raise self.__refused(name)
        return HandlerClient(self.__link, found, self.__key, _NO_OPTIONS)

    @override
    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise UsageError(f"`client.{name} = ...`: {self!r} stands for a service elsewhere; call one of its handlers")

    def __refused(self, name: str) -> Exception:
        definition = self.__spec.definition
        own = definition.__qualname__
        if name.startswith("__") and name.endswith("__"):
            return AttributeError(f"{self!r} has no {name}")
        member = getattr(definition, name, None)
        if isinstance(member, Signal):
            what = (
                f"is a signal of {own}, which belongs to one invocation: answer it through a handle of that, as in "
                f"`client.invocation({own}.handler, id).signal({member.label}).resolve(...)`"
            )
        elif isinstance(member, Declared):
            what = f"is a {member.kind} of {own}, which only its own handlers reach; add a handler that does it"
        else:
            what = (
                f"is no handler of {own}: a client has its handlers only, not its dependencies or methods. The "
                f"handlers are {', '.join(sorted(self.__spec.handlers)) or 'none'}"
            )
        return UsageError(f"`client.{name}`: {name!r} {what}")

    @override
    def __dir__(self) -> list[str]:
        return sorted(self.__spec.handlers)

    @override
    def __repr__(self) -> str:
        key = "" if self.__key is None else f" of key {self.__key!r}"
        return f"<client of {self.__spec.definition.__qualname__}{key}>"


class Clients:
    """What a context and the `Client` outside share: typed clients of services, and handles."""

    __slots__ = ("_link",)

    def __init__(self, link: Link) -> None:
        self._link = link

    def service_client(self, definition: type[AnyService]) -> AnyService:
        """Return a client of a service: `await client.handler(argument)` calls it."""
        client: AnyService = self._client(definition, ServiceKind.SERVICE, None)
        return client

    def object_client(self, definition: type[AnyVirtualObject], key: str) -> AnyVirtualObject:
        """Return a client of one virtual object.

        Args:
            definition: The class.
            key: Which of its objects; any text.
        """
        client: AnyVirtualObject = self._client(definition, ServiceKind.VIRTUAL_OBJECT, key)
        return client

    def workflow_client(self, definition: type[AnyWorkflow], key: str) -> AnyWorkflow:
        """Return a client of one workflow.

        Args:
            definition: The class.
            key: Which of its workflows; its `run` happens once per key.
        """
        client: AnyWorkflow = self._client(definition, ServiceKind.WORKFLOW, key)
        return client

    @overload
    def handler_client(
        self, service: str, handler: str, *, key: str | None = None, takes: None, returns: TypeForm[R]
    ) -> HandlerClient[Never, [], R]: ...
    @overload
    def handler_client(
        self, service: str, handler: str, *, key: str | None = None, takes: None
    ) -> HandlerClient[Never, [], Any]: ...
    @overload
    def handler_client(
        self, service: str, handler: str, *, key: str | None = None, takes: TypeForm[T], returns: TypeForm[R]
    ) -> HandlerClient[Never, [T], R]: ...
    @overload
    def handler_client(
        self, service: str, handler: str, *, key: str | None = None, takes: TypeForm[T]
    ) -> HandlerClient[Never, [T], Any]: ...
    @overload
    def handler_client(
        self, service: str, handler: str, *, key: str | None = None, returns: TypeForm[R]
    ) -> HandlerClient[Never, [Any], R]: ...
    @overload
    def handler_client(
        self, service: str, handler: str, *, key: str | None = None
    ) -> HandlerClient[Never, [Any], Any]: ...
    def handler_client(
        self, service: str, handler: str, *, key: str | None = None, takes: Any = Any, returns: Any = Any
    ) -> HandlerClient[Never, ..., Any]:
        """Return a client of one handler by its wire names, where its class is not at hand.

        A gateway, a tool, or the caller of a service in another language needs it; Restate's SDKs call that a generic
        call. It is called, sent to and given options as any other handler of a client.

        Args:
            service: The wire name of the service, object or workflow.
            handler: The wire name of the handler.
            key: Which object or workflow; left out for a service.
            takes: The type of its argument: `bytes` go as they are, None says that there is none. Default: any JSON.
            returns: The type of its result, likewise.

        Raises:
            WrongValue: A name is none that a service or handler can have, or the key is no text.
            UsageError: Values of a type can't be sent.
        """
        face = named_handler(service, handler, takes, returns)
        if key is not None:
            key = checked_text(key, f"handler_client({service!r}, {handler!r}, key=...): the key")
        return HandlerClient(self._link, face, key)

    def invocation(self, handler: HandlerRef[Any, Any, ..., R], id: str) -> InvocationHandle[R]:
        """Return the handle of an invocation that was made elsewhere.

        Args:
            handler: Which handler it is of (`Ticket.reserve`); gives the result its type.
            id: The invocation id.
        """
        if not isinstance(cast("object", handler), HandlerRef):
            raise UsageError(
                f"invocation(handler, id): name the handler on its class (`Ticket.reserve`), not {handler!r}"
            )
        spec = read_definition(handler.definition).handlers[handler.attribute]
        id_ = checked_text(id, "invocation(handler, id): the id")
        return InvocationHandle(self._link, id_, spec.output, spec.label, spec.definition)

    @overload
    def invocation_by_id(self, id: str, *, returns: TypeForm[R]) -> InvocationHandle[R]: ...
    @overload
    def invocation_by_id(self, id: str) -> InvocationHandle[Any]: ...
    def invocation_by_id(self, id: str, *, returns: Any = Any) -> InvocationHandle[Any]:
        """Return the handle of an invocation of any handler, known by its id alone.

        Args:
            id: The invocation id.
            returns: The type of its result: `bytes` come as they are, None says that there is none. Default: any JSON.

        Raises:
            WrongValue: The id is no text that can be stored.
            UsageError: Values of the type can't be read back.
        """
        id_ = checked_text(id, "invocation_by_id(id): the id")
        result = typed_codec(returns, "invocation_by_id(id, returns=...)")
        return InvocationHandle(self._link, id_, result, f"invocation {id_}")

    def _client(self, definition: type[Definition], kind: ServiceKind, key: str | None) -> Any:
        """Give what has the face of the definition."""
        if not is_definition(definition):
            raise UsageError(f"{_method(kind)}: give it the class of the definition, not {definition!r}")
        spec = read_definition(definition)
        if spec.kind is not kind:
            right = _CLIENT_METHODS[spec.kind].format(definition.__qualname__)
            raise UsageError(f"{_method(kind)}: {definition.__qualname__} is a {spec.kind.value}; write `{right}`")
        if kind is not ServiceKind.SERVICE and not is_sound_text(key):
            key = checked_text(cast("str", key), f"{_method(kind)}({definition.__qualname__}, key): the key")
        return ClientProxy(self._link, spec, key)


def _method(kind: ServiceKind) -> str:
    return _CLIENT_METHODS[kind].partition("(")[0]


class _Labelled(Protocol):
    @property
    def label(self) -> str: ...


def watched(method: F) -> F:
    """Make an `async def` method that takes a context or client first one whose coroutines are watched.

    Its type stays. What it is called on says its own `label`. Its other arguments are kept as they are given.
    """
    name = method.__name__

    @functools.wraps(method)
    def call(self: _Labelled, /, *args: Any) -> Coroutine[Any, Any, Any]:
        coroutine = method(self, *args[:1], *map(kept, args[1:])) if len(args) > 1 else method(self, *args)
        via = args[0] if args else None
        track = via._link.track if isinstance(via, Clients) else None  # pyright: ignore[reportPrivateUsage] - as above
        return coroutine if track is None else track(coroutine, f"{self.label}.{name}")

    return cast("F", call)


def link_of(via: Clients) -> Link:
    """Return what a context or client asks through.

    Raises:
        UsageError: It is neither.
    """
    if not isinstance(cast("object", via), Clients):
        raise UsageError(f"give a context (inside a handler) or a client (outside), not {via!r}")
    return via._link  # pyright: ignore[reportPrivateUsage] - the one door to it
