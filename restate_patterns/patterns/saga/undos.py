"""Registering undo actions: what `saga` and `saga.with_policy(...)` share."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, ParamSpec, Protocol, overload

from restate_patterns.api.actions import action_of
from restate_patterns.api.context import Context
from restate_patterns.errors import StepFailed
from restate_patterns.options import Step
from restate_patterns.patterns.saga.naming import kept_for, named
from restate_patterns.patterns.saga.policy import UndoPolicy
from restate_patterns.patterns.saga.stack import Group, Task

P = ParamSpec("P")


class Owing(Protocol):
    """The saga, as who registers undo actions sees it."""

    ctx: Context

    def group(self) -> Group:
        """Give the group that the running code is in."""
        ...

    def check_open(self) -> None:
        """Check that the saga goes on."""
        ...

    def headers(self) -> Mapping[str, str]:
        """Give what its calls carry."""
        ...


class Undos:
    """Registers undo actions of one saga under one policy.

    Args:
        saga: Whose they are.
        policy: How they are tried, unless they say.
        group: Where they go. Default: the group that the running code is in.
    """

    def __init__(self, saga: Owing, policy: UndoPolicy, group: Group | None = None) -> None:
        self._owing = saga
        self._policy = policy
        self._group = group

    def undo(self, action: Callable[P, Coroutine[Any, Any, object]], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Register a call or a send that undoes something. It runs if the saga ends with a terminal error.

        Register it after the action when the action's answer is needed for it, and an action without an answer
        needs no undo; before the action when it takes effect at once and its answer may get lost.

        Args:
            action: A handler of a client, its `send`, or any coroutine function. May run more than once.
            args: For the action, as they are now: what becomes of them later does not reach it.
            kwargs: For the action.

        Raises:
            UsageError: The saga is over or past its pivot, or the arguments are not what the handler takes.
        """
        group = self._open_group()
        given, named_ones = kept_for(action, args, kwargs)
        known = named(action, {})
        owing = self._owing
        group.add(
            Task(
                known.name,
                known.participant,
                lambda: named(action, owing.headers()).call(*given, **named_ones),
                self._policy,
                _anything,
            )
        )

    @overload
    def undo_step(
        self, step: str | Step, action: Callable[P, Coroutine[Any, Any, object]], /, *args: P.args, **kwargs: P.kwargs
    ) -> None: ...
    @overload
    def undo_step(
        self, step: str | Step, action: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs
    ) -> None: ...
    def undo_step(self, step: str | Step, action: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        """Register a `run` step that undoes something. It runs if the saga ends with a terminal error.

        Args:
            step: The step's name, or a `Step` with retry policy and timeout. After its last try the saga is
                stuck until a person decides, whatever the policy's `then` says.
            action: What to do, async or not. May run more than once.
            args: For the action, as they are now: what becomes of them later does not reach it.
            kwargs: For the action.

        Raises:
            UsageError: The saga is over or past its pivot, or `action` is no function.
        """
        group = self._open_group()
        group.add(step_task(self._owing.ctx, step, self._policy, action, args, kwargs, _anything))

    def _open_group(self) -> Group:
        self._owing.check_open()
        return self._group or self._owing.group()


def step_task(
    ctx: Context,
    step: str | Step,
    policy: UndoPolicy,
    action: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    read: Callable[[bytes], Any],
) -> Task:
    """Make a task of a `run` step.

    Its policy holds for tries inside the step, after the last of which it gives up, and for terminal errors.
    """
    named_step = Step(step) if isinstance(step, str) else step
    retry = replace(named_step.retry or policy.retry, then="fail")
    patient = replace(named_step, retry=retry)
    bound = action_of(action, patient, args, kwargs)  # tells now what is wrong with it
    return Task(
        named_step.name,
        None,
        lambda: ctx.run(patient, action, *bound.args, **bound.kwargs),
        replace(policy, retry=retry),
        read,
        StepFailed,
    )


def _anything(data: bytes) -> None:
    """Nobody reads what an undo gives."""
