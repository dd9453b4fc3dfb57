"""Testing services: an engine in memory, a clock that the test drives, crashes at every point."""

from __future__ import annotations

from restate_patterns.testing.crash_points import CrashingTest, CrashPoints, CrashPointTest, at_every_crash_point
from restate_patterns.testing.crashes import CrashKind
from restate_patterns.testing.environment import TestEnvironment, run_test
from restate_patterns.testing.errors import EndlessWait

__all__ = [
    "CrashKind",
    "CrashPointTest",
    "CrashPoints",
    "CrashingTest",
    "EndlessWait",
    "TestEnvironment",
    "at_every_crash_point",
    "run_test",
]
