"""The package's own loggers: what they say stays on its line, whatever keys, paths and errors of others are in it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from traceback import TracebackException
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from restate_patterns.text.printable import printable, printable_lines

if TYPE_CHECKING:
    from types import TracebackType

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def logger_named(name: str) -> logging.Logger:
    """Give the logger of this name; all modules of the package take theirs here."""
    found = logging.getLogger(name)
    found.addFilter(_ON_ITS_LINE)
    return found


class _OnItsLine(logging.Filter):
    """Makes the arguments of a record printable, and the messages in its traceback."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, Mapping):
            record.args = {name: _shown(value) for name, value in record.args.items()}
        elif record.args:
            record.args = tuple(_shown(value) for value in record.args)
        if record.exc_info and record.exc_info[0] is not None and not record.exc_text:
            record.exc_text = _traceback_text(record.exc_info)
        return True


_ON_ITS_LINE: Final = _OnItsLine()


def _shown(value: object) -> object:
    if value is None or isinstance(value, int | float):
        return value
    try:
        return printable(str(value))
    except Exception:  # noqa: BLE001  a broken __str__ must not lose the line
        return f"<{type(value).__qualname__}>"


def _traceback_text(exc_info: ExcInfo) -> str:
    """Give a traceback as it is printed, each message of it on one line."""
    whole = TracebackException(*exc_info)
    for each in _chain(whole):
        vars(each)["_str"] = printable(str(each))  # what it prints, and has no other name for
        notes: list[str] | None = getattr(each, "__notes__", None)
        if notes:
            vars(each)["__notes__"] = [printable(str(note)) for note in notes]
    return printable_lines("".join(whole.format()).rstrip("\n"))


def _chain(whole: TracebackException) -> Iterator[TracebackException]:
    waiting: list[TracebackException | None] = [whole]
    while waiting:
        each = waiting.pop()
        if each is not None:
            yield each
            waiting += [each.__cause__, each.__context__, *(each.exceptions or ())]
