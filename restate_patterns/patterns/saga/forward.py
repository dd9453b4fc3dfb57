"""The way forward: actions before the pivot, which fail, and after it, which are done until they succeed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from restate_patterns.api.actions import action_of
from restate_patterns.api.context import Context
from restate_patterns.api.handler_clients import patient
from restate_patterns.api.scopes import scope_of
from restate_patterns.options import Step
from restate_patterns.patterns.saga.holding import to_the_end
from restate_patterns.patterns.saga.naming import named
from restate_patterns.patterns.saga.policy import UndoPolicy
from restate_patterns.patterns.saga.record import SagaStep, SagaStepKind, SagaStepState
from restate_patterns.patterns.saga.stack import Group, Task
from restate_patterns.patterns.saga.teller import Teller
from restate_patterns.patterns.saga.underway import Begun
from restate_patterns.patterns.saga.undos import step_task
from restate_patterns.patterns.saga.unwinding import Persistence, terminal
from restate_patterns.values.fingerprints import fingerprint
from restate_patterns.values.serde import codec


class Going(Protocol):
    """The saga, as its actions see it."""

    ctx: Context

    @property
    def pivoted(self) -> bool:
        """Whether it only goes forward."""
        ...

    def begun(self, group: Group, name: str) -> Begun:
        """Count an action as under way, where one may begin."""
        ...

    def headers(self) -> Mapping[str, str]:
        """Give what its calls carry."""
        ...


class Forward:
    """Does actions of one saga.

    Args:
        saga: Whose they are.
        group: The part of the saga that they belong to.
        teller: Keeps the record.
        persistence: Does what must succeed.
        policy: How that is tried.
    """

    def __init__(self, saga: Going, group: Group, teller: Teller, persistence: Persistence, policy: UndoPolicy) -> None:
        self._saga = saga
        self._group = group
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
        known = named(action, self._saga.headers())
        begun = self._saga.begun(self._group, known.name)
        if self._saga.pivoted:
            task = Task(
                known.name, known.participant, lambda: known.call(*args, **kwargs), self._policy, known.codec.decode
            )
            return await self._must(task, begun)
        call, timeout_s = patient(known.call)
        going_on = self._saga.begun(self._group, known.name)  # also where a timeout gives up the wait for it

        async def once() -> Any:
            with going_on, self._noted(known.name, known.participant) as step:
                await self._teller.tell()
                result = await call(*args, **kwargs)
                step.state = SagaStepState.DONE
                succeeded(result)
                return result

        with begun, self._saga.ctx.shielded():
            return await to_the_end(once(), timeout_s)

    async def run(
        self,
        step: str | Step,
        action: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        succeeded: Callable[[Any], None],
    ) -> Any:
        """Run a step; `succeeded` hears of its result, also where the handler was cancelled meanwhile."""
        ctx = self._saga.ctx
        named_step = Step(step) if isinstance(step, str) else step
        bound = action_of(action, named_step, args, kwargs)
        begun = self._saga.begun(self._group, named_step.name)
        if self._saga.pivoted:
            read = (bound.codec or codec(Any)).decode
            return await self._must(step_task(ctx, named_step, self._policy, action, args, kwargs, read), begun)
        with begun, self._noted(named_step.name) as noted:
            await self._teller.tell()

            def happened(data: bytes) -> None:
                noted.state = SagaStepState.DONE
                succeeded(bound.read(data))

            return bound.read(
                await scope_of(ctx).attempt.run(named_step, fingerprint(*args, **kwargs), bound, happened)
            )

    async def _must(self, task: Task, begun: Begun) -> Any:
        with begun:
            step = self._teller.began(SagaStepKind.RETRIABLE, task.name, task.participant)
            with self._saga.ctx.shielded():
                return await to_the_end(self._persistence.finish(task, step))

    @contextmanager
    def _noted(self, name: str, participant: str | None = None) -> Generator[SagaStep]:
        """Note how an action goes that is done within a `with`."""
        step = self._teller.began(SagaStepKind.ACTION, name, participant)
        try:
            yield step
        except BaseException as error:
            if step.state is not SagaStepState.DONE:
                known = terminal(error)
                if known is not None:
                    self._teller.failed(step, known)
                step.state = SagaStepState.UNKNOWN if known is None else SagaStepState.FAILED
            raise
