"""The way forward: actions before the pivot, which fail, and after it, which are done until they succeed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from restate_patterns.actions import action_of
from restate_patterns.context import Context, scope_of
from restate_patterns.fingerprints import fingerprint
from restate_patterns.options import Step
from restate_patterns.patterns.saga.holding import to_the_end
from restate_patterns.patterns.saga.naming import named
from restate_patterns.patterns.saga.policy import UndoPolicy
from restate_patterns.patterns.saga.record import SagaStep, SagaStepKind, SagaStepState
from restate_patterns.patterns.saga.stack import Task
from restate_patterns.patterns.saga.teller import Teller
from restate_patterns.patterns.saga.undos import step_task
from restate_patterns.patterns.saga.unwinding import Persistence, terminal
from restate_patterns.serde import codec


class Going(Protocol):
    """The saga, as its actions see it."""

    ctx: Context

    @property
    def pivoted(self) -> bool:
        """Whether it only goes forward."""
        ...

    def check_open(self) -> None:
        """Check that the saga goes on."""
        ...

    def headers(self) -> Mapping[str, str]:
        """Give what its calls carry."""
        ...


class Forward:
    """Does the actions of one saga.

    Args:
        saga: Whose they are.
        teller: Keeps the record.
        persistence: Does what must succeed.
        policy: How that is tried.
    """

    def __init__(self, saga: Going, teller: Teller, persistence: Persistence, policy: UndoPolicy) -> None:
        self._saga = saga
        self._teller = teller
        self._persistence = persistence
        self._policy = policy

    async def call(
        self,
        action: Callable[..., Coroutine[Any, Any, Any]],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        succeeded: Callable[[Any], None],
    ) -> Any:
        """Call something; `succeeded` hears of its result before anything else can happen."""
        self._saga.check_open()
        known = named(action, self._saga.headers())
        if self._saga.pivoted:
            task = Task(
                known.name, known.participant, lambda: known.call(*args, **kwargs), self._policy, known.codec.decode
            )
            return await self._must(task, succeeded)
        step = self._teller.began(SagaStepKind.ACTION, known.name, known.participant)
        await self._teller.tell()

        async def once() -> Any:
            result = await known.call(*args, **kwargs)
            step.state = SagaStepState.DONE
            succeeded(result)
            return result

        try:
            with self._saga.ctx.shielded():
                return await to_the_end(once())
        except BaseException as error:
            self._ended(step, error)
            raise

    async def run(
        self,
        step: str | Step,
        action: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        succeeded: Callable[[Any], None],
    ) -> Any:
        """Run a step; `succeeded` hears of its result, also where the handler was cancelled meanwhile."""
        self._saga.check_open()
        ctx = self._saga.ctx
        named_step = Step(step) if isinstance(step, str) else step
        bound = action_of(action, named_step, args, kwargs)
        if self._saga.pivoted:
            read = (bound.codec or codec(Any)).decode
            task = step_task(ctx, named_step, self._policy, action, args, kwargs, read)
            return await self._must(task, succeeded)
        noted = self._teller.began(SagaStepKind.ACTION, named_step.name)
        await self._teller.tell()

        def happened(data: bytes) -> None:
            noted.state = SagaStepState.DONE
            succeeded(bound.read(data))

        try:
            return bound.read(
                await scope_of(ctx).attempt.run(named_step, fingerprint(*args, **kwargs), bound, happened)
            )
        except BaseException as error:
            self._ended(noted, error)
            raise

    async def _must(self, task: Task, succeeded: Callable[[Any], None]) -> Any:
        step = self._teller.began(SagaStepKind.RETRIABLE, task.name, task.participant)
        with self._saga.ctx.shielded():
            result = await to_the_end(self._persistence.finish(task, step))
        succeeded(result)
        return result

    def _ended(self, step: SagaStep, error: BaseException) -> None:
        if step.state is SagaStepState.DONE:
            return
        known = terminal(error)
        if known is None:
            step.state = SagaStepState.UNKNOWN
        else:
            self._teller.failed(step, known)
            step.state = SagaStepState.FAILED
