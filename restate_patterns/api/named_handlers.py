"""A handler by its names alone: one whose class is not at hand.

Owns the checks of what is given at run time instead of a class: names and types. Knows no client and no definition.
"""

from __future__ import annotations

import re
from typing import Final

from restate_patterns.api.definition_reader import HANDLER_NAME, SERVICE_NAME
from restate_patterns.api.specs import Argument, HandlerFace
from restate_patterns.errors import WrongValue
from restate_patterns.text.wording import shown
from restate_patterns.values.serde import typed_codec

_ARGUMENT: Final = "value"
"""What the argument is called in sentences: its own name is not known here."""


def named_handler(service: object, handler: object, takes: object, returns: object) -> HandlerFace:
    """Return what a caller knows of a handler that it has only names of.

    Args:
        service: The wire name of the service.
        handler: The wire name of the handler.
        takes: The type of the argument; None for none.
        returns: The type of the result; None for none.

    Raises:
        WrongValue: No service or handler can have such a name.
        UsageError: Values of a type can't be sent.
    """
    service_name = _checked_name(service, SERVICE_NAME, "service", "object_client(Cart, key).add_ticket")
    handler_name = _checked_name(handler, HANDLER_NAME, "handler", "Cart.add_ticket.name")
    label = f"{service_name}/{handler_name}"
    argument = None if takes is None else Argument(_ARGUMENT, typed_codec(takes, f"{label}, takes="))
    return HandlerFace(label, service_name, handler_name, argument, typed_codec(returns, f"{label}, returns="))


def _checked_name(name: object, allowed: re.Pattern[str], what: str, by_class: str) -> str:
    if not isinstance(name, str):
        raise WrongValue(
            f"handler_client(service, handler): the {what} is named by its wire name, not by {shown(name)}; "
            f"where the class is at hand write `{by_class}`"
        )
    if not allowed.fullmatch(name):
        raise WrongValue(
            f"handler_client(service, handler): {shown(name)} can't be the wire name of a {what}: those have letters, "
            "digits and a few signs, beginning with a letter"
        )
    return str.__str__(name)
