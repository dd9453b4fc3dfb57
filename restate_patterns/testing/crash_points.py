"""The same test with a crash at every point: after the first commit, after the second, and so on."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol

from restate_patterns.limits import CRASH_POINTS_MAX
from restate_patterns.testing.environment import CrashPlan, TestEnvironment, environment, never

if TYPE_CHECKING:
    from restate_patterns.app import App

P = ParamSpec("P")


class CrashPointTest(Protocol):
    """Turns an `async` test that takes an environment into a plain one that pytest runs."""

    def __call__(
        self, test: Callable[Concatenate[TestEnvironment, P], Coroutine[Any, Any, None]], /
    ) -> Callable[P, None]:
        """Give the test that runs at every crash point."""
        ...


def at_every_crash_point(app: Callable[[], App], *, replay_always: bool = False) -> CrashPointTest:
    """Run a test undisturbed, then again and again with the process dying after each commit in turn.

        @at_every_crash_point(lambda: App([Trip(FakeGateway())]))
        async def test_all_or_nothing(env: TestEnvironment) -> None: ...

    Args:
        app: Makes the app anew for each run.
        replay_always: Replay handlers at every wait as well.

    Returns:
        A decorator. An assertion that fails says after which commit the crash was.
    """

    def decorate(test: Callable[Concatenate[TestEnvironment, P], Coroutine[Any, Any, None]]) -> Callable[P, None]:
        @functools.wraps(test)
        def run_all(*args: P.args, **kwargs: P.kwargs) -> None:
            async def run(plan: CrashPlan) -> bool:
                async with environment(app(), replay_always=replay_always, crash_plan=plan) as env:
                    await test(env, *args, **kwargs)
                    await env.settle()
                    return env.crash_count > 0

            asyncio.run(run(never))
            for crash_after in range(1, CRASH_POINTS_MAX):
                try:
                    if not asyncio.run(run(crash_after.__eq__)):
                        return
                except BaseException as error:
                    error.add_note(f"with a crash after commit {crash_after}")
                    raise
            raise AssertionError(f"no end after {CRASH_POINTS_MAX} crash points: make the test smaller")

        signature = inspect.signature(test)
        fixtures = list(signature.parameters.values())[1:]
        run_all.__signature__ = signature.replace(parameters=fixtures, return_annotation=None)  # type: ignore[attr-defined] # pytest reads fixtures from it
        del run_all.__wrapped__  # or pytest sees the environment as a fixture
        return run_all

    return decorate
