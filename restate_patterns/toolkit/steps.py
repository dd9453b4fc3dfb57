"""A step with its action and arguments, apart from running it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from restate_patterns.api.actions import Action, action_of
from restate_patterns.api.context import Context
from restate_patterns.api.scopes import scope_of
from restate_patterns.options import Step
from restate_patterns.values.fingerprints import fingerprint
from restate_patterns.values.serde import codec


@dataclass(frozen=True, slots=True)
class BoundStep:
    """What `ctx.run` would do with these arguments. Made by `bound_step`."""

    ctx: Context
    step: Step
    _action: Action

    def run(self, happened: Callable[[Any], None] | None = None) -> Coroutine[Any, Any, Any]:
        """Run the step and return its result, now or from the journal. Call it again to run it once more.

        Args:
            happened: Hears of the result before anything else can happen, also where the wait for it was cancelled
                meanwhile.

        Raises:
            TerminalError: The action raised it, or used up its tries under `then="fail"`.
        """
        work = self._run(happened)
        return scope_of(self.ctx).attempt.track(work, f"ctx.run({self.step.name!r}, ...)")

    async def _run(self, happened: Callable[[Any], None] | None) -> Any:
        action = self._action

        def hears(data: bytes) -> None:
            if happened is not None:
                happened(action.read(data))

        arguments = fingerprint(*action.args, **action.kwargs)
        return action.read(await scope_of(self.ctx).attempt.run(self.step, arguments, action, hears))

    def decode(self, data: bytes) -> Any:
        """Return the result that a person supplied in the place of the step's own.

        Raises:
            InvalidInput: It is not what the action returns. Terminal.
        """
        return (self._action.codec or codec(Any)).decode(data)


def bound_step(
    ctx: Context, step: str | Step, action: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> BoundStep:
    """Bind a step to its arguments, as they are now.

    Raises:
        UsageError: A context is among the arguments, or `action` can't be called.
    """
    named = Step(step) if isinstance(step, str) else step
    return BoundStep(ctx, named, action_of(action, named, args, kwargs))
