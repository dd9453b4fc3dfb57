"""Registering undo actions, under the policy of the saga or another."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, ParamSpec, Protocol, overload

from restate_patterns.api.context import Context
from restate_patterns.errors import StepFailed
from restate_patterns.options import Step
from restate_patterns.patterns.saga.policy import UndoPolicy
from restate_patterns.patterns.saga.stack import Duty, Group
from restate_patterns.toolkit import bound_step, callee, kept_for

P = ParamSpec("P")


class Owing(Protocol):
    """The saga, as who registers undo actions sees it."""

    ctx: Context

    def group(self) -> Group:
        """Return the group that the running code is in."""
        ...

    def check_open(self) -> None:
        """Check that the saga goes on."""
        ...

    def headers(self) -> Mapping[str, str]:
        """Return what its calls carry."""
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
        """Register a call or a send that undoes something; see `Saga.undo`."""
        group = self._open_group()
        given, named_ones = kept_for(action, args, kwargs)
        known = callee(action, {})
        owing = self._owing
        group.add(
            Duty(
                known.name,
                known.participant,
                lambda: callee(action, owing.headers()).call(*given, **named_ones),
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
        """Register a `run` step that undoes something; see `Saga.undo_step`."""
        group = self._open_group()
        group.add(step_duty(self._owing.ctx, step, self._policy, action, args, kwargs, read=_anything))

    def _open_group(self) -> Group:
        self._owing.check_open()
        return self._group or self._owing.group()


def step_duty(
    ctx: Context,
    step: str | Step,
    policy: UndoPolicy,
    action: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *,
    read: Callable[[bytes], Any] | None = None,
) -> Duty:
    """Make a duty of a `run` step.

    Its policy holds for tries inside the step, after the last of which it gives up, and for terminal errors.
    """
    named = Step(step) if isinstance(step, str) else step
    retry = replace(named.retry or policy.retry, then="fail")
    bound = bound_step(ctx, replace(named, retry=retry), action, args, kwargs)  # tells now what is wrong with it
    return Duty(named.name, None, bound.run, replace(policy, retry=retry), read or bound.decode, StepFailed)


def _anything(data: bytes) -> None:
    """Nobody reads what an undo gives."""
