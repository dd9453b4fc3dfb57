"""Terminal errors across calls: to `Failure` and back to the class that was raised.

An error travels as its code, its sentence, its metadata, and among that one JSON text per declared field under the
field's name; the class's wire name goes under `error.name`, and where it is defined under `error.class`, which decides
between classes of one name. A receiver that has imported the class gets
that class. One that has not, or that has another version of it, gets a plain `TerminalError` with the
metadata to read, and hands it on unchanged. Where only text travels, all of that is in the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, get_type_hints
from weakref import WeakKeyDictionary

from pydantic import Field, TypeAdapter
from pydantic_core import to_json
from typing_extensions import Format, TypedDict, get_annotations

from restate_patterns import limits
from restate_patterns.errors import DefinitionError, Failure, TerminalError, code_of
from restate_patterns.text.wording import sentence_of, shortened, storable, text_of
from restate_patterns.values.canonical import in_order
from restate_patterns.values.serde import Codec, codec

_TEXT_MARK: Final = "\n\nrestate-patterns/failure "
"""Stands between the sentence of a failure and the rest of it where only text travels."""

NAME_KEY: Final = "error.name"
CLASS_KEY: Final = "error.class"

_TEXT_CODE: Final = 500

_NOTHING: Final = MappingProxyType[str, str]({})
_BYTES_AS_TEXT: Final[object] = Annotated[bytes, "metadata is text"]
_field_codecs: WeakKeyDictionary[type[TerminalError], Mapping[str, Codec[Any]]] = WeakKeyDictionary()


class _Rest(TypedDict):
    code: Annotated[int, Field(ge=1, le=limits.FAILURE_CODE_MAX)]
    metadata: dict[str, str]


_TEXT_REST: Final = TypeAdapter(_Rest)


def to_failure(error: TerminalError) -> Failure:
    """Return the wire form of an error; never raises: what has no such form goes as its text, not too much of it."""
    cls = type(error)
    metadata = {text_of(name): text_of(text) for name, text in _read(error, "metadata", _NOTHING).items()}
    if cls is not TerminalError:
        metadata[NAME_KEY] = text_of(cls.error_name)
        metadata[CLASS_KEY] = storable(_place(cls))
    for name, field_codec in _codecs_of(cls).items():
        metadata[name] = _field_text(error, name, field_codec)
    code = code_of(_read(error, "code", None)) or TerminalError.code
    message = shortened(_message(error), limits.FAILURE_CHARS_MAX)
    chars = sum(len(name) + len(text) for name, text in metadata.items())
    if chars > limits.FAILURE_CHARS_MAX:
        return Failure(
            code,
            f"{message} (the fields of this {cls.__qualname__} have {chars} characters, over the limit of "
            f"{limits.FAILURE_CHARS_MAX}, and were left out)",
        )
    return Failure(code, message, metadata)


def _read(error: TerminalError, name: str, default: Any) -> Any:
    try:
        return getattr(error, name, default)
    except Exception:  # noqa: BLE001 - a property of the user's class
        return default


def _message(error: TerminalError) -> str:
    try:
        return text_of(error.message)
    except Exception as broken:  # noqa: BLE001 - a property of the user's class
        return f"{type(error).__qualname__} (its message raised {sentence_of(broken)})"


def _field_text(error: TerminalError, name: str, field_codec: Codec[Any]) -> str:
    value = _read(error, name, None)
    try:
        return field_codec.encode(value).decode()
    except Exception:  # noqa: BLE001 - whatever encoding it runs into, the error ends the invocation
        try:
            shown = to_json(in_order(value), fallback=text_of, inf_nan_mode="constants", bytes_mode="base64")
            return shown.decode()
        except Exception:  # noqa: BLE001 - likewise
            return to_json(text_of(value)).decode()


def travelling(error: TerminalError) -> Failure:
    """Return the wire form of an error that is raised or given by the user, with all its fields as they are.

    Raises:
        WrongValue: A field is not of its type, or would come back as another value.
    """
    cls = type(error)
    for name, field_codec in _codecs_of(cls).items():
        resolved = "" if field_codec.type is not Any else " (whose annotation says nothing at run time)"
        if hasattr(error, name):
            field_codec.encode(getattr(error, name), "{}: the field {!r}{}", cls.__qualname__, name, resolved)
    return to_failure(error)


def from_failure(failure: Failure) -> TerminalError:
    """Return the error that was raised, as its class when one here fits, else a plain `TerminalError`."""
    name = failure.metadata.get(NAME_KEY)
    found = {} if name is None else {_place(type(error)): error for error in _fitting(name, failure)}
    if len(found) == 1:
        return next(iter(found.values()))
    same_class = found.get(failure.metadata.get(CLASS_KEY, ""))
    if same_class is not None:
        return same_class
    return TerminalError.restored(failure.message, failure.code, {}, failure.metadata)


def failure_text(failure: Failure) -> str:
    """Return a failure as one text, for where nothing else travels: the reject of an awakeable on Restate.

    It begins with the sentence, and is nothing but the sentence when the code is 500 and there is no
    metadata: whoever knows nothing of this reads it as it is.
    """
    if failure.code == _TEXT_CODE and not failure.metadata and _TEXT_MARK not in failure.message:
        return failure.message
    rest = to_json({"code": failure.code, "metadata": failure.metadata}).decode()
    return f"{failure.message}{_TEXT_MARK}{rest}"


def failure_of_text(text: str, code: int = _TEXT_CODE) -> Failure:
    """Read what `failure_text` wrote; any other text is the sentence of a failure with the given code."""
    message, mark, rest = text.rpartition(_TEXT_MARK)
    try:
        found = _TEXT_REST.validate_json(rest) if mark else None
    except ValueError:
        found = None
    return Failure(code, text) if found is None else Failure(found["code"], message, found["metadata"])


def _fitting(name: str, failure: Failure) -> Iterator[TerminalError]:
    """Restore the error as each class of this name that takes its fields.

    A decorator such as `dataclass(slots=True)` makes a class twice; the last is the one in use.
    """
    for cls in _subclasses(TerminalError):
        if cls.error_name != name:
            continue
        try:
            fields = {
                field: field_codec.decode(failure.metadata[field].encode())
                for field, field_codec in _codecs_of(cls).items()
                if field in failure.metadata
            }
            yield cls.restored(failure.message, failure.code, fields, _free(failure, cls))
        except Exception:  # noqa: BLE001 - whatever a class of the user's does, the error arrives, if need be without it
            continue


def _free(failure: Failure, cls: type[TerminalError]) -> Mapping[str, str]:
    """Give the metadata that a class does not say by itself."""
    said = {NAME_KEY, CLASS_KEY, *cls.field_names}
    return {name: text for name, text in failure.metadata.items() if name not in said}


def _place(cls: type[TerminalError]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _subclasses(cls: type[TerminalError]) -> Iterator[type[TerminalError]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _codecs_of(cls: type[TerminalError]) -> Mapping[str, Codec[Any]]:
    found = _field_codecs.get(cls)
    if found is None:
        found = _field_codecs[cls] = _make_codecs(cls)
    return found


def _make_codecs(cls: type[TerminalError]) -> Mapping[str, Codec[Any]]:
    return {name: _codec_or_any(cls, name) for name in cls.field_names}


def _codec_or_any(cls: type[TerminalError], name: str) -> Codec[Any]:
    """Give the codec of a field; where its type is for type checkers only, the value travels as plain JSON."""
    declarer = next(klass for klass in cls.__mro__ if name in get_annotations(klass, format=Format.FORWARDREF))
    annotation = get_annotations(declarer, format=Format.FORWARDREF)[name]
    alone = type(declarer.__name__, (), {"__annotations__": {name: annotation}, "__module__": declarer.__module__})
    try:
        hint = get_type_hints(alone, include_extras=True)[name]
        return codec(_BYTES_AS_TEXT if hint is bytes else hint)
    except (NameError, TypeError, AttributeError, DefinitionError):
        return codec(Any)
