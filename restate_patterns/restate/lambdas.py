"""The endpoint as an AWS Lambda function: the SDK turns its events into requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from restate.aws_lambda import wrap_asgi_as_lambda_handler

from restate_patterns.http.asgi import AsgiApp


def lambda_handler(endpoint: AsgiApp) -> Callable[[Any, Any], Any]:
    """Give the function that AWS Lambda calls with an event and a context."""
    return wrap_asgi_as_lambda_handler(cast("Any", endpoint))
