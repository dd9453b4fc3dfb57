"""Why something of a file cannot be carried, as a code and a sentence that says what to do. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class Why(enum.Enum):
    """What keeps something from being carried; the value is its code in JSON."""

    SERVICE_MISSING = "service-missing"
    SERVICE_KIND = "service-kind"
    HANDLER_MISSING = "handler-missing"
    HANDLER_KIND = "handler-kind"
    COURIER = "courier"
    BEGUN = "begun"
    PAUSED = "paused"
    AWAITED = "awaited"
    PROMISE = "promise"
    STATE_DIFFERS = "state-differs"
    STATE_SIZE = "state-size"
    BODY = "body"
    IDEMPOTENCY_KEY = "idempotency-key"
    ALREADY_THERE = "already-there"
    IN_DOUBT = "in-doubt"
    KEY = "key"


REMEDIES: Final = {
    Why.SERVICE_MISSING: "register the services there first: restate-patterns deployments register URL",
    Why.SERVICE_KIND: "another service has its name there: register the right one",
    Why.HANDLER_MISSING: "register a version of the service there that has the handler",
    Why.HANDLER_KIND: "register the version of the service there that the file was written by",
    Why.COURIER: "no ingress takes it: give --courier HOST:PORT of this machine, where the server can fetch it",
    Why.BEGUN: "let it finish on the file first (serve the app on the file until `invocations list` is empty of it), "
    "or cancel or kill it there: a server takes no half-done journal",
    Why.PAUSED: "serve the app on the file and resume it, cancel it or kill it: moving must not start it unasked",
    Why.AWAITED: "its caller waits for it on the file: it goes with the caller's end",
    Why.PROMISE: "a server has no way in for promises: resolve it there through a shared handler of the workflow, "
    "with the same value, and migrate again",
    Why.STATE_DIFFERS: "nothing is overwritten: clear it there (`kv clear`), or make it equal",
    Why.STATE_SIZE: "let the service split or clear it on the file first",
    Why.BODY: "let it finish on the file first",
    Why.IDEMPOTENCY_KEY: "let it finish on the file first",
    Why.ALREADY_THERE: "it would be taken for the one that is there: purge that, or let this one finish on the file",
    Why.IN_DOUBT: "look there for what it does; if it is missing, send it by hand; then leave it behind here",
    Why.KEY: "see the reason for its key",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing that cannot be carried.

    Args:
        why: The code.
        subject: The invocation's target, `Object/key`, `Workflow/key/promise` or the service.
        reason: What is so, in words.
        id: The invocation id on the file, for an invocation.
    """

    why: Why
    subject: str
    reason: str
    id: str | None = None
