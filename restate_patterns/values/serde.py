"""Values to bytes and back: one cached pydantic adapter per type.

Owns the wire form of a value (JSON, or the bytes themselves for `bytes`; nothing for None), the law that a value
comes back as it was or is refused when it is given, and the sentences about values and bodies that do not fit.
Knows no handler, no state and no journal.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar, cast

from pydantic import ConfigDict, PydanticUndefinedAnnotation, PydanticUserError, TypeAdapter, ValidationError

from restate_patterns.errors import (
    DefinitionError,
    InvalidInput,
    UndefinedName,
    UnreadableValue,
    UsageError,
    WrongValue,
)
from restate_patterns.values.canonical import writer
from restate_patterns.values.likeness import Difference, first_difference, hint
from restate_patterns.values.losses import why_never
from restate_patterns.values.plainness import plain_check

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

T = TypeVar("T")

JSON: Final = "application/json"
OCTETS: Final = "application/octet-stream"
ANYTHING: Final = "*/*"

_LOSSLESS = ConfigDict(ser_json_inf_nan="constants", ser_json_bytes="base64", val_json_bytes="base64")
_INVALID: Final = "input validation error: "
_SHOWN_ERRORS_COUNT = 5
_SHOWN_INPUT_CHARS = 60
_INT_CHARS_MAX = 4000
"""Longer ones are looked at: JSON is read up to 4300 digits."""


class Codec(Generic[T]):
    """Turns values of one type into bytes and back.

    `bytes` travel as they are, None as no bytes at all, everything else as JSON in pydantic's form. What is given
    comes back: `decode(encode(value))` equals `value`, with the same types at every depth, or `encode` refuses it.
    Equal values give equal bytes in every process, but for the order of a dictionary's keys, which is kept.

    Args:
        type_: Any type that pydantic's `TypeAdapter` takes.

    Raises:
        DefinitionError: pydantic does not know how to (de)serialise the type, or its values never come back.
    """

    __slots__ = (
        "_adapter",
        "_exact",
        "_is_empty",
        "_is_plain",
        "_is_raw",
        "_schemas",
        "_to_json",
        "_validate_json",
        "type",
    )

    def __init__(self, type_: Any) -> None:
        self.type = type_
        self._is_raw = type_ is bytes
        self._is_empty = type_ is None or type_ is type(None)
        self._exact: Any = type_ if type_ in (str, int, bool) else None
        self._adapter: TypeAdapter[T] = _adapter_of(type_)
        self._to_json = writer(self._adapter)
        self._validate_json = self._adapter.validator.validate_json
        self._schemas: dict[str, Mapping[str, object] | None] = {}
        self._is_plain = plain_check(cast("Any", self._adapter.core_schema))
        if why := why_never(cast("Any", self._adapter.core_schema)):
            raise DefinitionError(f"{type_name(type_)} never comes back as it was given: {why}")

    @property
    def content_type(self) -> str:
        """The content type of the encoded value."""
        return OCTETS if self._is_raw else JSON

    @property
    def accepted_type(self) -> str:
        """The content type that bodies from outside may have: any for `bytes`, which are not looked into."""
        return ANYTHING if self._is_raw else JSON

    @property
    def is_empty(self) -> bool:
        """Whether the type is None alone, which has no body."""
        return self._is_empty

    def encode(self, value: T, what: str = "", *names: object) -> bytes:
        """Return the wire form of `value`.

        Args:
            value: The value.
            what: Where it is given, in words, for the error; `names` fill its `{}` there.
            names: See `what`.

        Raises:
            WrongValue: The value is not of the type, or would come back as another.
        """
        try:
            if type(value) is self._exact:
                data = self._to_json(value)  # what follows would be the same, at twenty times the cost
                if self._exact is not int or len(data) < _INT_CHARS_MAX:
                    return data
            elif self._is_empty and value is None:
                return b""
            elif self._is_raw:
                if type(value) is bytes:
                    return cast("bytes", value)
            elif self._is_plain(value):
                return self._to_json(value, by_alias=True, warnings="error")
        except Exception:  # noqa: BLE001 - what is wrong with it is found out below
            pass
        try:
            return self._encode_doubtful(value)
        except WrongValue as error:
            if not what:
                raise
            raise WrongValue(f"{what.format(*names) if names else what}: {error}") from None

    def _encode_doubtful(self, value: T) -> bytes:
        """Encode a value whose type does not tell that it comes back: decode it and compare."""
        if self._is_raw:
            raise self._not_of_type(value, f"give bytes, not {type(value).__qualname__}")
        try:
            data = self._to_json(value, by_alias=True, warnings=False)
            difference = first_difference(value, self._validate_json(data))
        except ValidationError as error:
            raise self._unreadable(value, error) from None
        except RecursionError:
            raise self._not_of_type(value, "it is nested too deeply, or contains itself") from None
        except Exception as error:  # noqa: BLE001 - of pydantic, or of the user's own serializers and validators
            raise WrongValue(
                f"{_shown(value)} can't be written as {type_name(self.type)} and read back: {_first_line(error)}"
            ) from None
        if difference is not None:
            raise self._changed(value, difference)
        return data

    def _changed(self, value: T, difference: Difference) -> WrongValue:
        path = difference.path.strip(" .")
        given, back = _shown_with_type(difference.given), _shown_with_type(difference.back)
        changed = f"{_shown(value)} would come back changed: {path} is {given} and" if path else given
        return WrongValue(f"{changed} would be {back} when it is read as {type_name(self.type)}; {hint(difference)}")

    def _unreadable(self, value: T, error: ValidationError) -> WrongValue:
        why = _sentences(error.errors(include_url=False, include_context=False))
        try:
            self._adapter.validate_python(value)
        except ValidationError as wrong:
            return self._not_of_type(value, _sentences(wrong.errors(include_url=False, include_context=False)))
        except Exception as wrong:  # noqa: BLE001 - the user's own validators
            return self._not_of_type(value, _first_line(wrong))
        return WrongValue(
            f"{_shown(value)} can't be read back as {type_name(self.type)} from what is written of it: {why}. Give a "
            "value that JSON can hold, or declare a type that does"
        )

    def _not_of_type(self, value: object, why: str) -> WrongValue:
        return WrongValue(f"{_shown(value)} is not of the type {type_name(self.type)}: {why}")

    def decode(self, data: bytes) -> T:
        """Return the value behind `data`.

        Raises:
            InvalidInput: `data` is not of the type; the message says where and why. Terminal.
        """
        if self._is_raw:
            return cast("T", bytes(data))  # what was written as JSON may know more of itself
        try:
            if data:
                value: T = self._validate_json(data)
                return value
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
        """Return the value behind `data`, which this or another program stored or sent before.

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
        """Return the JSON schema, or None where there is none (raw bytes, no body, an opaque type)."""
        if mode not in self._schemas:  # making one is a fifth of what starting a small app takes
            self._schemas[mode] = self._make_schema(mode)
        return self._schemas[mode]

    def _make_schema(self, mode: Literal["validation", "serialization"]) -> Mapping[str, object] | None:
        if self._is_raw or self._is_empty:
            return None
        try:
            return self._adapter.json_schema(mode=mode)
        except PydanticUserError:
            return None


def codec(type_: Any) -> Codec[Any]:
    """Return the codec of a type; the same one for the same type."""
    try:
        return _cached_codec(type_)
    except TypeError:  # not hashable: `Annotated[int, [...]]`
        return Codec(type_)


@lru_cache(maxsize=4096, typed=True)
def _cached_codec(type_: Any) -> Codec[Any]:
    return Codec(type_)


def typed_codec(type_: object, what: str) -> Codec[Any]:
    """Return the codec of a type that is given at run time.

    Args:
        type_: The type.
        what: Where it is given, in words, for the error.

    Raises:
        UsageError: It is no type, or its values can't be sent and read back.
    """
    try:
        return codec(type_)
    except DefinitionError as error:
        raise UsageError(f"{what}: {error}") from None


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


def _first_line(error: Exception) -> str:
    first, _, rest = str(error).partition("\n")
    return rest.strip().partition("\n")[0] if first.endswith(":") and rest else first or type(error).__name__


def _shown_with_type(value: object) -> str:
    return f"{_shown(value)} ({type(value).__qualname__})"


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - of the user's own class
        text = f"<{type(value).__qualname__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= _SHOWN_INPUT_CHARS else text[: _SHOWN_INPUT_CHARS - 3] + "..."
