"""The way forward: actions before the pivot, which fail, and after it, which are done until they succeed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from restate_patterns.api.context import Context
from restate_patterns.options import Step
from restate_patterns.patterns.saga.policy import UndoPolicy
from restate_patterns.patterns.saga.record import SagaStep, SagaStepKind, SagaStepState
from restate_patterns.patterns.saga.stack import Duty, Group
from restate_patterns.patterns.saga.teller import Teller
from restate_patterns.patterns.saga.underway import Begun
from restate_patterns.patterns.saga.undos import step_duty
from restate_patterns.patterns.saga.unwinding import Unwinding
from restate_patterns.toolkit import bound_step, callee, terminal, to_the_end, without_timeout


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
        """Return what its calls carry."""
        ...


class Forward:
    """Does actions of one saga.

    Args:
        saga: Whose they are.
        group: The part of the saga that they belong to.
        teller: Keeps the record.
        unwinding: Does what must succeed.
        policy: How that is tried.
    """

    def __init__(self, saga: Going, group: Group, teller: Teller, unwinding: Unwinding, policy: UndoPolicy) -> None:
        self._saga = saga
        self._group = group
        self._teller = teller
        self._unwinding = unwinding
        self._policy = policy

    async def call(
        self,
        action: Callable[..., Coroutine[Any, Any, Any]],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        succeeded: Callable[[Any], None],
    ) -> Any:
        """Call something; `succeeded` hears of its result before anything else can happen."""
        known = callee(action, self._saga.headers())
        begun = self._saga.begun(self._group, known.name)
        if self._saga.pivoted:
            duty = Duty(
                known.name, known.participant, lambda: known.call(*args, **kwargs), self._policy, known.codec.decode
            )
            return await self._must(duty, begun)
        call, timeout_s = without_timeout(known.call)
        going_on = self._saga.begun(self._group, known.name)  # also where a timeout gives up the wait for it

        async def once() -> Any:
            with going_on, self._noted(known.name, known.participant) as step:
                await self._teller.tell()
                result = await call(*args, **kwargs)
                self._teller.step_stands(step, SagaStepState.DONE)
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
        bound = bound_step(ctx, step, action, args, kwargs)
        begun = self._saga.begun(self._group, bound.step.name)
        if self._saga.pivoted:
            return await self._must(step_duty(ctx, step, self._policy, action, args, kwargs), begun)
        with begun, self._noted(bound.step.name) as noted:
            await self._teller.tell()

            def happened(result: Any) -> None:
                self._teller.step_stands(noted, SagaStepState.DONE)
                succeeded(result)

            return await bound.run(happened)

    async def _must(self, duty: Duty, begun: Begun) -> Any:
        with begun:
            step = self._teller.began(SagaStepKind.RETRIABLE, duty.name, duty.participant)
            with self._saga.ctx.shielded():
                return await to_the_end(self._unwinding.finish(duty, step))

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
                self._teller.step_stands(step, SagaStepState.UNKNOWN if known is None else SagaStepState.FAILED)
            raise
