"""State: a typed value of one key of an object or workflow, declared on its class."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, overload

from typing_extensions import override

from restate_patterns.api.context import ObjectContext, ObjectSharedContext
from restate_patterns.api.members import Declared, T, check_context
from restate_patterns.api.scopes import scope_of
from restate_patterns.api.typed_clients import watched
from restate_patterns.errors import DefinitionError, StateNotSet, WrongValue
from restate_patterns.seam import ServiceKind
from restate_patterns.values.copies import kept

if TYPE_CHECKING:
    from restate_patterns.values.serde import Codec

D = TypeVar("D")

_MISSING: Final[Any] = object()


class State(Declared[T]):
    """A value that each key of a virtual object or workflow keeps.

        class Cart(VirtualObject):
            tickets = State[list[str]](default_factory=list)

    Declare it without annotation, with its type in brackets. Handlers use `await self.tickets.get(ctx)`
    and `self.tickets.set(ctx, [...])`.

    Args:
        default: What `get` gives while nothing is set; a copy each time where it can be changed.
        default_factory: Makes it anew each time; for lists, dictionaries and other mutable values.
        name: The wire name. Default: the name of the attribute.

    Raises:
        DefinitionError: The default is mutable, or both forms of it are given.
    """

    kind = "state"
    owners = frozenset({ServiceKind.VIRTUAL_OBJECT, ServiceKind.WORKFLOW})

    @overload
    def __init__(self, *, name: str | None = None) -> None: ...
    @overload
    def __init__(self, *, default: T, name: str | None = None) -> None: ...
    @overload
    def __init__(self, *, default_factory: Callable[[], T], name: str | None = None) -> None: ...
    def __init__(
        self,
        *,
        default: T = _MISSING,
        default_factory: Callable[[], T] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if default is not _MISSING and default_factory is not None:
            raise DefinitionError("State: give default= or default_factory=, not both")
        if isinstance(default, list | dict | set | bytearray):
            made = type(cast("object", default)).__name__
            raise DefinitionError(
                f"State: the default {default!r} is mutable and would be shared by all keys; write "
                f"`default_factory={made}` (or a function that makes it)"
            )
        self._default = default
        self._default_factory = default_factory
        self._factory_checked = False
        """Whether it has once made a value of the declared type."""

    @overload
    async def get(self, ctx: ObjectSharedContext, /) -> T: ...
    @overload
    async def get(self, ctx: ObjectSharedContext, default: D, /) -> T | D: ...
    @watched
    async def get(self, ctx: ObjectSharedContext, default: Any = _MISSING, /) -> Any:
        """Read the state of this key.

        Args:
            ctx: The handler's own context.
            default: What to give while nothing is set, instead of the declared default.

        Returns:
            The value, a fresh one each time; what was read is what a replay reads.

        Raises:
            StateNotSet: Nothing is set and there is no default. Terminal.
        """
        self._for(ctx, ObjectSharedContext, "get")
        data = await scope_of(ctx).attempt.get_state(self.name)
        return default if data is None and default is not _MISSING else self.read(ctx, data)

    def read(self, ctx: ObjectSharedContext, data: bytes | None, /) -> T:
        """Return the value behind what is stored, or the declared default where nothing is.

        Raises:
            StateNotSet: Nothing is stored and there is no default. Terminal.
        """
        codec = self._for(ctx, ObjectSharedContext, "read")
        if data is not None:
            return codec.read(data, "the state {!r} of {}", self.name, self._owner)
        value = self.when_unset()
        if self._default_factory is not None and not self._factory_checked:
            codec.encode(value, "{}: what default_factory makes", self.label)
            self._factory_checked = True
        return value

    @override
    def when_unset(self) -> T:
        if self._default_factory is not None:
            return self._default_factory()
        if self._default is _MISSING:
            raise StateNotSet(state=self.name)
        return kept(self._default)

    def set(self, ctx: ObjectContext, value: T, /) -> None:
        """Write the state of this key.

        Args:
            ctx: The context of an exclusive handler.
            value: The new value; later changes to it are not seen.

        Raises:
            WrongValue: The value is not of the declared type, or would come back as another.
        """
        codec = self._for(ctx, ObjectContext, "set")
        data = codec.encode(value, "{}.set(ctx, ...)", self.label)
        scope_of(ctx).attempt.set_state(self.name, data)

    def clear(self, ctx: ObjectContext, /) -> None:
        """Remove the state of this key: `get` gives the default again."""
        self._for(ctx, ObjectContext, "clear")
        scope_of(ctx).attempt.clear_state(self.name)

    @override
    def check(self, codec: Codec[T]) -> None:
        if self._default is not _MISSING:
            try:
                codec.encode(self._default)
            except WrongValue as error:
                raise DefinitionError(
                    f"{self.label}: default={self._default!r} is no value of its type. {error}. Write the type so that "
                    f"it takes the default, as in State[int | None](default=None), or leave the default out"
                ) from None

    def _for(self, ctx: ObjectSharedContext, kind: type[ObjectSharedContext], verb: str) -> Codec[T]:
        given: object = ctx
        if not isinstance(given, kind):
            check_context(ctx, kind, f"{self.label}.{verb}(ctx)")
        return self._codec(scope_of(ctx))

    @override
    def _instead_of_assigning(self) -> str:
        return f"write `self.{self._attribute}.set(ctx, ...)`"
