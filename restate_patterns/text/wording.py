"""What values say of themselves, as text that any file, wire and header list takes. Asking never raises.

Whatever a user hands in may have a broken `__str__`, or text that has no UTF-8 form. What people are to read
of it must not break what carries it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from restate_patterns import limits


def storable(text: str) -> str:
    """Give text that has a UTF-8 form: halves of surrogate pairs, as names of files have, become escapes."""
    exact = text if text.__class__ is str else str.__str__(text)
    return exact if exact.isascii() else exact.encode(errors="backslashreplace").decode()


def shortened(text: str, chars_max: int) -> str:
    """Give text with its tail left out where it is longer than a bound, and how much that was."""
    if len(text) <= chars_max:
        return text
    return f"{text[:chars_max]}... ({len(text) - chars_max} more characters)"


def text_of(value: object) -> str:
    """Give what `str` gives, or what went wrong."""
    return _said(str, value)


def repr_of(value: object) -> str:
    """Give what `repr` gives, or what went wrong."""
    return shortened(_said(repr, value), limits.ERROR_CHARS_MAX)


def shown(value: object) -> str:
    """Give what `repr` gives, short, or what went wrong; and the type, which `repr` may not tell."""
    return f"{shortened(_said(repr, value), limits.SHOWN_CHARS_MAX)} ({type(value).__qualname__})"


def sentence_of(error: BaseException) -> str:
    """Give an error in words: its class, and what it says."""
    name = type(error).__name__
    said = shortened(text_of(error), limits.ERROR_CHARS_MAX)
    return f"{name}: {said}" if said else name


def why_no_text(value: object) -> str | None:
    """Give why something can't be stored as text, as the end of a sentence; None for text that can."""
    if not isinstance(value, str):
        return f"must be text, not {shown(value)}"
    text = str.__str__(value)  # whatever its class makes of that
    if len(text) > limits.TEXT_CHARS_MAX:
        return f"has {len(text)} characters, over the limit of {limits.TEXT_CHARS_MAX}"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            return f"has half of a surrogate pair at {error.start}, which UTF-8 does not have: {shown(text)}"
    return None


def _said(how: Callable[[Any], str], value: object) -> str:
    try:
        return storable(how(value))
    except BaseException as error:  # noqa: BLE001 - whatever it raises, it is asked only so that people know what it was
        return f"<{type(value).__qualname__} whose {how.__name__}() raises {type(error).__name__}>"
