"""What may travel as the metadata of a terminal error: text by name, beside what says on the wire which error it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, cast

from restate_patterns.limits import TEXT_CHARS_MAX
from restate_patterns.text.wording import shown, why_no_text

_OWN: Final = ("error.", "restate-patterns.")
"""How the names begin that say what an error is."""


def why_no_metadata(metadata: object, field_names: Collection[str]) -> str | None:
    """Give why something can't be metadata, as a sentence without its subject's class; None where it can.

    Args:
        metadata: What is given.
        field_names: The fields of the error, which travel under their own names.
    """
    if not isinstance(metadata, Mapping):
        return f"the metadata must be text by name, not {shown(metadata)}"
    chars = 0
    for name, text in cast("Mapping[object, object]", metadata).items():
        reason = why_no_text(name)
        if reason is not None:
            return f"the name of metadata {reason}"
        key = str.__str__(cast("str", name))
        reason = why_no_text(text)
        if key.startswith(_OWN):
            reason = "has a name of the framework's own; give it another one"
        elif key in field_names:
            reason = f"has the name of a field; give the field (`{key}=...`), or another name"
        if reason is not None:
            return f"the metadata {key!r} {reason}"
        chars += len(key) + len(cast("str", text))
    return (
        None if chars <= TEXT_CHARS_MAX else f"its metadata has {chars} characters, over the limit of {TEXT_CHARS_MAX}"
    )
