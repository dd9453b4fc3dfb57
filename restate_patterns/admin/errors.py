"""What an admin API refuses, or cannot do.

* `AdminError`: the base; `code` is stable, for programs.
    * `NotAnAdminApi`: the URL is of an ingress.
    * `UnsupportedServer`: a version of Restate that this package does not work with.
    * `NoAnswer`: the answer did not come in time, or the connection broke.
    * `NotFound`: there is no such service, handler or deployment.
    * `NotKeyed`: a service has no state.
    * `StateConflict`: a write of state met another one.
    * `StatePending`: a write of state still waits for its turn.
    * `Refused`: anything else; the sentence is the server's.
    * `RegistrationError`: an endpoint was not registered; has its `url`.
        * `NothingToRegister`: an embedded server hosts its own app.
        * `EndpointUnreachable`: the server cannot connect to the endpoint.
        * `FunctionNotInvoked`: the server cannot invoke the AWS Lambda function.
        * `EndpointSpeaksHttp1`: the endpoint does not speak HTTP/2.
        * `EndpointRefusesIdentity`: the endpoint takes requests of another server only.
        * `NotAnEndpoint`: what answers serves no services, or not at this path.
        * `DiscoveryFailed`: the server cannot use what the endpoint says of itself.
        * `BreakingChange`: a service changed its kind, or lost handlers.
        * `EndpointChanged`: the services at a URL that is registered are not what they were.

Of invocations, the errors are those of an engine in this process: `engine.errors` and
`errors.InvocationNotFound`. That no server answers is `client.errors.ServerUnreachable`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class AdminError(Exception):
    """The admin API refuses a request, or cannot do it; nothing was changed unless the error says so."""

    code: ClassVar[str] = "admin-error"
    """What went wrong, in a word that stays the same."""


class NotAnAdminApi(AdminError):
    """The URL is of an ingress.

    Args:
        url: What was asked.
    """

    code = "not-an-admin-api"

    def __init__(self, url: str) -> None:
        super().__init__(f"{url} is an ingress: give the URL of the admin API, by default on port 9070")


class UnsupportedServer(AdminError):
    """The version of the Restate server is one that this package does not work with.

    Args:
        version: The server's version.
        fix: What to do.
    """

    code = "unsupported-server"

    def __init__(self, version: str, fix: str) -> None:
        super().__init__(f"the Restate server has version {version}: {fix}")
        self.version = version


class NoAnswer(AdminError):
    """The request was sent, and no answer came; whether it was done is unknown.

    Args:
        what: The request.
        reason: Why there is no answer.
    """

    code = "no-answer"

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(
            f"no answer to {what} ({reason}): it may be done, or still happen (a write of state waits for the turn "
            "of its key). Look before you try again"
        )


class NotFound(AdminError):
    """There is no such service, handler or deployment; the sentence is the server's."""

    code = "not-found"


class NotKeyed(AdminError):
    """The service has no keys, so it has no state.

    Args:
        service: Its name.
    """

    code = "not-keyed"

    def __init__(self, service: str) -> None:
        super().__init__(f"'{service}' is a service: only virtual objects and workflows have state")


class StateConflict(AdminError):
    """Another write came between reading the state and writing it; nothing of the other was lost.

    Args:
        service: The object or workflow.
        key: Its key.
    """

    code = "state-conflict"

    def __init__(self, service: str, key: str) -> None:
        super().__init__(
            f"the state of {service}/{key} was changed by somebody else while this write waited for its turn, so "
            "it was not made, or was made and changed again: look at the state, then try again"
        )


class StatePending(AdminError):
    """The server has accepted the write, and the key is busy; it happens if the state is then as it was.

    Args:
        service: The object or workflow.
        key: Its key.
        holder: Who holds the key, if that is known.
    """

    code = "state-pending"

    def __init__(self, service: str, key: str, holder: str | None) -> None:
        by = f", which {holder} holds" if holder else ""
        super().__init__(
            f"the write to {service}/{key} is accepted and waits for the turn of its key{by}: it happens then, "
            "unless the state was changed before"
        )


