"""Durations as they are typed."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import timedelta

from restate_patterns.text.durations import parse_duration_ms


def duration(text: str) -> timedelta:
    """Return a duration typed as `10s` or `PT10S`; a bare number is milliseconds.

    Raises:
        ArgumentTypeError: It is none.
    """
    try:
        return timedelta(milliseconds=int(text) if text.isascii() and text.isdigit() else parse_duration_ms(text))
    except (ValueError, OverflowError) as error:
        raise ArgumentTypeError(str(error)) from None
