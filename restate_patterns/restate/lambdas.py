"""The endpoint as an AWS Lambda function: the SDK turns its events into requests."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, cast

from restate.aws_lambda import wrap_asgi_as_lambda_handler

from restate_patterns.http.asgi import AsgiApp


def lambda_handler(endpoint: AsgiApp) -> Callable[[Any, Any], Any]:
    """Give the function that AWS Lambda calls with an event and a context."""

    @cache
    def wrapped() -> Callable[[Any, Any], Any]:
        # It makes an event loop, which an import of the user's module must not leave behind.
        return wrap_asgi_as_lambda_handler(cast("Any", endpoint))

    def handle(event: Any, context: Any) -> Any:
        return wrapped()(event, context)

    return handle
