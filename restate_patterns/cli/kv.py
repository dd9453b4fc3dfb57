"""`kv ...`: the state of one object or workflow."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from restate_patterns.admin import AdminClient
from restate_patterns.cli.exits import CommandError, Exit
from restate_patterns.cli.output import json_text, print_json, print_table, say
from restate_patterns.values.json_text import read_json
from restate_patterns.values.state_json import state_bytes, state_json


async def get(arguments: Namespace, admin: AdminClient) -> None:
    """Show all state of a key, or the value of one name."""
    state = state_json(await admin.get_state(arguments.service, arguments.key))
    if arguments.name is None:
        _print(state, arguments)
    elif arguments.name in state:
        say(json_text(state[arguments.name]))
    else:
        names = ", ".join(state) or "no state"
        raise CommandError(
            Exit.NOT_FOUND,
            f"{arguments.service}/{arguments.key} has no state {arguments.name!r}; it has {names}",
        )


async def set_value(arguments: Namespace, admin: AdminClient) -> None:
    """Write one name in the key's turn."""
    try:
        value = read_json(arguments.value)
    except ValueError as error:
        raise CommandError(
            Exit.USAGE, f"the value is not JSON ({error}); write text with its quotes, as in '\"text\"'"
        ) from None
    try:
        values = state_bytes({arguments.name: value})
    except ValueError as error:
        raise CommandError(Exit.USAGE, f"the value is not base64: {error}") from None
    await admin.set_state(arguments.service, arguments.key, values)
    await _show(arguments, admin)


async def clear(arguments: Namespace, admin: AdminClient) -> None:
    """Remove some names, or all state of the key."""
    await admin.clear_state(arguments.service, arguments.key, arguments.names or None)
    await _show(arguments, admin)


async def _show(arguments: Namespace, admin: AdminClient) -> None:
    _print(state_json(await admin.get_state(arguments.service, arguments.key)), arguments)


def _print(state: Mapping[str, object], arguments: Namespace) -> None:
    if arguments.json:
        print_json(state)
    elif state:
        print_table(("NAME", "VALUE"), [(name, json_text(value)) for name, value in state.items()])
    else:
        say(f"{arguments.service}/{arguments.key} has no state")
