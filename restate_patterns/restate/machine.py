"""The SDK's state machine of one attempt: protocol, journal and replay are its own; here they get types.

It moves bytes in and out and knows no handler. What it refuses is told apart by the SDK's code: only code that asks
for something else than the journal has raises `JournalMismatch`.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias, cast

from restate import vm as sdk
from typing_extensions import override

from restate_patterns.errors import Failure, JournalMismatch, UsageError
from restate_patterns.seam import Request

Notice: TypeAlias = int
"""The machine's own name for something it will tell about."""

_VmError: Any = vars(sdk)["VMException"]
_Failure: Any = vars(sdk)["PyFailure"]
_Future: Any = vars(sdk)["PyUnresolvedFuture"]
_Completed: Any = vars(sdk)["PyDoProgressAnyCompleted"]
_External: Any = vars(sdk)["PyDoProgressWaitExternalProgress"]
_ExecuteRun: Any = vars(sdk)["PyDoProgressExecuteRun"]
_CancelReceived: Any = vars(sdk)["PyDoProgressCancelSignalReceived"]
_Suspended: Any = vars(sdk)["PySuspended"]
_StateKeys: Any = vars(sdk)["PyStateKeys"]
_Void: Any = vars(sdk)["PyVoid"]

_MISMATCH: Final = "(570) "
_UNSUPPORTED: Final = "(573) "
"""How the sentences of the SDK begin, by their codes: `codes` in its core, restatedev/sdk-shared-core."""


class Progress(enum.Enum):
    """What came of waiting."""

    COMPLETED = "completed"
    """One of those waited for has completed."""
    CANCELLED = "cancelled"
    """The invocation was cancelled."""
    EXTERNAL = "external"
    """More input, or the end of a running step, is needed."""
    SUSPENDED = "suspended"
    """The server has hung up: what was waited for is written, and the attempt is over."""


class RunDue(NamedTuple):
    """A step whose action is to be started."""

    notice: Notice


class Issued(NamedTuple):
    """A step that was asked for."""

    notice: Notice
    replayed: bool
    """Whether its result is in the journal already."""


class Called(NamedTuple):
    """A call that the machine has taken: the notices of its output and of its invocation id."""

    output: Notice
    invocation_id: Notice


class Answer(NamedTuple):
    """What a notice came to. `failure` wins over `value`; None is nothing."""

    value: bytes | None = None
    failure: Failure | None = None
    names: Sequence[str] = ()
    """Names of states, where those were asked for."""


class Start(NamedTuple):
    """What the server says of the invocation."""

    invocation_id: str
    random_seed: int
    headers: Mapping[str, str]
    body: bytes
    key: str


class MachineBroken(Exception):  # noqa: N818 - named for the state of affairs, as in errors.py
    """The machine can't go on, and no code is to blame; what it has to say about that is in its output."""


class ServerTooOld(UsageError):  # noqa: N818 - as above
    """The handler asks for something that the server's version of the protocol has no words for."""


