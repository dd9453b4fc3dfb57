"""The primitive operations of an attempt, on bytes: what contexts and typed clients stand on."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Awaitable, Callable, Generator, Hashable, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import ParamSpec, TypeVar

from typing_extensions import override

from restate_patterns import limits
from restate_patterns.errors import AttemptSealed, ContextError, JournalMismatch
from restate_patterns.execution import places
from restate_patterns.execution.boundary import final_failure
from restate_patterns.execution.loop import InnerLoop
from restate_patterns.execution.randomness import AttemptRandom
from restate_patterns.execution.said import SaidLines, Saying
from restate_patterns.execution.steps import StepRunner
from restate_patterns.execution.tasks import InnerTask
from restate_patterns.execution.tracking import Tracked
from restate_patterns.execution.waits import Waits
from restate_patterns.options import Step
from restate_patterns.retries import leaves_of
from restate_patterns.seam import (
    Caller,
    Invocation,
    InvocationRef,
    Issued,
    OperationHandle,
    Operations,
    Ready,
    Request,
    ServiceInfo,
    ValueOrFailure,
)
from restate_patterns.text.log_lines import logger_named
from restate_patterns.values.failures import from_failure
from restate_patterns.values.storage_checks import (
    checked_ref,
    checked_request,
    checked_result,
    checked_text,
    checked_value,
)
from restate_patterns.values.targets import fits, key_refusal

_logger = logger_named("restate_patterns")
P = ParamSpec("P")
R = TypeVar("R")


class Primitives(Caller):
    """What a handler may ask for. Each method must be called from inside the attempt.

    Raises:
        ContextError: It was called from anywhere else.
        Cancelled: The invocation was cancelled while no task waited for anything durable.
        WrongValue: What it is given can't be stored; nothing was asked for.
    """

    invocation: Invocation
    hosted: Mapping[str, ServiceInfo] = MappingProxyType({})
    """The services that the same app hosts, by their wire names."""
    said: SaidLines | None = None
    """What earlier attempts have logged, where they have it in common."""

    def __init__(self, invocation: Invocation, operations: Operations, loop: InnerLoop) -> None:
        self.invocation = invocation
        self._operations = operations
        self._loop = loop
        self._waits = Waits(loop, operations)
        self._tracked = Tracked()
        self._signals: dict[str, Awaitable[bytes]] = {}
        self._asked_count = 0
        self._cancels_count = 0
        self._warns_at = limits.JOURNAL_COMMANDS_WARNING
        self.owed: list[str] = []
        self.shield_broken = False
        """Whether an error to be tried again has left a shielded part."""
        self.track = self._tracked.add
        """Watches a coroutine: when the handler succeeds without awaiting it, an error names it."""

    # About the attempt itself.

    @property
    def replaying(self) -> bool:
        """Whether what the handler does right now was in the journal before."""
        return self._operations.replaying

    @functools.cached_property
    def random(self) -> AttemptRandom:
        """The dice of the invocation: they roll the same on each replay."""
        return AttemptRandom(self.invocation.random_seed, self._loop)

    @functools.cached_property
    def _saying(self) -> Saying:
        return Saying(self.said or SaidLines(), self.invocation.id)

    def says(self, line: Hashable) -> bool:
        """Tell whether a line of the log is new: no earlier attempt has said it."""
        return self._saying.is_new(line, self._loop.count, replaying=self.replaying)

    def now_ms(self) -> int:
        """Give durable time in Unix milliseconds: the same on each replay."""
        self.check_usable()
        self._loop.refresh_time()
        return self._loop.now_ms

    def check_usable(self) -> None:
        """Check that the caller runs inside this attempt, and that the attempt goes on.

        Raises:
            ContextError: The caller runs elsewhere: in another attempt, in a step's action, after the end.
            AttemptSealed: The attempt is being dropped.
        """
        if asyncio._get_running_loop() is not self._loop:
            raise ContextError(
                f"the context of {self.invocation.target} was used outside its own attempt: in the action "
                "of a step, in another invocation, in a thread, or after the handler had ended. Use it in the "
                "handler only, and pass values into ctx.run actions"
            )
        if self._loop.sealed:
            raise AttemptSealed

    @contextmanager
    def shielded(self) -> Generator[None]:
        """Keep a cancellation of the invocation from this task and from tasks made inside, within a `with`."""
        self.check_usable()
        task = asyncio.current_task()
        assert isinstance(task, InnerTask)
        task.shield_depth += 1
        try:
            yield
        except Exception as error:
            self.shield_broken |= final_failure(tuple(leaves_of(error))) is None
            raise
        finally:
            task.shield_depth -= 1

    def _shielded(self) -> bool:
        task = asyncio.current_task(self._loop)
        return isinstance(task, InnerTask) and task.shield_depth > 0

    def cancel_count(self) -> int:
        """Give how often a cancellation of the invocation has come; 0 for a task that is shielded from it."""
        return 0 if self._shielded() else self._cancels_count

    # Calls.

    @override
    async def call(self, request: Request, timeout_s: float | None, *, stops: bool = False) -> bytes:
        """Call a handler and give its output.

        Args:
            request: What to call.
            timeout_s: The longest wait, in seconds.
            stops: Whether cancelling the wait cancels the callee, too, and waits until it has ended.
        """
        if timeout_s is not None:
            async with asyncio.timeout(timeout_s):
                return await self.call(request, None, stops=stops)
        request = self._checked(request)
        self._waits.before_wait()
        handle = self._ask(self._operations.call, request, shielded=self._shielded())
        if stops:
            return await self._waits.call(handle, self._stop_call) or b""
        return await self._waits.operation(handle, is_call=True) or b""

    def _stop_call(self, handle: OperationHandle) -> None:
        self._ask(self._operations.stop_call, handle)

    @override
    async def send(self, request: Request, delay_ms: int) -> str:
        loop, checked = self._loop, self._checked(request)
        due_ms = loop.now_ms + delay_ms if delay_ms and not loop.time_is_stale else None
        return (await self._answer(self._operations.send, checked, delay_ms, due_ms) or b"").decode("ascii")

    def _checked(self, request: Request) -> Request:
        service = self.hosted.get(request.target.service)
        if service is not None and not fits(service, request.target.key):
            # A Restate server would try it for ever, or take it for an empty key.
            raise key_refusal(service, request.target.key)
        return checked_request(request)

    @override
    async def attach(self, ref: InvocationRef, timeout_s: float | None) -> bytes:
        async with asyncio.timeout(timeout_s):
            return await self._answer(self._operations.attach, checked_ref(ref)) or b""

    @override
    async def output(self, ref: InvocationRef) -> bytes | None:
        return await self._answer(self._operations.output, checked_ref(ref))

    @override
    async def cancel(self, ref: InvocationRef) -> None:
        self._ask(self._operations.cancel_invocation, checked_ref(ref))

    # Steps.

    async def run(
        self,
        step: Step,
        fingerprint: bytes,
        action: Callable[[], Awaitable[bytes]],
        succeeded: Callable[[bytes], None] | None = None,
    ) -> bytes:
        """Run a step and give what its action gave, now or on the attempt that ran it first.

        Args:
            step: Its name and options.
            fingerprint: Tells steps of the same name apart by their arguments.
            action: What to do, on the real loop; it is tried again by the step's policy.
            succeeded: Hears of the result even where the wait for it was cancelled meanwhile.

        Raises:
            TerminalError: The action raised it, or used up its tries under `then="fail"`.
        """
        return await self.step(step, fingerprint, action, succeeded) or b""

    def step(
        self,
        step: Step,
        fingerprint: bytes,
        action: Callable[[], Awaitable[bytes]],
        succeeded: Callable[[bytes], None] | None = None,
    ) -> Awaitable[bytes | None]:
        """Start a step; awaiting what this gives is the rest of `run`. Called where it is awaited at once."""
        self._waits.before_wait()
        handle = self._ask(self._operations.run, step.name, fingerprint, StepRunner(step, action))
        return self._waits.step(handle, succeeded)

    # State.

    async def get_state(self, name: str) -> bytes | None:
        """Read one state of the key; None when it is not set."""
        return await self._answer(self._operations.get_state, name)

    async def state_names(self) -> list[str]:
        """List the names of the states of the key, sorted."""
        names: list[str] = json.loads(await self._answer(self._operations.state_names) or b"[]")
        return names

    def set_state(self, name: str, value: bytes) -> None:
        """Write one state of the key."""
        self._ask(self._operations.set_state, name, checked_value(value, "the state {!r}", name))

    def clear_state(self, name: str) -> None:
        """Remove one state of the key."""
        self._ask(self._operations.clear_state, name)

    def clear_all_state(self) -> None:
        """Remove all state of the key."""
        self._ask(self._operations.clear_all_state)

    # Promises, awakeables and signals.

    async def promise_value(self, name: str) -> bytes:
        """Wait for a durable promise of the workflow."""
        return await self._answer(self._operations.promise_value, name) or b""

    async def promise_peek(self, name: str) -> bytes | None:
        """Look at a durable promise; None when it is not completed."""
        return await self._answer(self._operations.promise_peek, name)

    async def promise_complete(self, name: str, result: ValueOrFailure) -> None:
        """Resolve or reject a durable promise; a terminal error 409 when it was completed before."""
        result = checked_result(result, "the answer of the promise {!r}", name)
        await self._answer(self._operations.promise_complete, name, result)

    def awakeable(self) -> tuple[str, Awaitable[bytes]]:
        """Make an awakeable: its id, and what to await, also more than once."""
        awakeable_id, handle = self._ask(self._operations.awakeable)
        return awakeable_id, self._waits.answer(handle)

    @override
    async def complete_awakeable(self, awakeable_id: str, result: ValueOrFailure) -> None:
        id_ = checked_text(awakeable_id, "the awakeable id")
        self._ask(self._operations.complete_awakeable, id_, checked_result(result, "the answer of {}", id_))

    def signal(self, name: str) -> Awaitable[bytes]:
        """Give what to await, also more than once, for a named signal: the same for the same name."""
        found = self._signals.get(name)
        if found is None:
            found = self._signals[name] = self._waits.answer(self._ask(self._operations.signal, name))
        else:
            self.check_usable()
        return found

    @override
    async def complete_signal(self, ref: InvocationRef, name: str, result: ValueOrFailure) -> None:
        name = checked_text(name, "the name of a signal")
        result = checked_result(result, "the answer of the signal {!r}", name)
        self._ask(self._operations.complete_signal, checked_ref(ref), name, result)

    # What else a handler owes before it may end.

    def owe(self, what: str) -> None:
        """Note something without which the handler must not end: an attempt that ends pauses and says `what`."""
        self.owed.append(what)

    # How they ask.

    def _ask(self, method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        if asyncio._get_running_loop() is not self._loop or self._loop.sealed:
            self.check_usable()
        self._asked_count += 1
        if self._asked_count == self._warns_at:
            self._warn_of_journal()
        try:
            return method(*args, **kwargs)
        except JournalMismatch as error:
            error.place = places.of_the_handler()
            self._mismatched(error)
            raise

    def _warn_of_journal(self) -> None:
        self._warns_at *= 2
        if not self.replaying:
            _logger.warning(
                "%s (%s) has asked for %d things: its journal is read from the beginning whenever it goes on after a "
                "wait or a restart. Let it hand over what is left: send itself the rest and end, or fan out in pages",
                self.invocation.target,
                self.invocation.id,
                self._asked_count,
            )

    async def _answer(self, method: Callable[P, Issued], *args: P.args, **kwargs: P.kwargs) -> bytes | None:
        self._waits.before_wait()
        issued = self._ask(method, *args, **kwargs)
        if not isinstance(issued, Ready):
            return await self._waits.operation(issued)
        if issued.failure is not None:
            raise from_failure(issued.failure)
        return issued.value

    def _mismatched(self, error: JournalMismatch) -> None:
        raise NotImplementedError
