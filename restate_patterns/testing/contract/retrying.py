"""What is tried again, by the class of its error, and when, as the error asks."""

from __future__ import annotations

from datetime import timedelta

from restate_patterns.api.context import Context
from restate_patterns.api.definitions import Service
from restate_patterns.api.handlers import handler
from restate_patterns.errors import StepFailed, TerminalError
from restate_patterns.options import Step
from restate_patterns.retries import RetryableError, RetryPolicy
from restate_patterns.testing.contract.expect import equal, raised, true
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage

_AT_ONCE = timedelta(milliseconds=1)
NOT_BUGS = RetryPolicy(initial=_AT_ONCE, give_up_on=[LookupError, ArithmeticError], then="fail")
ONLY_WEATHER = RetryPolicy(initial=_AT_ONCE, retry_on=[ConnectionError], then="pause")
IN_AN_HOUR = RetryPolicy(initial=timedelta(hours=1), maximum=timedelta(hours=1), jitter=0.5)


class Retrying(Recording, Service, name="ContractRetrying"):
    async def fail(self, key: str, *errors: str) -> str:
        """Fail as often as there are errors, with one after the other."""
        self.seen.note(key, "try")
        count = self.seen.count(key, "try")
        if count > len(errors):
            return "worked"
        if errors[count - 1] == "busy":
            raise RetryableError("busy", retry_after=_AT_ONCE)
        raise {"key": KeyError, "weather": ConnectionError, "value": ValueError}[errors[count - 1]]("no data yet")

    async def fail_together(self, key: str) -> str:
        """Fail with two errors at once."""
        self.seen.note(key, "try")
        raise ExceptionGroup("both", [ConnectionError("no route"), ExceptionGroup("inner", [KeyError("a bug")])])

    @handler
    async def bug_in_step(self, ctx: Context, key: str) -> str:
        try:
            return await ctx.run(Step("fail", retry=NOT_BUGS), self.fail, key, "weather", "key")
        except StepFailed as error:
            return error.cause

    @handler
    async def bugs_in_step(self, ctx: Context, key: str) -> str:
        try:
            return await ctx.run(Step("fail", retry=NOT_BUGS), self.fail_together, key)
        except StepFailed as error:
            return error.step

    @handler
    async def not_weather_in_step(self, ctx: Context, key: str) -> str:
        return await ctx.run(Step("fail", retry=ONLY_WEATHER), self.fail, key, "weather", "value")

    @handler
    async def busy_in_step(self, ctx: Context, key: str) -> str:
        return await ctx.run(Step("fail", retry=IN_AN_HOUR), self.fail, key, "busy", "busy")

    @handler(retry=NOT_BUGS)
    async def bug(self, ctx: Context, key: str) -> str:
        return await self.fail(key, "weather", "key")

    @handler(retry=ONLY_WEATHER)
    async def not_weather(self, ctx: Context, key: str) -> str:
        return await self.fail(key, "weather", "value")

    @handler(retry=IN_AN_HOUR)
    async def busy(self, ctx: Context, key: str) -> str:
        return await self.fail(key, "busy", "busy")


DEFINITIONS = [Retrying]


@guarantee
async def given_up_in_a_step(stage: Stage) -> None:
    """A step whose policy gives up on the class of its error, or on one of a group, fails without another try."""
    key, other = stage.key(), stage.key()
    true("no data yet" in await stage.client.service_client(Retrying).bug_in_step(key), "the cause is not said")
    equal(stage.seen.count(key, "try"), 2)
    equal(await stage.client.service_client(Retrying).bugs_in_step(other), "fail")
    equal(stage.seen.count(other, "try"), 1)


@guarantee
async def not_tried_again_in_a_step(stage: Stage) -> None:
    """A step whose policy does not list the class of its error pauses without another try, and goes on when resumed."""
    key = stage.key()
    sent = await stage.client.service_client(Retrying).not_weather_in_step.send(key)
    true("no data yet" in await stage.paused_because(sent.id), "the reason does not say the cause")
    equal(stage.seen.count(key, "try"), 2)
    await stage.admin.resume(sent.id)
    equal(await sent.result(), "worked")


@guarantee
async def retry_after_in_a_step(stage: Stage) -> None:
    """A step is tried again when its `RetryableError` says, whatever its policy does."""
    key = stage.key()
    equal(await stage.client.service_client(Retrying).busy_in_step(key), "worked")
    equal(stage.seen.count(key, "try"), 3)


@guarantee
async def given_up_in_a_handler(stage: Stage) -> None:
    """A handler whose policy gives up on the class of its error ends with a 500 without another attempt."""
    key = stage.key()
    error = await raised(TerminalError, stage.client.service_client(Retrying).bug(key))
    equal(error.code, 500)
    true("no data yet" in error.message, f"the sentence does not say the cause: {error.message}")
    equal(stage.seen.count(key, "try"), 2)


@guarantee
async def not_tried_again_in_a_handler(stage: Stage) -> None:
    """A handler whose policy does not list the class of its error pauses without another attempt."""
    key = stage.key()
    sent = await stage.client.service_client(Retrying).not_weather.send(key)
    true("no data yet" in await stage.paused_because(sent.id), "the reason does not say the cause")
    equal(stage.seen.count(key, "try"), 2)
    await stage.admin.resume(sent.id)
    equal(await sent.result(), "worked")


@guarantee
async def retry_after_in_a_handler(stage: Stage) -> None:
    """An attempt is made again when the `RetryableError` of the last one says, whatever the policy does."""
    key = stage.key()
    equal(await stage.client.service_client(Retrying).busy(key), "worked")
    equal(stage.seen.count(key, "try"), 3)
