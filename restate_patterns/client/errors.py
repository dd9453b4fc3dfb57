"""What goes wrong between a client and a server, apart from the terminal errors of handlers.

* `ClientError`: the base.
    * `ServerUnreachable`: no connection; nothing was sent.
    * `OutcomeUnknown`: the connection broke after the request was sent.
    * `ServerUnavailable`: the server takes no work now (shutting down, disk full).
    * `InvocationPaused`: there is no result until a person has resumed the invocation.
    * `ClientClosed`: the block that the client belongs to has ended.
    * `UnexpectedAnswer`: what answers is not a server of this kind, or refuses the token.
* `RequestRefused`: the server takes the request for wrong; a `TerminalError`, as for a caller it makes no difference.
"""

from __future__ import annotations

from restate_patterns.errors import TerminalError


class ClientError(Exception):
    """A request could not be made or its answer not be understood; nothing is known of a handler."""


class ServerUnreachable(ClientError, ConnectionError):
    """There is no connection to the server; the request was not sent.

    Args:
        url: Where the server should be.
        reason: What the connection attempt said.
    """

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"no server answers at {url} ({reason}): start it (`restate-patterns dev MODULE:APP`, or for a Restate "
            "server `restate-patterns server run`), or give its URL"
        )
        self.url = url


class OutcomeUnknown(ClientError, ConnectionError):
    """The connection broke after the request was sent: it may or may not have been accepted.

    Args:
        what: The request in words.
        reason: What broke.
    """

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(
            f"the connection broke during {what} ({reason}): whether it was accepted is unknown. With an "
            "idempotency key (`.with_options(idempotency_key=...)`) it is repeated safely"
        )


class ServerUnavailable(ClientError):
    """The server takes no work now; the message is its own. Try again later."""


class InvocationPaused(ClientError):
    """What was called, or waited for, has paused: it has no result until a person has seen to it. Nothing is lost.

    Args:
        id: Its invocation id, to wait for the result with `client.invocation(handler, id)` once it was resumed.
        reason: Why it is paused.
        message: The sentence people read.
    """

    def __init__(self, id: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.id = id
        self.reason = reason


class ClientClosed(ClientError):
    """The block that the client belongs to has ended; what it had asked for may have been accepted."""


class UnexpectedAnswer(ClientError):
    """What answered does not speak this API, or does not let us in.

    Args:
        url: What was asked.
        status: The HTTP status of the answer.
        body: The beginning of the answer.
    """

    def __init__(self, url: str, status: int, body: str) -> None:
        if status in (401, 403):
            hint = "the token is missing or not accepted: give `token=` (for the command: RESTATE_TOKEN)"
        else:
            hint = (
                "this does not look like a Restate ingress or admin API; is the URL right? By default the "
                "ingress is on port 8080 and the admin API on 9070"
            )
        super().__init__(f"{url} answered {status} {body[:120]!r}: {hint}")
        self.status = status


class RequestRefused(TerminalError, code=400):
    """The server itself refused the request: no such handler, a private one, a key that does not fit. Nothing has run.

    A handler that makes such a call gets a plain `TerminalError`.
    """
