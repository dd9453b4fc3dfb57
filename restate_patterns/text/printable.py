"""Text of others on one line of a terminal or log: what would move the cursor, end the line or turn it round is shown.

A newline in a key must not make a row of its own, an escape sequence not colour a table or retitle a window, and an
override of the writing direction not show another name than there is.
"""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Give text in which each character that is not printable is written as in Python: `\n`, `\x1b`, `\u202e`."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def printable_lines(text: str) -> str:
    """Give text that may have lines, each of them printable; tabs stay."""
    if text.isprintable():
        return text
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def printable_json(text: str) -> str:
    r"""Give the same JSON with what is not printable in its strings as `\u` escapes; its own lines stay."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else _json_escaped(each) for each in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _json_escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))
