"""`MODULE:APP`: from the words on the command line to the `App`."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar, cast

from restate_patterns.app import App
from restate_patterns.cli.exits import CommandError, Exit

T = TypeVar("T")


def load_app(reference: str) -> App:
    """Import the app that `MODULE:APP` names; APP may be an `App` or a function that makes one.

    Raises:
        CommandError: There is none; the traceback of its code is printed when that raised.
    """
    module_name, colon, attribute = reference.partition(":")
    if not colon or not module_name or not attribute:
        raise _wrong(f"{reference!r} must be MODULE:APP, as in signup:app (the App called app in signup.py)")
    found = _lookup(_module(module_name), attribute, reference)
    if not isinstance(found, App) and callable(found):
        found = _guarded(cast("Callable[[], object]", found), reference)
    if not isinstance(found, App):
        raise _wrong(f"{reference} is {type(found).__name__}, not an App")
    return found


def _module(name: str) -> ModuleType:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return _guarded(lambda: importlib.import_module(name), name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name == missing or name.startswith(f"{missing}."):
            raise _wrong(
                f"there is no module {missing!r} here: give its import name (no .py), and run the command "
                "from the folder that has it"
            ) from None
        traceback.print_exc()
        raise _wrong(f"importing {name} failed: {error}; install {missing!r} in this environment") from None


def _guarded(make: Callable[[], T], what: str) -> T:
    try:
        return make()
    except ModuleNotFoundError:
        raise
    except Exception as error:  # noqa: BLE001  whatever the user's module raises is shown to the user
        traceback.print_exc()
        raise _wrong(f"{what} failed with {type(error).__name__}: {error}") from None


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
