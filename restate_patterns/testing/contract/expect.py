"""What a guarantee expects, with a sentence when it is not so. Works under `python -O` and without pytest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

E = TypeVar("E", bound=BaseException)


def equal(found: object, expected: object, what: str = "found") -> None:
    """Expect a value.

    Raises:
        AssertionError: It is another, or of another type.
    """
    if found != expected or type(found) is not type(expected):
        raise AssertionError(f"{what}: {_shown(found)}, expected {_shown(expected)}")


def true(condition: bool, sentence: str) -> None:
    """Expect that something is so.

    Raises:
        AssertionError: It is not; says `sentence`.
    """
    if not condition:
        raise AssertionError(sentence)


async def becomes(read: Callable[[], Awaitable[object]], expected: object) -> None:
    """Expect that a value can be read soon; the bound is that of the check."""
    while (found := await read()) != expected:  # noqa: ASYNC110 - a fact of another process
        await asyncio.sleep(0.005)
    equal(found, expected)


async def raised(error: type[E], waiting: Awaitable[object]) -> E:
    """Expect an error of exactly this class, and give it.

    Raises:
        AssertionError: There was a result, or an error of another class.
    """
    try:
        result = await waiting
    except Exception as found:
        if type(found) is not error:
            raise AssertionError(f"raised {found!r}, expected {error.__name__}") from found
        return found
    raise AssertionError(f"gave {_shown(result)}, expected {error.__name__}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}... ({len(text)} characters)"
