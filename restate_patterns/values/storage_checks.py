"""Checks that what a handler or client hands on can be stored, where it is given and before anything is done.

What comes through is exactly `str`, or `bytes` as a codec makes them, has a UTF-8 form, and is within the bounds of
`limits`. Knows no backend and no user type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, TypeGuard

from restate_patterns import limits
from restate_patterns.errors import WrongValue
from restate_patterns.seam import IdempotencyRef, InvocationRef, Request, Target, ValueOrFailure, WorkflowRef
from restate_patterns.text.log_lines import logger_named
from restate_patterns.text.wording import shown, why_no_text
from restate_patterns.values.fingerprints import Unordered

_BYTES: Final = frozenset({bytes, Unordered})
_logger: Final = logger_named("restate_patterns")
_warned: Final[set[str]] = set()
"""The large values that this process has warned of."""


def is_sound_text(value: object) -> TypeGuard[str]:
    """Tell whether something is text that can be stored, at a glance: most of it has no other letters than ASCII's."""
    return type(value) is str and value.isascii() and len(value) <= limits.TEXT_CHARS_MAX


def checked_text(value: str, what: str) -> str:
    """Return text that can be stored, as a plain `str`.

    Args:
        value: The text.
        what: What it is, in words, for the error.

    Raises:
        WrongValue: It is no text, has no UTF-8 form, or is too long.
    """
    if is_sound_text(value):
        return value
    reason = why_no_text(value)
    if reason is not None:
        raise WrongValue(f"{what} {reason}")
    return str.__str__(value)


def checked_headers(headers: Mapping[str, str], what: str) -> Mapping[str, str]:
    """Return headers that can be stored.

    Raises:
        WrongValue: A name or value is no text that can be stored, or they are too long together.
    """
    found = {
        checked_text(name, f"{what}: the name of a header"): checked_text(value, f"{what}: the header {name!r}")
        for name, value in headers.items()
    }
    chars = sum(len(name) + len(value) for name, value in found.items())
    if chars > limits.TEXT_CHARS_MAX:
        raise WrongValue(f"{what}: its headers have {chars} characters, over the limit of {limits.TEXT_CHARS_MAX}")
    return found


def checked_value(value: bytes, what: str, *names: object) -> bytes:
    """Return a serialised value that can be stored, as plain `bytes`.

    Args:
        value: The value.
        what: What it is, in words, for the error; `names` fill its `{}` there.
        names: See `what`.

    Raises:
        WrongValue: It is no bytes, or over `limits.VALUE_BYTES_MAX`.
    """
    if value.__class__ not in _BYTES:
        try:
            value = memoryview(value).tobytes()
        except TypeError:
            raise WrongValue(f"{what.format(*names)} must be bytes, not {shown(value)}") from None
    if len(value) > limits.VALUE_BYTES_WARNING:
        _check_size(len(value), what.format(*names))
    return value


def _check_size(size: int, what: str) -> None:
    """Refuse what is too large, and warn of what is large: of each such thing once."""
    if size > limits.VALUE_BYTES_MAX:
        raise WrongValue(
            f"{what} has {size} bytes, over the limit of {limits.VALUE_BYTES_MAX}: keep it "
            "elsewhere (a file, an object store) and pass its name"
        )
    if what not in _warned and len(_warned) < limits.VALUES_WARNED_MAX:
        _warned.add(what)
        _logger.warning(
            "%s has %d bytes, of %d that a value may have: it is read and written whole each time. Keep what is large "
            "elsewhere (a file, an object store) and pass its name",
            what,
            size,
            limits.VALUE_BYTES_MAX,
        )


def checked_result(result: ValueOrFailure, what: str, *names: object) -> ValueOrFailure:
    """Return an answer that can be stored; a failure can, as `to_failure` makes it.

    Raises:
        WrongValue: Its value can't be.
    """
    value = result.value
    return result if value is None else ValueOrFailure(checked_value(value, what, *names), result.failure)


def checked_target(target: Target) -> Target:
    """Return whom something is for, with a key that can be stored.

    Raises:
        WrongValue: Its key can't be.
    """
    key = target.key
    if key is None or is_sound_text(key):  # before a sentence is made for nothing: each call passes here
        return target
    return replace(target, key=checked_text(key, f"the key of {target.service}"))


def checked_request(request: Request) -> Request:
    """Return a call or send that can be stored.

    Raises:
        WrongValue: Its key, argument, headers or idempotency key can't be.
    """
    target, body, headers, idempotency_key = request.target, request.body, request.headers, request.idempotency_key
    key = target.key
    if (  # so are most calls, and it takes no six functions to find that
        body.__class__ in _BYTES
        and len(body) <= limits.VALUE_BYTES_WARNING
        and not headers
        and idempotency_key is None
        and (key is None or is_sound_text(key))
    ):
        return request
    target = checked_target(target)
    body = checked_value(body, "the argument of {}", target)
    if headers:
        headers = checked_headers(headers, f"the call of {target}")
    if idempotency_key is not None:
        idempotency_key = checked_text(idempotency_key, f"the call of {target}: the idempotency key")
    if body is request.body and target is request.target and not headers and idempotency_key is request.idempotency_key:
        return request
    return Request(target, body, headers, idempotency_key)


def checked_ref(ref: InvocationRef) -> InvocationRef:
    """Return the name of an invocation as it can be stored.

    Raises:
        WrongValue: It can't be.
    """
    match ref:
        case IdempotencyRef(target, idempotency_key):
            return IdempotencyRef(checked_target(target), checked_text(idempotency_key, "the idempotency key"))
        case WorkflowRef(service, key):
            return WorkflowRef(service, checked_text(key, f"the key of {service}"))
        case _:
            return checked_text(ref, "the invocation id")
