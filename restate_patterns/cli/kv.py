"""`kv ...`: the state of one object or workflow."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import cast

from restate_patterns.cli.admin_client import AdminClient, JsonObject
from restate_patterns.cli.exits import CommandError, Exit
from restate_patterns.cli.output import print_json, print_table


def get(arguments: Namespace, admin: AdminClient) -> None:
    """Show all state of a key, or the value of one name."""
    state = _state(admin.ask("GET", *_path(arguments)))
    if arguments.name is None:
        _print(state, arguments)
    elif arguments.name in state:
        print(_json_text(state[arguments.name]))
    else:
        names = ", ".join(state) or "no state"
        raise CommandError(
            Exit.NOT_FOUND,
            f"{arguments.service}/{arguments.key} has no state {arguments.name!r}; it has {names}",
        )


def set_value(arguments: Namespace, admin: AdminClient) -> None:
    """Write one name in the key's turn."""
    try:
        value: object = json.loads(arguments.value)
    except ValueError as error:
        raise CommandError(
            Exit.USAGE, f"the value is not JSON ({error}); write text with its quotes, as in '\"text\"'"
        ) from None
    answer = admin.ask("PATCH", *_path(arguments), json={arguments.name: value})
    _print(_state(answer), arguments)


def clear(arguments: Namespace, admin: AdminClient) -> None:
    """Remove some names, or all state of the key."""
    query = [("name", name) for name in arguments.names]
    _print(_state(admin.ask("DELETE", *_path(arguments), query=query)), arguments)


def _path(arguments: Namespace) -> tuple[str, ...]:
    return "embedded", "services", arguments.service, "state", arguments.key


def _state(answer: JsonObject) -> JsonObject:
    return cast("JsonObject", answer["state"])


def _print(state: JsonObject, arguments: Namespace) -> None:
    if arguments.json:
        print_json(state)
    elif state:
        print_table(("NAME", "VALUE"), [(name, _json_text(value)) for name, value in state.items()])
    else:
        print(f"{arguments.service}/{arguments.key} has no state")


def _json_text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
