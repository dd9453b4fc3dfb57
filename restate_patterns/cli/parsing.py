"""The parser of the command line: argparse, with what people may have meant, and with our standard streams."""

from __future__ import annotations

import sys
from argparse import Action, ArgumentError, ArgumentParser, Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from restate_patterns.cli import streams
from restate_patterns.cli.suggestions import did_you_mean

if TYPE_CHECKING:
    from _typeshed import SupportsWrite


class Parser(ArgumentParser):
    """Parses a command; the sub-parsers that it makes are of this class, too."""

    @override
    def parse_known_args(  # type: ignore[override]  # typed by overloads on a namespace of the caller's own
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Namespace, list[str]]:
        parsed, unknown = super().parse_known_args(args, namespace)
        for word in unknown:
            # The root would only say which words are too many, and show its own usage.
            if word.startswith("-"):
                name = word.partition("=")[0]
                self.error(f"there is no option {name}{did_you_mean(name, self._option_string_actions)}")
        return parsed, unknown

    @override
    def _check_value(self, action: Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        known = [str(each) for each in action.choices]
        what = "there is no command" if action.metavar in ("COMMAND", "VERB") else "it cannot be"
        hint = did_you_mean(str(value), known) or f"; it is one of {', '.join(known)}"
        raise ArgumentError(None if action.metavar in ("COMMAND", "VERB") else action, f"{what} {value!r}{hint}")

    @override
    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        if file is sys.stdout:
            streams.write(message)
        else:
            streams.tell(message)
