"""Values to bytes and back: one cached pydantic adapter per type, and fingerprints of arguments.

Owns the wire form of a value (JSON, or the bytes themselves for `bytes`; nothing for None) and the
sentences about bodies that do not fit. Knows no handler, no state and no journal.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar, cast

from pydantic import ConfigDict, PydanticUndefinedAnnotation, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from restate_patterns.canonical import writer
from restate_patterns.errors import DefinitionError, InvalidInput, UndefinedName, UnreadableValue, WrongValue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

T = TypeVar("T")

JSON: Final = "application/json"
OCTETS: Final = "application/octet-stream"

_LOSSLESS = ConfigDict(ser_json_inf_nan="constants", ser_json_bytes="base64", val_json_bytes="base64")
_INVALID: Final = "input validation error: "
_SHOWN_ERRORS_COUNT = 5
_SHOWN_INPUT_CHARS = 60


class Codec(Generic[T]):
    """Turns values of one type into bytes and back.

    `bytes` travel as they are, None as no bytes at all, everything else as JSON in pydantic's form. Equal values give
    equal bytes in every process, but for the order of a dictionary's keys, which is kept.

    Args:
        type_: Any type that pydantic's `TypeAdapter` takes.

    Raises:
        DefinitionError: pydantic does not know how to (de)serialise the type.
    """

    __slots__ = ("_adapter", "_exact", "_is_empty", "_is_raw", "_to_json", "_validate_json", "type")

    def __init__(self, type_: Any) -> None:
        self.type = type_
        self._is_raw = type_ is bytes
        self._is_empty = type_ is None or type_ is type(None)
        self._exact: Any = type_ if type_ in (str, int, bool) else None
        self._adapter: TypeAdapter[T] = _adapter_of(type_)
        self._to_json = writer(self._adapter)
        self._validate_json = self._adapter.validator.validate_json

    @property
    def content_type(self) -> str:
        """The content type of the encoded value."""
        return OCTETS if self._is_raw else JSON

    @property
    def is_empty(self) -> bool:
        """Whether the type is None alone, which has no body."""
        return self._is_empty

    def encode(self, value: T) -> bytes:
        """Give the wire form of `value`.

        Raises:
            WrongValue: The value is not of the type.
        """
        if type(value) is self._exact:
            return self._to_json(value)  # what follows would be the same, at twenty times the cost
        if self._is_empty and value is None:
            return b""
        if self._is_raw and isinstance(value, bytes):
            return value
        try:
            return self._to_json(value, by_alias=True, warnings="error")
        except PydanticSerializationError:
            return self._encode_converted(value)

    def _encode_converted(self, value: T) -> bytes:
        """Encode what is not quite of the type but converts (a tuple for a list), as `decode` would."""
        try:
            return self._to_json(self._adapter.validate_python(value), by_alias=True, warnings="error")
        except ValidationError as error:
            why = _sentences(error.errors(include_url=False, include_context=False))
        except PydanticSerializationError as error:
            why = str(error).partition("\n")[2].strip() or str(error)
        raise WrongValue(f"{_shown(value)} is not of the type {type_name(self.type)}: {why}") from None

    def decode(self, data: bytes) -> T:
        """Give the value behind `data`.

        Raises:
            InvalidInput: `data` is not of the type; the message says where and why. Terminal.
        """
        if self._is_raw:
            return cast("T", data)
        try:
            if data:
                return cast("T", self._validate_json(data))
            return self._decode_nothing()
        except ValidationError as error:
            why = _sentences(error.errors(include_url=False, include_context=False))
        raise InvalidInput(message=f"{_INVALID}{why}")

    def _decode_nothing(self) -> T:
        if self._is_empty:
            return cast("T", None)
        try:
            return self._adapter.validate_python(None)
        except ValidationError:
            raise InvalidInput(message=f"{_INVALID}the body is empty, expected {type_name(self.type)}") from None

    def read(self, data: bytes, what: str, *names: object) -> T:
        """Give the value behind `data`, which this or another program stored or sent before.

        Args:
            data: The wire form.
            what: What is read, in words, for the error; `names` fill its `{}` there.
            names: See `what`.

        Raises:
            UnreadableValue: It is not of the type. Pauses the invocation.
        """
        try:
            return self.decode(data)
        except InvalidInput as error:
            raise UnreadableValue(
                what.format(*names) if names else what, error.message.removeprefix(_INVALID)
            ) from None

    def json_schema(self, mode: Literal["validation", "serialization"]) -> Mapping[str, object] | None:
        """Give the JSON schema, or None where there is none (raw bytes, no body, an opaque type)."""
        if self._is_raw or self._is_empty:
            return None
        try:
            return self._adapter.json_schema(mode=mode)
        except PydanticUserError:
            return None


def codec(type_: Any) -> Codec[Any]:
    """Give the codec of a type; the same one for the same type."""
    try:
        return _cached_codec(type_)
    except TypeError:  # not hashable: `Annotated[int, [...]]`
        return Codec(type_)


@lru_cache(maxsize=4096, typed=True)
def _cached_codec(type_: Any) -> Codec[Any]:
    return Codec(type_)


def _adapter_of(type_: Any) -> TypeAdapter[Any]:
    try:
        try:
            adapter = TypeAdapter[Any](type_, config=_LOSSLESS)
        except PydanticUserError as error:
            if error.code != "type-adapter-config-unused":
                raise
            adapter = TypeAdapter[Any](type_)  # models and dataclasses have their own config
        adapter.rebuild()
    except (PydanticUndefinedAnnotation, NameError) as error:
        raise UndefinedName(
            f"{type_name(type_)} is not fully defined: {error.name!r} can't be resolved; define it at module level, "
            "before the App is made"
        ) from None
    except PydanticUserError as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise DefinitionError(
            f"{type_name(type_)} can't be turned into JSON and back: {reason}. Use a type that pydantic "
            "knows (a model, a dataclass, a TypedDict, standard types), defined at module level"
        ) from None
    return adapter


def type_name(type_: object) -> str:
    """Name a type as people write it."""
    if isinstance(type_, type) and not hasattr(type_, "__args__"):
        return type_.__qualname__
    return repr(type_).replace("typing.", "")


def _sentences(errors: list[ErrorDetails]) -> str:
    shown = [_sentence(error) for error in errors[:_SHOWN_ERRORS_COUNT]]
    if len(errors) > len(shown):
        shown.append(f"and {len(errors) - len(shown)} more")
    return "; ".join(shown)


def _sentence(error: ErrorDetails) -> str:
    if error["type"] == "json_invalid":
        return error["msg"]
    place = ""
    for part in error["loc"]:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else str(part)
    found = "" if error["type"] == "missing" else f" (found {_shown(error['input'])})"
    return f"{place}: {error['msg']}{found}" if place else f"{error['msg']}{found}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_INPUT_CHARS else text[: _SHOWN_INPUT_CHARS - 3] + "..."
