"""Steps that run in a process: adopted, stopped, and kept until the server has their result."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from restate_patterns.errors import JournalMismatch
from restate_patterns.execution.failure_reports import FailureReports
from restate_patterns.execution.steps import StepRunner
from restate_patterns.options import Step
from restate_patterns.restate.steps import RunningStep, RunningSteps
from restate_patterns.retries import RetryPolicy
from restate_patterns.seam import STEP_STOPPED, StepExhausted, Target, ValueOrFailure
from restate_patterns.system.clock import SystemClock

pytestmark = pytest.mark.anyio

TARGET = Target("Trip", "book")
WHERE = ("inv_1", 3)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def steps() -> RunningSteps:
    clock = SystemClock()
    return RunningSteps(clock, FailureReports(clock))


def runner(action: Callable[[], Awaitable[bytes | None]], retry: RetryPolicy | None = None) -> StepRunner:
    return StepRunner(Step("charge", retry=retry), action)


async def ended(step: RunningStep) -> ValueOrFailure | BaseException | None:
    assert step.task is not None
    await asyncio.wait({step.task}, timeout=5)
    await asyncio.sleep(0)
    return step.ended


async def test_rule_11_a_step_is_adopted_and_never_started_twice(steps: RunningSteps) -> None:
    began: list[str] = []
    gate = asyncio.Event()

    async def charge() -> bytes:
        began.append("charge")
        await gate.wait()
        return b"paid"

    first = steps.ensure(TARGET, WHERE, "charge", "ff", runner(charge))
    assert steps.ensure(TARGET, WHERE, "charge", "ff", runner(charge)) is first
    await asyncio.sleep(0)
    gate.set()
    assert await ended(first) == ValueOrFailure(b"paid", None)
    assert steps.ensure(TARGET, WHERE, "charge", "ff", runner(charge)).ended == ValueOrFailure(b"paid", None)
    assert began == ["charge"]


async def test_rule_11_an_attempt_that_leaves_late_does_not_deafen_the_next(steps: RunningSteps) -> None:
    gate = asyncio.Event()

    async def charge() -> bytes:
        await gate.wait()
        return b"paid"

    told: list[str] = []

    def old(step: RunningStep) -> None:
        told.append("old")

    def new(step: RunningStep) -> None:
        told.append("new")

    step = steps.ensure(TARGET, WHERE, "charge", "ff", runner(charge))
    step.on_end = old
    step.on_end = new
    step.leave(old)
    gate.set()
    await ended(step)
    assert told == ["new"]
    step.leave(new)
    assert step.on_end is None


async def test_rule_06_another_step_in_its_place_is_a_mismatch(steps: RunningSteps) -> None:
    async def charge() -> bytes:
        return b"paid"

    steps.ensure(TARGET, WHERE, "charge", "ff", runner(charge))
    for name, arguments in (("refund", "ff"), ("charge", "00")):
        with pytest.raises(JournalMismatch, match="which has begun"):
            steps.ensure(TARGET, WHERE, name, arguments, runner(charge))


async def test_a_step_whose_result_the_server_has_is_forgotten(steps: RunningSteps) -> None:
    async def charge() -> bytes:
        return b"paid"

    first = steps.ensure(TARGET, WHERE, "charge", "ff", runner(charge))
    await ended(first)
    steps.forget(WHERE)
    assert steps.ensure(TARGET, WHERE, "charge", "ff", runner(charge)) is not first


async def test_rule_12_a_stopped_step_ends_with_its_outcome(steps: RunningSteps) -> None:
    async def wait() -> bytes:
        await asyncio.Event().wait()
        return b""

    async def finish() -> bytes:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return b"done all the same"
        return b""

    waiting = steps.ensure(TARGET, WHERE, "wait", "", runner(wait))
    finishing = steps.ensure(TARGET, ("inv_2", 1), "finish", "", runner(finish))
    await asyncio.sleep(0)
    waiting.stop()
    finishing.stop()
    assert await ended(waiting) == STEP_STOPPED
    assert await ended(finishing) == ValueOrFailure(b"done all the same", None)


async def test_a_step_that_the_end_of_the_process_cancels_comes_to_nothing(steps: RunningSteps) -> None:
    async def wait() -> bytes:
        await asyncio.Event().wait()
        return b""

    told: list[RunningStep] = []
    step = steps.ensure(TARGET, WHERE, "wait", "", runner(wait))
    step.on_end = told.append
    await asyncio.sleep(0)
    assert await steps.drain(0) == 1
    assert await ended(step) is None
    assert told == []


async def test_a_step_that_used_up_its_tries_begins_anew_when_resumed(steps: RunningSteps) -> None:
    async def fail() -> bytes:
        raise ConnectionError("no route")

    once = RetryPolicy(initial=timedelta(0), max_attempts=1)
    step = steps.ensure(TARGET, WHERE, "charge", "ff", runner(fail, once))
    assert isinstance(await ended(step), StepExhausted)
    assert steps.ensure(TARGET, WHERE, "charge", "ff", runner(fail, once)) is not step
    assert steps.count() == 1
