"""First in, first out must hold for a key also when the places in its line were taken in different processes."""

from __future__ import annotations

import asyncio

from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.seam import ValueOrFailure
from tests.support.engines.engines import Functions, bench, bounded

app = Functions()
order: list[bytes] = []


@app.exclusive("O/hold")
async def hold(a: DurableAttempt) -> bytes:
    awakeable_id, answer = a.awakeable()
    a.set_state("awakeable", awakeable_id.encode())
    return await answer


@app.shared("O/awakeable")
async def awakeable(a: DurableAttempt) -> bytes:
    return await a.get_state("awakeable") or b""


@app.exclusive("O/note")
async def note(a: DurableAttempt) -> bytes:
    order.append(a.invocation.body)
    return b""


def test_a_key_keeps_its_line_over_restarts() -> None:
    async def test() -> None:
        order.clear()
        async with bench(app) as b:
            for number in range(20):
                await b.send(f"O/other-{number}/note", b"")
            order.clear()
            holder = await b.send("O/k/hold")
            await b.settle()
            answer_to = (await b.call("O/k/awakeable")).decode()
            await b.send("O/k/note", b"first")
            await b.restart()
            await b.send("O/k/note", b"second")
            await b.restart()
            last = await b.send("O/k/note", b"third")
            await b.engine.complete_awakeable(answer_to, ValueOrFailure(b"", None))
            assert (await bounded(b.engine.result(holder))).failure is None
            await bounded(b.engine.result(last))
            assert order == [b"first", b"second", b"third"]

    asyncio.run(test())
