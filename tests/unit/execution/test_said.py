"""Each line of a handler's log once: the lines of attempts that were cut short, and what is forgotten."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest

from restate_patterns import App, Context, RetryPolicy, Service, handler, limits
from restate_patterns.execution.said import SaidLines, Saying
from restate_patterns.testing import run_test


def said(lines: SaidLines, attempt: list[tuple[str, int, bool]], id: str = "a") -> list[str]:
    """Give what an attempt shows of its lines: (text, place, replaying)."""
    saying = Saying(lines, id)
    return [text for text, place, replaying in attempt if saying.is_new(text, place, replaying=replaying)]


def test_what_an_attempt_that_failed_has_said_is_not_said_again() -> None:
    lines = SaidLines()
    first = [("one", 1, False), ("two", 2, False), ("two", 2, False)]

    assert said(lines, first) == ["one", "two", "two"]
    assert said(lines, [*first, ("two", 2, False), ("three", 2, False)]) == ["two", "three"]
    assert said(lines, [*first, ("another", 2, False), ("three", 2, False), ("four", 3, False)]) == ["another", "four"]


def test_what_the_journal_is_past_is_silent_also_where_nothing_is_remembered() -> None:
    lines = SaidLines()

    assert said(lines, [("one", 1, True), ("two", 2, False)]) == ["two"]
    assert said(lines, [("one", 1, False), ("two", 2, False), ("three", 3, True)]) == []


def test_invocations_are_apart_and_ended_ones_forgotten() -> None:
    lines = SaidLines()

    assert said(lines, [("one", 1, False)], "a") == said(lines, [("one", 1, False)], "b") == ["one"]
    lines.forget("a")
    assert said(lines, [("one", 1, False)], "a") == ["one"]


def test_no_more_is_remembered_than_the_bounds_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("restate_patterns.execution.said.SAID_INVOCATIONS_MAX", 2)
    monkeypatch.setattr("restate_patterns.execution.said.SAID_LINES_MAX", 3)
    lines = SaidLines()
    many = [(f"line {number}", 1, False) for number in range(5)]

    for each in "abc":
        assert len(said(lines, many, each)) == 5
    assert said(lines, many, "c") == ["line 3", "line 4"]
    assert len(said(lines, many, "a")) == 5
    assert limits.SAID_LINES_MAX > 3


class Speaker(Service):
    def __init__(self) -> None:
        self.failures: list[OSError] = []

    @handler(retry=RetryPolicy(initial=timedelta(seconds=1)))
    async def speak(self, ctx: Context) -> None:
        ctx.logger.info("begins")
        await ctx.run("step", int)
        if ctx.logger.isEnabledFor(logging.INFO):
            ctx.logger.info("worked")
        if len(self.failures) < 2:
            self.failures.append(OSError("not yet"))
            raise self.failures[-1]
        ctx.logger.info("goes on")
        ctx.logger.debug("in detail")
        await ctx.run("step", int)
        ctx.logger.info("ends")


@pytest.mark.anyio
@pytest.mark.parametrize("crashes", [False, True])
@pytest.mark.parametrize("replay_always", [False, True])
async def test_lines_behind_a_failure(caplog: pytest.LogCaptureFixture, replay_always: bool, crashes: bool) -> None:
    """They are logged, as said by the line of the handler that says them, also by an engine that has just started."""
    caplog.set_level(logging.INFO)
    async with run_test(App([Speaker()]), replay_always=replay_always) as env:
        handle = await env.client.service_client(Speaker).speak.send()
        await env.settle()
        if crashes:
            await env.crash()
        await env.advance(timedelta(minutes=1))
        async with asyncio.timeout(30):
            await handle.result()
    mine = [record for record in caplog.records if record.name.endswith("Speaker.speak")]
    assert [record.getMessage() for record in mine] == ["begins", "worked", "goes on", "ends"]
    assert {record.filename for record in mine} == {"test_said.py"}
    assert {record.funcName for record in mine} == {"speak"}
