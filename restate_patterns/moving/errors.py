"""Why a move cannot begin or go on; each is a sentence with the fix.

* `MoveError`
    * `MovedElsewhere`: the file has moved, or begun to move, to another server.
    * `NotARestateServer`: what answers there is an embedded server.
    * `WrongIngress`: the ingress and the admin API are of different servers.
    * `CourierBusy`: what was given to the courier does not get done.
    * `StateNotWritten`: a write of state does not get its turn on the server.
"""

from __future__ import annotations

from pathlib import Path

from restate_patterns.text.durations import rfc3339


class MoveError(Exception):
    """The move cannot begin, or cannot go on; what the file has noted so far stays noted."""


class MovedElsewhere(MoveError):
    """The file has moved, or begun to move, to another server."""

    def __init__(self, file: Path, to: str, *, began_ms: int) -> None:
        super().__init__(
            f"{file} began to move to {to} on {rfc3339(began_ms)[:19]}Z: finish that with --to {to}, or take the file "
            "back with --undo and move it anew"
        )


class NotARestateServer(MoveError):
    """What answers there is an embedded server."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"{url} is an embedded server, which runs on a file itself: copy the file, and serve the app on the copy"
        )


class WrongIngress(MoveError):
    """The ingress took a send that the admin API does not know."""

    def __init__(self, ingress_url: str, admin_url: str, invocation_id: str) -> None:
        super().__init__(
            f"the ingress {ingress_url} took a send as {invocation_id}, which the admin API {admin_url} does not know: "
            "they are of different servers. Remove that invocation on the server of the ingress, take the file back "
            "with --undo, and give the right --ingress-url"
        )


class StateNotWritten(MoveError):
    """A write of state does not get its turn, or something else was written there."""

    def __init__(self, service: str, key: str, reason: str) -> None:
        super().__init__(
            f"the state of {service}/{key} cannot be written: {reason}. Call nothing there before the file has moved; "
            "the same command goes on from here"
        )


class CourierBusy(MoveError):
    """The courier still has something to carry."""

    def __init__(self, url: str, after_s: float) -> None:
        super().__init__(
            f"what the server was to fetch from {url} is not done after {after_s:g} s: can it reach that? The same "
            "command goes on from here"
        )
