"""What an engine answers to a request from outside that it cannot do.

* `EngineError`: the base; carries the id it is about.
    * `MalformedId`: not an id of an invocation or awakeable at all.
    * `InvocationCompleted`: the verb needs an invocation that still runs.
    * `InvocationNotCompleted`: the verb needs an invocation that has completed.
    * `InvocationNotPaused`: a pause or resume that has nothing to do.
    * `InvocationPaused`: its result was waited for, and a person must resume it first.
    * `WorkflowAlreadyInvoked`: the one run of this workflow key exists.
    * `CancelRefused`: the handler cannot reach its undo (journal mismatch), so a cancel is refused.
    * `NotAccepting`: no new work is taken (the disk is full).
    * `EngineStopped`: the engine does not run any more.

An id that is well formed and names nothing is `errors.InvocationNotFound`.
"""

from __future__ import annotations


class EngineError(Exception):
    """A request from outside that the engine cannot do; nothing was changed.

    Args:
        subject: The id or path the request was about.
        message: The sentence people read.
    """

    def __init__(self, subject: str, message: str) -> None:
        super().__init__(message)
        self.subject = subject


class MalformedId(EngineError):
    """The id is not one that this engine could have made."""

    def __init__(self, subject: str, what: str = "invocation") -> None:
        super().__init__(subject, f"bad {what} id '{subject}': it is malformed; copy the whole id")


class InvocationCompleted(EngineError):
    """The invocation has completed, so it can no longer be changed."""

    def __init__(self, subject: str) -> None:
        super().__init__(subject, f"the invocation '{subject}' is already completed")


class InvocationNotCompleted(EngineError):
    """The invocation has not completed yet."""

    def __init__(self, subject: str) -> None:
        super().__init__(
            subject, f"the invocation '{subject}' has not completed yet; cancel or kill it, then try again"
        )


class InvocationNotPaused(EngineError):
    """The invocation is in no state from which it could be resumed or paused."""

    def __init__(self, subject: str, status: str, verb: str) -> None:
        super().__init__(subject, f"the invocation '{subject}' is {status}: there is nothing to {verb}")


class InvocationPaused(EngineError):
    """The invocation has paused, so who waits for its result may wait for ever; nothing of it is lost.

    Args:
        subject: Its id.
        reason: Why, in words.
    """

    def __init__(self, subject: str, reason: str) -> None:
        super().__init__(
            subject,
            f"the invocation '{subject}' is paused and keeps what it did: {reason}. Mend that and resume it "
            f"(`restate-patterns invocations resume {subject}`), or kill it; then ask for its result by its id",
        )
        self.reason = reason


class WorkflowAlreadyInvoked(EngineError):
    """The workflow has been run for this key; `subject` is the id of that run."""

    def __init__(self, subject: str) -> None:
        super().__init__(subject, "the workflow method was already invoked")


class CancelRefused(EngineError):
    """The journal does not match the code: the handler could not reach its undo."""

    def __init__(self, subject: str, reason: str) -> None:
        super().__init__(
            subject,
            f"the invocation '{subject}' cannot be cancelled: {reason}. Run the old code and resume it, "
            "restart it as new, or kill it",
        )


class EngineStopped(EngineError):
    """The engine does not run, or stopped before there was an answer; what was accepted is kept."""

    def __init__(self) -> None:
        super().__init__(
            "",
            "the engine has stopped: its client is good inside the block of `async with app.start(...)` only. What was "
            "accepted goes on when the app is started on the same file again; ask for its result there, by its id or "
            "idempotency key",
        )


class NotAccepting(EngineError):
    """No new work is taken; what was accepted before is kept and goes on."""

    def __init__(self, reason: str) -> None:
        super().__init__("", f"no new work is accepted: {reason}")