class Refused(AdminError):
    """The server refuses; the sentence is its own.

    Args:
        status: HTTP status.
        message: The sentence.
        server_code: The server's code for it, as in `META0003`, if it has one.
    """

    code = "refused"

    def __init__(self, status: int, message: str, server_code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.server_code = server_code


class RegistrationError(AdminError):
    """An endpoint was not registered; nothing was changed.

    Args:
        url: Where the endpoint is.
        message: The sentence.
    """

    code = "not-registered"

    def __init__(self, url: str, message: str) -> None:
        super().__init__(message)
        self.url = url


class NothingToRegister(RegistrationError):
    """An embedded server hosts its own app and takes no other deployment."""

    code = "nothing-to-register"

    def __init__(self, url: str) -> None:
        super().__init__(
            url,
            "this is an embedded server, which hosts the services of its own app and needs no registration: add "
            "the services to its App and start it again, or give the admin URL of a Restate server",
        )


class EndpointUnreachable(RegistrationError):
    """The server cannot connect to the endpoint."""

    code = "endpoint-unreachable"

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            url,
            f"the Restate server cannot reach {url} ({reason}): start the endpoint first, and give a URL that the "
            "server can reach (from inside a container, 127.0.0.1 is the container)",
        )


class FunctionNotInvoked(RegistrationError):
    """The server cannot invoke the AWS Lambda function, or it failed."""

    code = "function-not-invoked"

    def __init__(self, arn: str, reason: str) -> None:
        super().__init__(
            arn,
            f"the Restate server cannot invoke {arn} ({reason}): the function and its version must exist in that "
            "region, its handler must be the one of `Restate(...).lambda_handler(app)`, and the credentials of the "
            "server, or of the role it is to take (--assume-role), must allow lambda:InvokeFunction",
        )


class EndpointSpeaksHttp1(RegistrationError):
    """The endpoint does not answer HTTP/2 without TLS (h2c)."""

    code = "endpoint-http1"

    def __init__(self, url: str) -> None:
        super().__init__(
            url,
            f"{url} does not answer HTTP/2, which the Restate server speaks without TLS: serve it with a server that "
            "speaks it (h2c), or register it with use_http_11=True (--http1), which suspends at every wait",
        )


class EndpointRefusesIdentity(RegistrationError):
    """The endpoint answers 401 or 403: it takes requests of one server only, which this one is not."""

    code = "endpoint-refuses-identity"

    def __init__(self, url: str, status: str) -> None:
        super().__init__(
            url,
            f"{url} refuses this Restate server ({status}): its identity key must be the public key of this server, "
            "which signs with the key in its `request-identity-private-key-pem-file`; if a gateway in front asks "
            "for a token, give it in headers=",
        )


class NotAnEndpoint(RegistrationError):
    """What answers there serves no services, or serves them at another path."""

    code = "not-an-endpoint"

    def __init__(self, url: str, status: str) -> None:
        super().__init__(
            url,
            f"what answers at {url} serves no services of Restate ({status}): is the port right? With a prefix, "
            "the path belongs to the URL",
        )


class DiscoveryFailed(RegistrationError):
    """The server cannot use what the endpoint says of itself; the sentence has the server's reason."""

    code = "discovery-failed"

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            url,
            f"the Restate server cannot use the services at {url}: {reason}. When it is about versions, update "
            "the server, or the SDK of the endpoint",
        )


class BreakingChange(RegistrationError):
    """Services changed in a way that breaks their callers.

    Args:
        url: Where the endpoint is.
        changes: One sentence each, as in `Cart loses the handler add`.
    """

    code = "breaking-change"

    def __init__(self, url: str, changes: Sequence[str]) -> None:
        super().__init__(
            url,
            f"the services at {url} break what calls the registered ones: {'; '.join(changes)}. Keep what others "
            "call, give the service another name, or register it all the same with breaking=True (--breaking)",
        )
        self.changes = tuple(changes)


class EndpointChanged(RegistrationError):
    """The URL is registered, and the services there are not what they were.

    Args:
        url: Where the endpoint is.
        changes: One sentence each.
    """

    code = "endpoint-changed"

    def __init__(self, url: str, changes: Sequence[str]) -> None:
        super().__init__(
            url,
            f"{url} is registered, and its services have changed since: {'; '.join(changes)}. While developing, "
            "register it again with force=True (--force): invocations in flight go on with the new code. In "
            "production serve each version at a URL of its own, so that they finish on the old one",
        )
        self.changes = tuple(changes)
