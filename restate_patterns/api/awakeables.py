"""Awakeables: waits that another program ends, by an id that travels as a string."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Never, Self, TypeVar, get_args

from pydantic_core import core_schema
from typing_extensions import override

from restate_patterns.api.answers import Answer
from restate_patterns.api.typed_clients import link_of, watched
from restate_patterns.errors import TerminalError, UsageError, WrongValue
from restate_patterns.seam import ValueOrFailure
from restate_patterns.text.wording import shown
from restate_patterns.values.failures import travelling
from restate_patterns.values.serde import Codec, codec

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

    from restate_patterns.api.typed_clients import Clients

T = TypeVar("T")  # invariant: a covariant one would let an awakeable be resolved with a wider type


class AwakeableId(str, Generic[T]):  # noqa: SLOT000 - it remembers its codec
    """The id of an awakeable: a string on the wire that remembers what resolves it.

    Use `AwakeableId[bool]` as the type of an argument, of a field of a model, or of a state. Given for a `str` it comes
    back as one. `AwakeableId[bool](text)` makes one of an id that came as text.

    Raises:
        UsageError: It is made of something else than a text alone.
    """

    _codec: Codec[Any] | None = None
    _travels_as: ClassVar[type] = str
    """See `likeness.TRAVELS_AS`."""

    def __new__(cls, id: str, /, *surplus: Never) -> Self:
        """Make one of an id that came as text."""
        if surplus or not isinstance(id, str):  # pyright: ignore[reportUnnecessaryIsInstance] - what types can't stop
            given = ", ".join(map(shown, (id, *surplus)))
            raise UsageError(
                f"AwakeableId({given}): give the id alone, a text; the type of the answer stands in brackets, as in "
                "`AwakeableId[bool](text)`"
            )
        return super().__new__(cls, id)

    @watched
    async def resolve(self, via: Clients, value: T, /) -> None:
        """Answer the awakeable; does nothing when it was answered before.

        Args:
            via: A context inside a handler, a client outside.
            value: What the one who awaits it gets.

        Raises:
            WrongValue: The value is not of the type of the awakeable, or would come back as another.
        """
        caller = link_of(via).caller
        data = (self._codec or self._declared()).encode(value, "the answer of {}", self.label)
        await caller.complete_awakeable(str(self), ValueOrFailure(data, None))

    @watched
    async def reject(self, via: Clients, error: TerminalError, /) -> None:
        """Answer the awakeable with an error, which the one who awaits it gets raised.

        Args:
            via: A context inside a handler, a client outside.
            error: The error; its class and fields travel.

        Raises:
            WrongValue: It is no such error, or a field of it is not of its type, or would come back as another value.
        """
        caller = link_of(via).caller
        if not isinstance(error, TerminalError):  # pyright: ignore[reportUnnecessaryIsInstance] - what types can't stop
            raise WrongValue(f"{self.label}: reject it with a TerminalError, not {shown(error)}")
        await caller.complete_awakeable(str(self), ValueOrFailure(None, travelling(error)))

    @property
    def label(self) -> str:
        """What it is called in sentences."""
        return f"the awakeable {str(self)!r}"

    def _declared(self) -> Codec[Any]:
        """Give what `AwakeableId[T](text)` was made with."""
        arguments = get_args(getattr(self, "__orig_class__", None))
        return codec(arguments[0] if arguments and not isinstance(arguments[0], TypeVar) else Any)

    @classmethod
    def typed(cls, id_: str, value_codec: Codec[Any]) -> Self:
        """Make an id that knows what resolves it."""
        made = cls(id_)
        made._codec = value_codec
        return made

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        arguments = get_args(source)
        value_codec = codec(arguments[0] if arguments else Any)
        return core_schema.no_info_after_validator_function(
            lambda id_: cls.typed(id_, value_codec),
            core_schema.str_schema(),
            serialization=core_schema.plain_serializer_function_ser_schema(str, return_schema=core_schema.str_schema()),
        )

    @override
    def __repr__(self) -> str:
        return f"AwakeableId({str(self)!r})"


class Awakeable(Answer[T]):
    """Something to await that another program answers. Made by `ctx.awakeable`."""

    __slots__ = ("_id",)

    def __init__(self, id_: AwakeableId[T], answer: Awaitable[bytes], value_codec: Codec[T]) -> None:
        super().__init__(answer, value_codec, f"awakeable {id_}")
        self._id = id_

    @property
    def id(self) -> AwakeableId[T]:
        """The id to hand out; a string."""
        return self._id
