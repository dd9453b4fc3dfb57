"""Terminal errors across calls: to `Failure` and back to the class that was raised.

An error travels as its code, its sentence, and one JSON text per declared field under the field's
name; the class's wire name goes under `error.name`, and where it is defined under `error.class`, which decides
between classes of one name. A receiver that has imported the class gets
that class. One that has not, or that has another version of it, gets a plain `TerminalError` with the
metadata to read, and hands it on unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, get_type_hints
from weakref import WeakKeyDictionary

from pydantic_core import to_json
from typing_extensions import Format, get_annotations

from restate_patterns.errors import DefinitionError, Failure, InvalidInput, TerminalError, WrongValue
from restate_patterns.serde import Codec, codec

NAME_KEY: Final = "error.name"
CLASS_KEY: Final = "error.class"

_BYTES_AS_TEXT: Final[object] = Annotated[bytes, "metadata is text"]
_field_codecs: WeakKeyDictionary[type[TerminalError], Mapping[str, Codec[Any]]] = WeakKeyDictionary()


def to_failure(error: TerminalError) -> Failure:
    """Give the wire form of an error; never raises, a field that can't be JSON goes as its text."""
    cls = type(error)
    metadata = dict(error.metadata)
    if cls is not TerminalError:
        metadata[NAME_KEY] = cls.error_name
        metadata[CLASS_KEY] = _place(cls)
    for name, field_codec in _codecs_of(cls).items():
        value = getattr(error, name, None)
        try:
            metadata[name] = field_codec.encode(value).decode()
        except (WrongValue, ValueError):
            metadata[name] = to_json(value, fallback=str, inf_nan_mode="constants", bytes_mode="base64").decode()
    return Failure(error.code, error.message, metadata)


def from_failure(failure: Failure) -> TerminalError:
    """Give the error that was raised, as its class when one here fits, else a plain `TerminalError`."""
    name = failure.metadata.get(NAME_KEY)
    found = {} if name is None else {_place(type(error)): error for error in _fitting(name, failure)}
    if len(found) == 1:
        return next(iter(found.values()))
    same_class = found.get(failure.metadata.get(CLASS_KEY, ""))
    if same_class is not None:
        return same_class
    return TerminalError.restored(failure.message, failure.code, {}, failure.metadata)


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
            yield cls.restored(failure.message, failure.code, fields, failure.metadata)
        except (TypeError, ValueError, InvalidInput):
            continue


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