class Machine:
    """One attempt as the SDK sees it.

    Args:
        headers: Of the server's request.

    Raises:
        MachineBroken: The request is of no protocol that the SDK speaks.
    """

    def __init__(self, headers: Iterable[tuple[str, str]]) -> None:
        try:
            self._vm: Any = sdk.VMWrapper(list(headers))
        except _VmError as error:
            raise MachineBroken(str(error)) from None
        self._raw: Any = self._vm.vm
        self._futures: dict[Notice, Any] = {}
        self.commands_count = 0

    # Bytes in and out.

    def response_head(self) -> tuple[int, Iterable[tuple[str, str]]]:
        """Give status and headers of the response."""
        head: tuple[int, Iterable[tuple[str, str]]] = self._vm.get_response_head()
        return head

    def feed(self, chunk: bytes) -> None:
        """Take input from the server."""
        self._vm.notify_input(chunk)

    def input_closed(self) -> None:
        """Note that no more input comes: the next wait suspends."""
        self._vm.notify_input_closed()

    def output(self) -> bytes:
        """Take what is to be sent to the server; may be empty."""
        return bytes(self._vm.take_output())

    def is_ready(self) -> bool:
        """Tell whether the journal has arrived whole.

        Raises:
            MachineBroken: The input is not what the protocol says.
        """
        try:
            return bool(self._vm.is_ready_to_execute())
        except _VmError as error:
            raise MachineBroken(str(error)) from None

    def start(self) -> Start:
        """Give what the server says of the invocation.

        Raises:
            MachineBroken: The input ended before that.
        """
        try:
            found = self._vm.sys_input()
        except _VmError as error:
            raise MachineBroken(str(error)) from None
        return Start(found.invocation_id, found.random_seed, dict(found.headers), bytes(found.input_buffer), found.key)

    @property
    def replaying(self) -> bool:
        """Whether the next command is in the journal already."""
        return bool(self._vm.is_replaying())

    # Waiting.

    def progress(self, notices: Iterable[Notice]) -> Progress | RunDue:
        """Look which of `notices` completes next; the journal decides.

        Raises:
            JournalMismatch: The journal says that the handler did not wait here.
            ServerTooOld: The result of a step can't be written in the words that the server knows.
            MachineBroken: The input is not what the protocol says.
        """
        futures = self._futures
        children: list[Any] = []
        for notice in notices:
            future = futures.get(notice)
            if future is None:
                future = futures[notice] = _Future.single(notice)
            children.append(future)
        try:
            found = self._raw.do_progress(_Future.first_completed(children))
        except _VmError as error:
            self._refused(error)
        if isinstance(found, _Completed):
            return Progress.COMPLETED
        if isinstance(found, _External):
            return Progress.EXTERNAL
        if isinstance(found, _ExecuteRun):
            return RunDue(cast("int", found.handle))
        return Progress.CANCELLED if isinstance(found, _CancelReceived) else Progress.SUSPENDED

    def is_completed(self, notice: Notice) -> bool:
        """Tell whether a notice has come to something that was not taken yet."""
        return bool(self._vm.is_completed(notice))

    def take(self, notice: Notice) -> Answer:
        """Give what a completed notice came to; can be taken once."""
        self._futures.pop(notice, None)
        try:
            found = self._raw.take_notification(notice)
        except _VmError as error:
            self._refused(error)
        if isinstance(found, bytes):
            return Answer(found)
        if isinstance(found, _Failure):
            return Answer(failure=Failure(found.code, found.message, dict(found.metadata or {})))
        if isinstance(found, _StateKeys):
            return Answer(names=list(found.keys))
        if isinstance(found, _Void):
            return Answer()
        return Answer(str(found).encode("ascii"))  # an invocation id

    # Commands.

    def call(self, request: Request) -> Called:
        """Call a handler."""
        found = self._asked(self._vm.sys_call, *_target(request), **_options(request))
        return Called(found.result_handle, found.invocation_id_handle)

    def send(self, request: Request, delay_ms: int) -> Notice:
        """Send to a handler; the notice is the invocation id."""
        return cast("int", self._asked(self._vm.sys_send, *_target(request), delay_ms or None, **_options(request)))

    def run(self, name: str) -> Issued:
        """Ask for a step."""
        found = self._asked(self._vm.sys_run, name)
        return Issued(found.handle, found.replayed)

    def sleep(self, delay_ms: int, name: str) -> Notice:
        """Start a timer."""
        return cast("int", self._asked(self._vm.sys_sleep, max(0, delay_ms), name))

    def get_state(self, name: str) -> Notice:
        """Read a state."""
        return cast("int", self._asked(self._vm.sys_get_state, name))

    def state_names(self) -> Notice:
        """List the names of the states."""
        return cast("int", self._asked(self._vm.sys_get_state_keys))

    def set_state(self, name: str, value: bytes) -> None:
        """Write a state."""
        self._asked(self._vm.sys_set_state, name, value)

    def clear_state(self, name: str) -> None:
        """Remove a state."""
        self._asked(self._vm.sys_clear_state, name)

    def clear_all_state(self) -> None:
        """Remove all states."""
        self._asked(self._vm.sys_clear_all_state)

    def promise(self, name: str) -> Notice:
        """Wait for a promise."""
        return cast("int", self._asked(self._vm.sys_get_promise, name))

    def peek_promise(self, name: str) -> Notice:
        """Look at a promise."""
        return cast("int", self._asked(self._vm.sys_peek_promise, name))

    def complete_promise(self, name: str, value: bytes | None, failure: Failure | None) -> Notice:
        """Resolve or reject a promise; the notice tells whether it was the first answer."""
        if failure is not None:
            return cast("int", self._asked(self._raw.sys_complete_promise_failure, name, _failure(failure)))
        return cast("int", self._asked(self._vm.sys_complete_promise_success, name, value or b""))

    def awakeable(self) -> tuple[str, Notice]:
        """Make an awakeable."""
        found: tuple[str, int] = self._asked(self._vm.sys_awakeable)
        return found

    def complete_awakeable(self, awakeable_id: str, value: bytes | None, failure: Failure | None) -> None:
        """Resolve or reject an awakeable."""
        if failure is not None:
            self._asked(self._raw.sys_complete_awakeable_failure, awakeable_id, _failure(failure))
        else:
            self._asked(self._vm.sys_resolve_awakeable, awakeable_id, value or b"")

    def signal(self, name: str) -> Notice:
        """Wait for a named signal."""
        return cast("int", self._asked(self._vm.sys_signal, name))

    def complete_signal(self, invocation_id: str, name: str, value: bytes | None, failure: Failure | None) -> None:
        """Resolve or reject a named signal of an invocation."""
        if failure is not None:
            self._asked(self._raw.sys_complete_signal_failure, invocation_id, name, _failure(failure))
        else:
            self._asked(self._vm.sys_resolve_signal, invocation_id, name, value or b"")

    def attach(self, invocation_id: str) -> Notice:
        """Wait for the output of an invocation."""
        return cast("int", self._asked(self._vm.attach_invocation, invocation_id))

    def cancel(self, invocation_id: str) -> None:
        """Cancel an invocation."""
        self._asked(self._vm.sys_cancel, invocation_id)

    def propose(self, notice: Notice, value: bytes | None, failure: Failure | None) -> None:
        """Give the result of a step; its notice comes once the server has it. What is refused, `progress` raises."""
        with contextlib.suppress(_VmError):
            if failure is not None:
                self._raw.propose_run_completion_failure(notice, _failure(failure))
            else:
                self._vm.propose_run_completion_success(notice, value or b"")

    def end(self, value: bytes | None, failure: Failure | None) -> None:
        """Write the output of the invocation, and its end.

        Raises:
            JournalMismatch: The journal has another output.
            ServerTooOld: It can't be written in the words that the server knows.
        """
        if failure is not None:
            self._asked(self._raw.sys_write_output_failure, _failure(failure))
        else:
            self._asked(self._vm.sys_write_output_success, value or b"")
        self._asked(self._vm.sys_end)

    def failed(self, message: str, trace: str, retry_in_ms: int | None) -> None:
        """End the attempt with an error, to be tried again; None leaves the time to the server's policy."""
        self._raw.notify_error(message, trace, retry_in_ms)

    def _asked(self, method: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except _VmError as error:
            self._refused(error)
        finally:
            self.commands_count += 1

    def _refused(self, error: Exception) -> NoReturn:
        said = str(error)
        if said.startswith(_MISMATCH):
            raise ServerMismatch(self.commands_count, said) from None
        if said.startswith(_UNSUPPORTED):
            raise ServerTooOld(f"the Restate server is too old: {said}. Update it, then resume the invocation")
        raise MachineBroken(said) from None


class ServerMismatch(JournalMismatch):
    """The journal that the server keeps does not fit what the code asks for.

    Args:
        position: How many commands the code had asked for before.
        said: What the SDK says about it.
    """

    def __init__(self, position: int, said: str) -> None:
        super().__init__(position, "something else", said)
        self.said = said

    @override
    def __str__(self) -> str:
        at = f" (asked for at {self.place})" if self.place else ""
        return (
            f"journal mismatch at command {self.position}: {self.said}{at}. The handler's code changed, or it is not "
            "deterministic. Run the old code and resume, restart the invocation from the start, or kill it"
        )


def _target(request: Request) -> tuple[str, str, bytes, str | None]:
    target = request.target
    return target.service, target.handler, request.body, target.key


def _options(request: Request) -> dict[str, Any]:
    return {"idempotency_key": request.idempotency_key or None, "headers": sorted(request.headers.items())}


def _failure(failure: Failure) -> Any:
    return _Failure(failure.code, failure.message, metadata=list(failure.metadata.items()) or None)
