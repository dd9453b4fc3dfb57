"""Handlers that are known by their wire names alone, as the app that runs the handler of a context knows them."""

from __future__ import annotations

from restate_patterns.api.context import Context
from restate_patterns.api.scopes import scope_of
from restate_patterns.values.targets import fits, key_refusal


def why_refused(ctx: Context, service: str, handler: str, key: str | None, body: bytes) -> str | None:
    """Return why a call would be refused; None where it would not, or where the app does not host the service.

    Args:
        ctx: The handler's own context.
        service: The wire name of the service.
        handler: The wire name of the handler.
        key: Which object or workflow; None for a service.
        body: The argument, as it travels.
    """
    hosted = scope_of(ctx).attempt.hosted.get(service)
    if hosted is None:
        return None
    if handler not in hosted.handlers:
        return f"{service} has no handler {handler!r}; it has {', '.join(sorted(hosted.handlers))}"
    if not fits(hosted, key):
        return key_refusal(hosted, key).message
    error = hosted.handlers[handler].argument_error(body)
    return None if error is None else f"{service}/{handler} does not take what it would be given: {error.message}"


def is_private(ctx: Context, service: str, handler: str) -> bool:
    """Return whether the app hosts a handler that only handlers may call."""
    hosted = scope_of(ctx).attempt.hosted.get(service)
    found = None if hosted is None else hosted.handlers.get(handler)
    return found is not None and bool(found.options.private)
