"""Commands and failures as stored bytes.

A journal row's commands are one blob: for each command its kind, a flag byte, and its name,
fingerprint, value and failure with their lengths. Lengths are 4 bytes, big endian. A blob that begins with a zero
stands for commands that could not be written, and says why.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from typing import Any, cast

from restate_patterns.embedded.records import Command, CommandKind
from restate_patterns.errors import Failure

_HEAD = struct.Struct(">BBII")
_LENGTH = struct.Struct(">I")
_HAS_VALUE = 1
_HAS_FAILURE = 2
_UNWRITTEN = b"\0"


class UnwrittenError(ValueError):
    """Something could not be written when it was due; the file has the reason in its place."""


def check_text(*texts: str) -> None:
    """Refuse text that no file can hold, before anything depends on it.

    Raises:
        UnicodeEncodeError: It has half of a surrogate pair.
    """
    for text in texts:
        if not text.isascii():
            text.encode()


def failure_text(failure: Failure | None) -> str | None:
    """Give a failure as JSON text, or None."""
    if failure is None:
        return None
    return json.dumps([failure.code, failure.message, dict(failure.metadata)], separators=(",", ":"))


def failure_from_text(text: str | None) -> Failure | None:
    """Read a failure that `failure_text` wrote."""
    if text is None:
        return None
    code: object
    message: object
    metadata: Any
    code, message, metadata = json.loads(text)
    if not (isinstance(code, int) and isinstance(message, str) and isinstance(metadata, dict)):
        raise ValueError(f"{text[:80]!r} is no failure")
    return Failure(code, message, cast("dict[str, str]", metadata))


def encode_commands(commands: Iterable[Command]) -> bytearray:
    """Give the commands of one drain as one blob; no commands are no bytes."""
    blob = bytearray()
    for kind, name, fingerprint, value, failure in commands:
        name_bytes = name.encode()
        flags = (_HAS_VALUE if value is not None else 0) | (_HAS_FAILURE if failure is not None else 0)
        blob += _HEAD.pack(kind, flags, len(name_bytes), len(fingerprint)) + name_bytes + fingerprint
        if value is not None:
            blob += _LENGTH.pack(len(value)) + value
        if failure is not None:
            text = (failure_text(failure) or "").encode()
            blob += _LENGTH.pack(len(text)) + text
    return blob


def unwritten_commands(reason: str) -> bytes:
    """Give the blob that stands for commands that could not be written."""
    return _UNWRITTEN + reason.encode()


def unwritten_headers(reason: str) -> str:
    """Give the text that stands for the headers of an invocation that could not be written."""
    return json.dumps(reason)


def headers_from_text(text: str) -> dict[str, str]:
    """Read the headers of an invocation.

    Raises:
        UnwrittenError: It could not be written.
        ValueError: They are not readable.
    """
    found: object = json.loads(text)
    if isinstance(found, str):
        raise UnwrittenError(found)
    headers = cast("dict[str, object]", found)
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise ValueError("they are no object of texts")
    return cast("dict[str, str]", headers)


def decode_commands(blob: bytes | bytearray) -> list[Command]:
    """Read what `encode_commands` wrote.

    Raises:
        UnwrittenError: They could not be written.
        ValueError: They are not readable.
    """
    if blob.startswith(_UNWRITTEN):
        raise UnwrittenError(blob[1:].decode(errors="replace"))
    commands: list[Command] = []
    at = 0

    def take(length: int) -> bytes:
        nonlocal at
        at += length
        if at > len(blob):
            raise ValueError("it ends in the middle of a command")
        return bytes(blob[at - length : at])

    while at < len(blob):
        kind, flags, name_length, fingerprint_length = _HEAD.unpack(take(_HEAD.size))
        name = take(name_length).decode()
        fingerprint = take(fingerprint_length)
        value = take(_LENGTH.unpack(take(_LENGTH.size))[0]) if flags & _HAS_VALUE else None
        text = take(_LENGTH.unpack(take(_LENGTH.size))[0]) if flags & _HAS_FAILURE else None
        failure = failure_from_text(text.decode()) if text is not None else None
        commands.append(Command(CommandKind(kind), name, fingerprint, value, failure))
    return commands
