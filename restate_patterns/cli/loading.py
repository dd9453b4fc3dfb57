"""`MODULE:APP`: from the words on the command line to the `App`."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, TypeVar, cast

from restate_patterns.app import App
from restate_patterns.cli.exits import CommandError, Exit

if TYPE_CHECKING:
    from argparse import ArgumentParser

T = TypeVar("T")


def add_app(sub: ArgumentParser) -> None:
    """Add what says which app is served."""
    sub.add_argument("app", metavar="MODULE:APP", help="the App to serve, as in signup:app")
    sub.add_argument("--app-dir", default=".", metavar="DIR", help="where its modules are (default: this folder)")


def load_app(reference: str, folder: Path) -> App:
    """Import the app that `MODULE:APP` names; APP may be an `App` or a function that makes one.

    Args:
        reference: The words.
        folder: Where its modules are looked for first.

    Raises:
        CommandError: There is none; the traceback of its code is printed when that raised.
    """
    module_name, colon, attribute = reference.partition(":")
    if not colon or not module_name or not attribute:
        raise _wrong(f"{reference!r} must be MODULE:APP, as in signup:app (the App called app in signup.py)")
    _check_name(module_name, attribute)
    found = _lookup(_module(module_name, folder), attribute, reference)
    if not isinstance(found, App) and callable(found):
        found = _guarded(cast("Callable[[], object]", found), reference)
    if not isinstance(found, App):
        raise _wrong(f"{reference} is {type(found).__name__}, not an App")
    return found


def _check_name(name: str, attribute: str) -> None:
    if "/" in name or name.endswith(".py"):
        path = Path(name)
        where = "" if path.parent == Path() else f" --app-dir {path.parent}"
        raise _wrong(f"{name!r} is a path, and a module is named as in an import: {path.stem}:{attribute}{where}")
    if not all(name.split(".")):
        right = ".".join(filter(None, name.split("."))) or "signup"
        raise _wrong(f"{name!r} is no import name: write it from its top, as in {right}:{attribute}")


def _module(name: str, folder: Path) -> ModuleType:
    if not folder.is_dir():
        raise _wrong(f"there is no folder {str(folder)!r} for --app-dir")
    resolved = str(folder.resolve())
    if resolved not in sys.path:
        sys.path.insert(0, resolved)
    return _guarded(lambda: importlib.import_module(name), name)


def _guarded(make: Callable[[], T], what: str) -> T:
    try:
        return make()
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if what == missing or what.startswith(f"{missing}."):
            raise _wrong(
                f"there is no module {missing!r} here: give its import name (no .py), and run the command "
                "from the folder that has it, or name that with --app-dir"
            ) from None
        raise _wrong(
            f"{_importer(error.__traceback__)} imports {missing!r}, which is not there: install it in this "
            f"environment, or mend the import ({what} was to be loaded)"
        ) from None
    except SystemExit as error:
        raise _wrong(
            f"{what} ended the program while it was loaded (SystemExit: {error.code}): what runs the program belongs "
            'below `if __name__ == "__main__":`'
        ) from None
    except Exception as error:  # noqa: BLE001  whatever the user's module raises is shown to the user
        traceback.print_exc()
        raise _wrong(f"{what} failed with {type(error).__name__}: {error}") from None


def _importer(trace: TracebackType | None) -> str:
    """Return the module whose import failed, with its line."""
    found = "a module"
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__"))
        if name.partition(".")[0] not in ("importlib", "restate_patterns"):
            found = f"{name} (line {trace.tb_lineno})"
        trace = trace.tb_next
    return found


def _lookup(module: ModuleType, attribute: str, reference: str) -> object:
    found: object = module
    for name in attribute.split("."):
        found = getattr(found, name, None)
        if found is None:
            apps = [name for name, value in vars(module).items() if isinstance(value, App)]
            hint = f"; it has the App {', '.join(apps)}" if apps else "; it has no App"
            raise _wrong(f"{module.__name__} has no {attribute!r} (in {reference}){hint}")
    return found


def _wrong(message: str) -> CommandError:
    return CommandError(Exit.USAGE, message)
