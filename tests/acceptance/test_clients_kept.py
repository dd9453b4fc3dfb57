"""A client that is used where it is no good: after its block, in another event loop, inside a handler."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from restate_patterns import (
    App,
    Client,
    ClientClosed,
    Context,
    Embedded,
    ObjectContext,
    Service,
    UsageError,
    VirtualObject,
    handler,
)
from restate_patterns.api.typed_clients import link_of
from restate_patterns.client.engine_caller import EngineCaller
from restate_patterns.engine.errors import EngineStopped
from restate_patterns.http.server import HttpServer
from restate_patterns.seam import ValueOrFailure
from tests.support.bounds import PATIENCE_S

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


class Slow(Service):
    @handler
    async def wait(self, ctx: Context) -> str:
        await asyncio.sleep(3600)
        return "waited"

    @handler
    async def answer(self, ctx: Context) -> str:
        return "answer"


class Held(VirtualObject):
    @handler
    async def hold(self, ctx: ObjectContext) -> None:
        await asyncio.sleep(3600)


class Verbs:
    """Every verb of one client, by name."""

    def __init__(self, client: Client, id: str) -> None:
        slow = client.service_client(Slow)
        handle = client.invocation(Slow.wait, id)
        caller = link_of(client).caller
        self.all: dict[str, Callable[[], Awaitable[Any]]] = {
            "call": slow.answer,
            "timed call": slow.answer.with_options(timeout=timedelta(seconds=30)),
            "idempotent call": slow.answer.with_options(idempotency_key="k"),
            "send": slow.answer.send,
            "later": lambda: slow.answer.send_after(timedelta(hours=1)),
            "result": handle.result,
            "timed result": lambda: handle.result(timeout=timedelta(seconds=30)),
            "output": handle.output,
            "cancel": handle.cancel,
            "cancel by key": slow.answer.with_options(idempotency_key="k").handle().cancel,
            "awakeable": lambda: caller.complete_awakeable("prom_1", ValueOrFailure(b"1", None)),
        }


async def _within(waiting: Awaitable[Any]) -> BaseException | None:
    """Give what it raised, soon."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            await waiting
    except Exception as error:  # noqa: BLE001 - which one it is, is the question
        return error
    return None


@pytest.mark.parametrize("file", [":memory:", "kept.db"])
async def test_what_is_open_when_the_block_ends_gets_an_error_at_once(file: str, tmp_path: Path) -> None:
    async with App([Slow(), Held()]).start(Embedded(file if file == ":memory:" else tmp_path / file)) as client:
        slow = client.service_client(Slow)
        handle = await slow.wait.send()
        waiting = [
            asyncio.ensure_future(each)
            for each in (
                slow.wait(),
                slow.wait.with_options(timeout=timedelta(hours=1))(),
                slow.wait.with_options(idempotency_key="k")(),
                client.object_client(Held, "a").hold(),
                client.object_client(Held, "a").hold(),
                handle.result(),
                handle.result(timeout=timedelta(hours=1)),
            )
        ]
        await asyncio.sleep(0.05)

    for each in waiting:
        error = await _within(each)
        assert isinstance(error, ClientClosed), error
        assert "inside the block" in str(error)


async def test_every_verb_after_the_block_is_refused_with_the_fix() -> None:
    async with App([Slow()]).start() as client:
        verbs = Verbs(client, (await client.service_client(Slow).wait.send()).id)

    for name, ask in verbs.all.items():
        error = await _within(ask())
        assert isinstance(error, ClientClosed), (name, error)


async def test_every_verb_in_another_loop_is_refused_with_the_fix() -> None:
    async with App([Slow()]).start() as client:
        verbs = Verbs(client, (await client.service_client(Slow).wait.send()).id)

        def in_a_thread() -> list[BaseException | None]:
            return [asyncio.run(_within(ask())) for ask in verbs.all.values()]

        for error in await asyncio.to_thread(in_a_thread):
            assert isinstance(error, UsageError), error
            assert "client.blocking()" in str(error)

        threads = client.blocking()
        asked = asyncio.to_thread(lambda: threads.wait(threads.service_client(Slow).answer()))
        assert await asked == "answer"


def test_a_block_that_was_never_left_is_no_good_in_the_next_loop() -> None:
    running = App([Slow()]).start()
    client = asyncio.run(running.__aenter__())
    error = asyncio.run(_within(client.service_client(Slow).answer()))
    assert isinstance(error, (ClientClosed, UsageError))


async def test_inside_a_handler_the_clients_of_the_context_are_named() -> None:
    class Outer(Service):
        @handler
        async def ask(self, ctx: Context) -> str:
            try:
                return await kept[0].service_client(Slow).answer()
            except UsageError as error:
                return str(error)

    kept: list[Client] = []
    async with App([Slow(), Outer()]).start() as client:
        kept.append(client)
        assert "ctx.service_client" in await client.service_client(Outer).ask()


async def test_an_answer_that_the_disk_still_owes_is_waited_for() -> None:
    async with App([Slow()]).start() as client:
        sending = [asyncio.ensure_future(client.service_client(Slow).answer.send()) for _ in range(20)]
        await asyncio.sleep(0)

    for each in sending:
        error = await _within(each)
        assert error is None or isinstance(error, ClientClosed), error


async def test_a_write_of_state_that_waits_for_its_turn_ends_with_the_engine() -> None:
    engine = Embedded().engine(App([Held()]).deployment)
    await engine.start()
    client = Client.over(EngineCaller(engine))
    await client.object_client(Held, "a").hold.send()
    writing = asyncio.ensure_future(engine.set_state("Held", "a", {"x": b"1"}))
    await asyncio.sleep(0.05)
    assert not writing.done()
    await engine.stop()
    assert isinstance(await _within(writing), EngineStopped)


async def test_over_http_a_closed_client_says_so_too() -> None:
    engine = Embedded().engine(App([Slow()]).deployment)
    await engine.start()
    async with HttpServer(engine, ingress_port=0, admin_port=0) as server:
        client = Client(server.ingress_url, admin_url=server.admin_url)
        slow = client.service_client(Slow)
        handle = await slow.wait.send()
        waiting = [asyncio.ensure_future(slow.wait()), asyncio.ensure_future(handle.result())]
        await asyncio.sleep(0.2)
        await client.aclose()
        for each in (*waiting, *(ask() for ask in Verbs(client, handle.id).all.values())):
            error = await _within(each)
            assert isinstance(error, ClientClosed), error
        await server.stop(0.1)
    await engine.stop()
