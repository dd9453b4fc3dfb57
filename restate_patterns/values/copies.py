"""Arguments that are kept for later, as they are when they are given.

A step's action starts after its handler has gone on, an undo much later: what the handler does meanwhile to a list or
a model that it gave must not reach them. So the data in arguments is copied (`rebuilding` says what counts as
data); what is no data is passed as it is. Plain values cost one look.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, TypeVar

from restate_patterns.values.rebuilding import PLAIN, Rebuild, Rebuilding

T = TypeVar("T")


def kept(value: T) -> T:
    """Return a value that stays as this one is now."""
    if type(value) in PLAIN:
        return value
    try:
        made: T = Rebuilding(_copied, afresh=True)(value)
    except RecursionError:  # nothing that deep can be stored or sent either
        return value
    return made


def kept_arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """Return arguments that stay as these are now; what they share they go on sharing."""
    if all_plain(args) and all_plain(kwargs.values()):
        return args, kwargs
    return kept((args, dict(kwargs)))


def all_plain(values: Iterable[object]) -> bool:
    """Return whether nobody can change any of these."""
    for value in values:  # noqa: SIM110 - all() of a generator costs thrice as much, and calls pass here
        if type(value) not in PLAIN:
            return False
    return True


def _copied(items: AbstractSet[Any], rebuild: Rebuild) -> AbstractSet[Any]:
    return items if isinstance(items, frozenset) else copy.copy(items)
