"""Failures that are tried again, in the log: told, told in full once, and not told without end."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Literal

import pytest
from typing_extensions import override

from restate_patterns import App, Context, RetryPolicy, Service, Step, handler
from restate_patterns.execution.failure_reports import FailureReports
from restate_patterns.limits import (
    FAILURE_FORGOTTEN_MS,
    FAILURE_KINDS_MAX,
    FAILURE_LINE_EVERY_MS,
    FAILURE_LINES_AT_ONCE,
)
from restate_patterns.seam import Target
from restate_patterns.testing import run_test
from restate_patterns.testing.clock import VirtualClock

TRIP = Target("Trip", "book", "ann")


class _Heard(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.records: list[logging.LogRecord] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def reports(clock: VirtualClock) -> FailureReports:
    return FailureReports(clock)


@pytest.fixture
def lines() -> Iterator[list[logging.LogRecord]]:
    heard = _Heard(logging.WARNING)
    logger = logging.getLogger("restate_patterns")
    logger.addHandler(heard)
    yield heard.records
    logger.removeHandler(heard)


def fail(reports: FailureReports, target: Target = TRIP, step: str = "pay", error: Exception | None = None) -> None:
    reports.step_failed(target, "inv_1", step, error or OSError("no route"), 3, 200)


def test_a_step_is_named_with_its_try_and_the_next(reports: FailureReports, lines: list[logging.LogRecord]) -> None:
    fail(reports)
    (line,) = lines
    assert line.getMessage() == (
        "the step 'pay' of Trip/ann/book (inv_1) failed, try 3, next in 200ms: OSError: no route"
    )
    assert line.levelno == logging.WARNING


def test_a_handler_whose_tries_others_count(reports: FailureReports, lines: list[logging.LogRecord]) -> None:
    reports.attempt_failed(TRIP, "inv_1", OSError("no route"), "and will be tried again")
    assert lines[0].getMessage() == "Trip/ann/book (inv_1) failed, and will be tried again: OSError: no route"


def test_the_last_try_is_told_as_the_last(reports: FailureReports, lines: list[logging.LogRecord]) -> None:
    reports.step_failed(TRIP, "inv_1", "pay", OSError("no route"), 4, None)
    assert lines[0].getMessage() == "the step 'pay' of Trip/ann/book (inv_1) failed, try 4, the last: OSError: no route"


def test_the_traceback_is_told_once_until_the_kind_was_silent(
    reports: FailureReports, clock: VirtualClock, lines: list[logging.LogRecord]
) -> None:
    fail(reports)
    fail(reports)
    assert [line.exc_info is None for line in lines] == [False, True]
    clock.step_to(int(clock.monotonic_ms()) + FAILURE_FORGOTTEN_MS + 1)
    fail(reports)
    assert lines[-1].exc_info


def test_what_repeats_is_told_now_and_then_and_nothing_goes_uncounted(
    reports: FailureReports, clock: VirtualClock, lines: list[logging.LogRecord]
) -> None:
    for _ in range(100):
        fail(reports)
    assert len(lines) == FAILURE_LINES_AT_ONCE
    clock.step_to(int(clock.monotonic_ms()) + FAILURE_LINE_EVERY_MS)
    fail(reports)
    fail(reports)
    assert len(lines) == FAILURE_LINES_AT_ONCE + 1
    assert f"({100 - FAILURE_LINES_AT_ONCE} more like it since the last such line)" in lines[-1].getMessage()


def test_another_key_or_step_is_the_same_kind(reports: FailureReports, lines: list[logging.LogRecord]) -> None:
    for number in range(100):
        fail(reports, Target("Trip", "book", f"user {number}"), f"pay {number}")
    assert len(lines) == FAILURE_LINES_AT_ONCE


@pytest.mark.parametrize(
    ("target", "step", "error"),
    [
        (Target("Trip", "cancel", "ann"), "pay", OSError()),
        (Target("Cart", "book", "ann"), "pay", OSError()),
        (TRIP, "pay", ValueError()),
    ],
)
def test_another_kind_is_told_of_at_once(
    reports: FailureReports, lines: list[logging.LogRecord], target: Target, step: str, error: Exception
) -> None:
    for _ in range(100):
        fail(reports)
    fail(reports, target, step, error)
    assert len(lines) == FAILURE_LINES_AT_ONCE + 1
    assert lines[-1].exc_info


def test_kinds_without_end_take_no_memory_without_end(reports: FailureReports) -> None:
    for number in range(FAILURE_KINDS_MAX + 50):
        fail(reports, Target("Trip", f"book_{number}"))
    assert len(reports._kinds) == FAILURE_KINDS_MAX


class Flaky(Service):
    """Fails now and then."""

    def __init__(self, failures: int) -> None:
        self.failures = ["no route"] * failures

    def work(self) -> str:
        """Do it, unless there are failures left."""
        if self.failures:
            raise ConnectionError(self.failures.pop())
        return "done"

    @handler
    async def in_step(self, ctx: Context) -> str:
        """Fail in a step."""
        return await ctx.run(Step("work", retry=RetryPolicy(initial=timedelta(milliseconds=1))), self.work)

    @handler(retry=RetryPolicy(initial=timedelta(milliseconds=1)))
    async def beside(self, ctx: Context) -> str:
        """Fail in the handler."""
        return self.work()


class Impatient(Service, retry=RetryPolicy(max_attempts=1, then="fail")):
    """Tries once."""

    def __init__(self, policy: RetryPolicy) -> None:
        self.policy = policy

    def work(self) -> str:
        """Fail."""
        raise ConnectionError("no route")

    @handler
    async def in_step(self, ctx: Context) -> str:
        """Fail in a step."""
        return await ctx.run(Step("work", retry=self.policy), self.work)

    @handler
    async def beside(self, ctx: Context) -> str:
        """Fail in the handler."""
        return self.work()


@pytest.mark.anyio
@pytest.mark.parametrize("where", ["in_step", "beside"])
async def test_an_engine_tells_of_each_try(where: str, lines: list[logging.LogRecord]) -> None:
    flaky = Flaky(3)
    async with run_test(App([flaky])) as env:
        client = env.client.service_client(Flaky)
        sent = await (client.in_step if where == "in_step" else client.beside).send()
        await env.advance(timedelta(seconds=1))
        assert await sent.result() == "done"
    said = [line.getMessage() for line in lines]
    word = "try" if where == "in_step" else "attempt"
    assert [f", {word} {number}, next in " in text for number, text in enumerate(said, 1)] == [True] * 3
    assert all(sent.id in text and "ConnectionError: no route" in text for text in said)
    assert [line.exc_info is None for line in lines] == [False, True, True]


@pytest.mark.anyio
@pytest.mark.parametrize("then", ["fail", "pause"])
async def test_an_engine_tells_of_the_last_try(then: Literal["fail", "pause"], lines: list[logging.LogRecord]) -> None:
    async with run_test(App([Impatient(RetryPolicy(max_attempts=1, then=then))])) as env:
        sent = await env.client.service_client(Impatient).in_step.send()
        await env.settle()
        other = await env.client.service_client(Impatient).beside.send()
        await env.settle()
    last = [line for line in lines if ", the last: ConnectionError: no route" in line.getMessage()]
    assert [sent.id in last[0].getMessage(), other.id in last[1].getMessage()] == [True, True]
    assert all(line.exc_info for line in last)
