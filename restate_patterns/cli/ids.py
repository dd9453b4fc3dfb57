"""Invocation ids for people: shortened where a whole one leaves no room, and found again from what is left of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from restate_patterns.admin import AdminClient, InvocationFilter
from restate_patterns.cli.exits import CommandError, Exit

_PREFIX: Final = "inv_"
_GAP: Final = "…"
_WHOLE: Final = (38, 45)
"""How long a whole id is: of a Restate server, and of an embedded one."""
_HEAD: Final = len("inv_1")
_TAIL: Final = 8
"""Characters of the end, if they are enough to tell the ids of a table apart; beginnings are much the same."""
_CANDIDATES: Final = 5


def shortened(ids: Iterable[str]) -> Mapping[str, str]:
    """Return each id with what is enough of it to tell it from the others."""
    whole = {each for each in ids if each.startswith(_PREFIX)}
    for end in range(_TAIL, max(map(len, whole), default=0)):
        short = {each: f"{each[:_HEAD]}{_GAP}{each[-end:]}" if len(each) > _HEAD + end + 1 else each for each in whole}
        if len(set(short.values())) == len(whole):
            return short
    return {each: each for each in whole}


def is_whole(text: str) -> bool:
    """Return whether a text is taken for an id as it is: it is whole, or no invocation's at all."""
    gaps = text.replace("...", _GAP).count(_GAP)
    return not text.startswith(_PREFIX) or gaps > 1 or (not gaps and len(text) in _WHOLE)


async def whole_id(text: str, admin: AdminClient) -> str:
    """Return the id that somebody gave whole, by its beginning, or as a table shows it.

    Raises:
        CommandError: No invocation has such an id, or several have.
    """
    if is_whole(text):
        return text
    parts = text.replace("...", _GAP).split(_GAP)
    chosen = InvocationFilter(id_start=parts[0], id_end="".join(parts[1:]))
    found = await admin.list_invocations(chosen, limit=_CANDIDATES + 1)
    if len(found) == 1:
        return found[0].id
    if not found:
        raise CommandError(
            Exit.NOT_FOUND,
            f"there is no invocation whose id is {text}, or it is past its retention, or many are newer: "
            "then give the whole id",
        )
    candidates = ", ".join(f"{each.id} ({each.target}, {each.status.value})" for each in found[:_CANDIDATES])
    more = " and more" if len(found) > _CANDIDATES else ""
    raise CommandError(Exit.USAGE, f"several invocations have an id like {text}: {candidates}{more}; give more of it")
