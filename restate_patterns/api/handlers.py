"""`@handler`, and the handler as its class names it.

Owns the declaration and where it is seen from; `handler_clients` owns what can be done with it there. Knows no
kind of service.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Concatenate, Generic, NoReturn, ParamSpec, Protocol, TypeVar, cast, overload

from typing_extensions import override

from restate_patterns.api.handler_clients import HandlerClient, OwnHandler
from restate_patterns.api.scopes import Scoped
from restate_patterns.api.signatures import check_function
from restate_patterns.api.specs import Defined
from restate_patterns.errors import TerminalError, UsageError
from restate_patterns.options import HandlerOptions
from restate_patterns.retries import RetryPolicy

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=Scoped)
Def = TypeVar("Def", bound=Defined)


class HandlerRef(Generic[Def, C, P, R]):
    """`Ticket.reserve`: names a handler, for handles, queues, webhooks and schedules."""

    __slots__ = ("attribute", "definition")

    def __init__(self, definition: type[Def], attribute: str) -> None:
        self.definition = definition
        self.attribute = attribute

    @property
    def name(self) -> str:
        """The wire name of the handler."""
        return wire_name(declarations(self.definition, self.attribute))

    if not TYPE_CHECKING:  # a checker rejects the call when there is none

        def __call__(self, *_: object, **__: object) -> NoReturn:
            """Refuse: the class is no client."""
            raise UsageError(
                f"`{self!r}(...)`: the class names the handler, it does not call it; take a client: "
                f"`ctx.object_client({self.definition.__qualname__}, key).{self.attribute}(...)` "
                "(service_client, workflow_client)"
            )

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HandlerRef):
            return NotImplemented
        ref = cast("HandlerRef[Any, Any, ..., Any]", other)
        return self.definition is ref.definition and self.attribute == ref.attribute

    @override
    def __hash__(self) -> int:
        return hash((self.definition, self.attribute))

    @override
    def __repr__(self) -> str:
        return f"{self.definition.__qualname__}.{self.attribute}"


class Handler(Generic[C, P, R]):
    """A handler as its class declares it. Made by `@handler`."""

    def __init__(
        self,
        function: Callable[..., Coroutine[Any, Any, R]],
        *,
        name: str | None = None,
        raises: Sequence[type[TerminalError]] = (),
        options: HandlerOptions | None = None,
    ) -> None:
        self.function = function
        self.wire_name = name
        self.raises = tuple(raises)
        self.options = options or HandlerOptions()
        self.attribute = function.__name__
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__module__ = function.__module__
        self.__wrapped__ = function

    def __set_name__(self, owner: type, name: str) -> None:
        self.attribute = name

    @overload
    def __get__(self, instance: None, owner: type[Def], /) -> HandlerRef[Def, C, P, R]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any], /) -> HandlerClient[C, P, R]: ...
    def __get__(self, instance: object | None, owner: type[Any], /) -> object:
        """Give the name of the handler on the class, and the handler itself on an instance."""
        if instance is None:
            return HandlerRef[Any, C, P, R](owner, self.attribute)
        return OwnHandler[C, P, R](f"{owner.__qualname__}.{self.attribute}", self.function, instance)

    def __set__(self, instance: Any, value: NoReturn, /) -> None:
        """Refuse: handlers belong to the class."""
        raise UsageError(
            f"`self.{self.attribute} = ...`: {type(instance).__qualname__}.{self.attribute} is a handler and can't be "
            "replaced on an instance; give the attribute another name"
        )


class HandlerDecorator(Protocol):
    """`@handler(...)` with options."""

    def __call__(self, fn: Callable[Concatenate[Any, C, P], Coroutine[Any, Any, R]], /) -> Handler[C, P, R]:
        """Make a handler of an `async def` method."""
        ...


@overload
def handler(fn: Callable[Concatenate[Any, C, P], Coroutine[Any, Any, R]], /) -> Handler[C, P, R]: ...
@overload
def handler(
    *,
    name: str | None = None,
    raises: Sequence[type[TerminalError]] = (),
    retry: RetryPolicy | None = None,
    retention: timedelta | None = None,
    inactivity_timeout: timedelta | None = None,
    private: bool | None = None,
    lazy_state: bool | None = None,
) -> HandlerDecorator: ...
def handler(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    raises: Sequence[type[TerminalError]] = (),
    retry: RetryPolicy | None = None,
    retention: timedelta | None = None,
    inactivity_timeout: timedelta | None = None,
    private: bool | None = None,
    lazy_state: bool | None = None,
) -> object:
    """Make a handler of an `async def` method; use it plainly or with options.

    The method takes self, a context and at most one argument (the JSON body), all annotated. The
    context says what the handler may do: `ObjectContext` writes, `ObjectSharedContext` reads.

    Args:
        fn: The method.
        name: The wire name. Default: the method's name, or what a base class said.
        raises: The terminal errors it declares; they go into schemas and generated clients.
        retry: How failing attempts are tried again. Default: the service's.
        retention: How long results stay readable. Default: the service's.
        inactivity_timeout: How long an idle invocation stays in memory. Default: the service's.
        private: True when only other handlers may call it. Default: the service's.
        lazy_state: True when a Restate server is to send state as it is read. Default: the service's.

    Raises:
        DefinitionError: The method can't be a handler; the sentence names it and the fix.
    """
    options = HandlerOptions(
        retry=retry,
        retention=retention,
        inactivity_timeout=inactivity_timeout,
        private=private,
        lazy_state=lazy_state,
    )

    def decorate(function: Callable[..., Any]) -> Handler[Any, ..., Any]:
        check_function(function, getattr(function, "__qualname__", repr(function)))
        return Handler(function, name=name, raises=raises, options=options)

    return decorate if fn is None else decorate(fn)


def declarations(definition: type, attribute: str) -> list[Handler[Any, ..., Any]]:
    """Return the handlers that a class and its bases declare under one attribute, the nearest first."""
    found = (klass.__dict__.get(attribute) for klass in definition.__mro__)
    return [member for member in found if isinstance(member, Handler)]


def wire_name(declared: Sequence[Handler[Any, ..., Any]]) -> str:
    """Return the wire name of a handler: an override keeps the one its base said."""
    said = (member.wire_name for member in declared if member.wire_name is not None)
    return next(said, declared[0].attribute)
