"""Ids of awakeables that came as text."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from restate_patterns import App, AwakeableId, Context, Service, TerminalError, UsageError, WrongValue, handler
from restate_patterns.testing import run_test

pytestmark = pytest.mark.anyio


class Waiting(Service):
    def __init__(self) -> None:
        self.ids: list[str] = []

    @handler
    async def wait(self, ctx: Context) -> int:
        awakeable = ctx.awakeable(int)
        self.ids.append(str(awakeable.id))
        return await awakeable


async def test_one_that_is_made_of_text_knows_what_answers_it() -> None:
    waiting = Waiting()
    async with run_test(App([waiting])) as env:
        handle = await env.client.service_client(Waiting).wait.send()
        await env.settle()
        made = AwakeableId[int](waiting.ids[0])
        wrong: Any = "not a number"
        with pytest.raises(WrongValue, match="is not of the type int"):
            await made.resolve(env.client, wrong)
        with pytest.raises(WrongValue, match="reject it with a TerminalError, not 'not a number'"):
            await made.reject(env.client, wrong)
        for swapped in (made.resolve(wrong, 3), made.reject(wrong, TerminalError("no"))):
            with pytest.raises(UsageError, match=r"give a context \(inside a handler\) or a client \(outside\)"):
                await swapped
        await made.resolve(env.client, 3)
        assert await handle.result() == 3


async def test_one_without_a_type_takes_any_answer() -> None:
    waiting = Waiting()
    async with run_test(App([waiting])) as env:
        handle = await env.client.service_client(Waiting).wait.send()
        await env.settle()
        await AwakeableId[Any](waiting.ids[0]).resolve(env.client, 4)
        assert await handle.result() == 4


@pytest.mark.parametrize("wrong", [("sign_1x", int), (5,), (None,), (b"sign_1x", "utf-8")])
async def test_it_is_made_of_a_text_alone(wrong: Any) -> None:
    for make in (AwakeableId[int], AwakeableId):
        with pytest.raises(UsageError, match=r"give the id alone, a text; .* `AwakeableId\[bool\]\(text\)`"):
            make(*wrong)


async def test_it_travels_as_before() -> None:
    made: AwakeableId[int] = AwakeableId("sign_1x")
    for again in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert (type(again), again) == (AwakeableId, "sign_1x")
