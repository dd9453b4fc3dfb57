"""The same test with a crash at every point: after the first commit, before the first step's action, and so on."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
from collections import Counter
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, cast

from typing_extensions import override

from restate_patterns.errors import UsageError
from restate_patterns.limits import CRASH_POINTS_MAX
from restate_patterns.testing.clock import START
from restate_patterns.testing.crashes import CRASH_KINDS, Crashes, CrashKind, CrashPoint
from restate_patterns.testing.environment import TestEnvironment, environment

if TYPE_CHECKING:
    from restate_patterns.app import App

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class CrashPoints:
    """How many runs of a test had a crash, by where it came."""

    commits: int = 0
    """Runs with a crash right after a commit."""
    before: int = 0
    """Runs with a crash before a try of a step's action."""
    during: int = 0
    """Runs with a crash at an await of an action."""
    after: int = 0
    """Runs with a crash after a try of an action, whose result is lost."""

    @property
    def count(self) -> int:
        """How many runs had a crash in all."""
        return self.commits + self.before + self.during + self.after

    @override
    def __str__(self) -> str:
        """Return the counts in words."""
        return (
            f"a crash after each of {self.commits} commits, before {self.before} and after {self.after} tries of "
            f"steps, and at {self.during} of their awaits"
        )


class CrashingTest(Protocol[P]):
    """A test that runs at every crash point."""

    crash_points: CrashPoints
    """The points at which its last run came through; all 0 before that."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Run it at each of them."""
        ...


class CrashPointTest(Protocol):
    """Turns an `async` test that takes an environment into a plain one that pytest runs."""

    def __call__(
        self, test: Callable[Concatenate[TestEnvironment, P], Coroutine[Any, Any, None]], /
    ) -> CrashingTest[P]:
        """Return the test that runs at every crash point."""
        ...


def at_every_crash_point(
    app: Callable[[], App],
    *,
    replay_always: bool = False,
    start: datetime = START,
    kinds: Collection[CrashKind] = CRASH_KINDS,
) -> CrashPointTest:
    """Run a test undisturbed, then again and again with the process dying at each point in turn.

        @at_every_crash_point(lambda: App([Trip(FakeGateway())]))
        async def test_all_or_nothing(env: TestEnvironment) -> None: ...

    It dies after each commit; and before, during (at each of its awaits) and after each try of each step, when the
    action has had its effect and the result is not recorded: the step runs again then. A function that runs in a thread
    has no awaits.

    How many points of each kind there were is printed at the end, and kept as `crash_points` of the test.

    Args:
        app: Makes the app anew for each run.
        replay_always: Replay handlers at every wait as well.
        start: As in `run_test`.
        kinds: Which points: of "commit", "before", "during" and "after". Default: all.

    Returns:
        A decorator. An error that fails the test has a note that says where the crash was.

    Raises:
        UsageError: There are no such kinds.
    """
    strange = sorted({str(kind) for kind in kinds} - set(CRASH_KINDS))
    if strange or not kinds:
        raise UsageError(
            f"at_every_crash_point(kinds=...): take some of {', '.join(map(repr, CRASH_KINDS))}"
            + (f", not {', '.join(map(repr, strange))}" if strange else "")
        )

    def decorate(test: Callable[Concatenate[TestEnvironment, P], Coroutine[Any, Any, None]]) -> CrashingTest[P]:
        @functools.wraps(test)
        def run_all(*args: P.args, **kwargs: P.kwargs) -> None:
            async def run(crashes: Crashes) -> None:
                async with environment(app(), replay_always=replay_always, start=start, crashes=crashes) as env:
                    await test(env, *args, **kwargs)
                    await env.settle()

            crashing.crash_points = run_at_every_crash_point(run, kinds)
            sys.stdout.write(f"{test.__name__}: {crashing.crash_points}\n")

        signature = inspect.signature(test)
        fixtures = list(signature.parameters.values())[1:]
        run_all.__signature__ = signature.replace(parameters=fixtures, return_annotation=None)  # type: ignore[attr-defined] # pytest reads fixtures from it
        del run_all.__wrapped__  # or pytest sees the environment as a fixture
        crashing = cast("CrashingTest[P]", run_all)
        crashing.crash_points = CrashPoints()
        return crashing

    return decorate


def run_at_every_crash_point(
    run: Callable[[Crashes], Coroutine[Any, Any, None]], kinds: Collection[CrashKind] = CRASH_KINDS
) -> CrashPoints:
    """Run something undisturbed, which shows what points there are, and then with a crash at each of them.

    Args:
        run: Runs it once, in a process that dies where it is told to.
        kinds: Which points.
    """
    undisturbed = Crashes()
    asyncio.run(run(undisturbed))
    points = [CrashPoint(kind, number) for kind in kinds for number in range(1, undisturbed.reached_counts[kind] + 1)]
    if len(points) > CRASH_POINTS_MAX:
        raise AssertionError(f"there are {len(points)} crash points, over {CRASH_POINTS_MAX}: make the test smaller")
    came: Counter[CrashKind] = Counter()
    for point in points:
        crashes = Crashes(point.__eq__)
        try:
            asyncio.run(run(crashes))
        except BaseException as error:
            error.add_note(f"with a crash {', '.join(crashes.places) or 'that did not come'}")
            raise
        came[point.kind] += len(crashes.places)
    return CrashPoints(came["commit"], came["before"], came["during"], came["after"])
