"""What grows large is warned of before it reaches its limit, with numbers, and not again and again."""

from __future__ import annotations

import logging

import pytest

from restate_patterns import App, Context, ObjectContext, Service, State, VirtualObject, handler, limits
from restate_patterns.testing import run_test
from restate_patterns.values import storage_checks

pytestmark = pytest.mark.anyio
LARGE = 1_000


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JOURNAL_COMMANDS_WARNING", 10)
    monkeypatch.setattr(limits, "VALUE_BYTES_WARNING", LARGE)
    monkeypatch.setattr(storage_checks, "_warned", set[str]())


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


class Counts(Service):
    @handler
    async def steps(self, ctx: Context, count: int) -> int:
        for number in range(count):
            await ctx.run(f"step {number}", self.nothing)
        return count

    async def nothing(self) -> None:
        """Do nothing."""


class Keeps(VirtualObject):
    text = State[str](default="")

    @handler
    async def keep(self, ctx: ObjectContext, text: str) -> str:
        self.text.set(ctx, text)
        return text

    @handler
    async def make(self, ctx: ObjectContext, size: int) -> int:
        return len(await ctx.run("make", self.made, size))

    async def made(self, size: int) -> str:
        """Make a text."""
        return "x" * size


@pytest.mark.parametrize("replay_always", [False, True])
async def test_a_long_journal_is_told_of_at_each_doubling(
    caplog: pytest.LogCaptureFixture, replay_always: bool
) -> None:
    async with run_test(App([Counts()]), replay_always=replay_always) as env:
        counts = env.client.service_client(Counts)
        assert await counts.steps(9) == 9
        assert warnings(caplog) == []
        sent = await counts.steps.send(45)
        assert await sent.result() == 45
    assert [text.partition(":")[0] for text in warnings(caplog)] == [
        f"Counts/steps ({sent.id}) has asked for {count} things" for count in (10, 20, 40)
    ]


async def test_a_large_value_is_told_of_once_for_each_place(caplog: pytest.LogCaptureFixture) -> None:
    async with run_test(App([Keeps()])) as env:
        keeps = env.client.object_client(Keeps, "a")
        await keeps.keep("x" * (LARGE - 2))
        assert warnings(caplog) == []
        await keeps.keep("x" * LARGE)
        await keeps.keep("y" * LARGE)
        await keeps.make(LARGE)
    told = [text.partition(" has ")[0] for text in warnings(caplog)]
    assert told == [
        "the argument of Keeps/a/keep",
        "the state 'text'",
        "what the handler returned",
        "step 'make': its result",
    ]
    assert all(f"has {LARGE + 2} bytes, of {limits.VALUE_BYTES_MAX}" in text for text in warnings(caplog))
