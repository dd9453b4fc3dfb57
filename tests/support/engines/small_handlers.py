"""Small handlers for tests of the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from restate_patterns.errors import TerminalError
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.options import Step
from restate_patterns.retries import RetryPolicy
from restate_patterns.seam import ValueOrFailure
from tests.support.engines.engines import Functions, bounded, request

SECOND = timedelta(seconds=1)
app = Functions()
effects: list[str] = []


@app.handler("S/echo")
async def echo(a: DurableAttempt) -> bytes:
    return a.invocation.body


@app.handler("S/steps")
async def steps(a: DurableAttempt) -> bytes:
    async def act(name: str) -> bytes:
        effects.append(name)
        return name.encode()

    found = [await a.run(Step(name), b"", lambda name=name: act(name)) for name in ("a", "b", "c")]  # type: ignore[misc] # mypy can't infer a lambda's default
    return b"".join(found)


@app.handler("S/sleep")
async def sleep(a: DurableAttempt) -> bytes:
    await asyncio.sleep(float(a.invocation.body or b"10"))
    return b"slept"


@app.handler("S/fail")
async def fail(a: DurableAttempt) -> bytes:
    raise TerminalError("no", code=418)


@app.handler("S/flaky", retry=RetryPolicy(initial=SECOND, max_attempts=3))
async def flaky(a: DurableAttempt) -> bytes:
    effects.append("try")
    if len(effects) < int(a.invocation.body):
        raise ValueError(f"try {len(effects)}")
    return b"done"


@app.handler("S/call")
async def call(a: DurableAttempt) -> bytes:
    return await a.call(request(a.invocation.body.decode()), None)


@app.exclusive("O/add")
async def add(a: DurableAttempt) -> bytes:
    count = int(await a.get_state("count") or b"0") + 1
    await a.run(Step("work"), b"", nothing)
    a.set_state("count", b"%d" % count)
    return b"%d" % count


async def nothing() -> bytes:
    await asyncio.sleep(0)
    return b""


@app.exclusive("O/hold")
async def hold(a: DurableAttempt) -> bytes:
    awakeable_id, answer = a.awakeable()
    a.set_state("awakeable", awakeable_id.encode())
    return await answer


@app.shared("O/state")
async def state(a: DurableAttempt) -> bytes:
    return await a.get_state(a.invocation.body.decode()) or b"none"


@app.exclusive("O/call")
async def object_call(a: DurableAttempt) -> bytes:
    return await a.call(request(a.invocation.body.decode(), a.invocation.body), None)


@app.exclusive("O/compensate")
async def compensate(a: DurableAttempt) -> bytes:
    try:
        await asyncio.sleep(100)
    except TerminalError as error:
        await a.call(request("S/echo", b"undo"), None)
        a.set_state("undone", error.message.encode())
        raise
    return b""


@app.workflow("W")
async def run(a: DurableAttempt) -> bytes:
    effects.append("run")
    value = await a.promise_value("go")
    a.set_state("ended", value)
    return value


@app.shared("W/go")
async def go(a: DurableAttempt) -> bytes:
    await a.promise_complete("go", ValueOrFailure(a.invocation.body, None))
    return b"ok"


@app.shared("W/peek")
async def peek(a: DurableAttempt) -> bytes:
    return await a.promise_peek("go") or b"nothing"


def drive(test: Coroutine[Any, Any, None]) -> None:
    """Run a test with a bound, and no effects from before."""
    effects.clear()
    asyncio.run(bounded(test))
