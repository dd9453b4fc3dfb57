"""More callers, connections and streams than there is room for: who ends a wait always gets in, the rest a reason."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from restate_patterns.http.descriptors import connections_allowed
from tests.support.bounds import PATIENCE_S
from tests.support.http.raw_http import Answer, Framing, Plain, Upload, exchange, plain, streams
from tests.support.processes.dev_server import DevServer

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

FEW = 256
PROGRAM = """
from restate_patterns import App, Context, Service, handler


class Desk(Service):
    @handler
    async def wait(self, ctx: Context) -> str:
        answer = ctx.awakeable(str)
        with open("awakeables", "a") as file:
            file.write(answer.id + chr(10))
        return await answer

    @handler
    async def ping(self, ctx: Context) -> str:
        return "pong"


app = App([Desk()])
"""

WAIT = Upload("/Desk/wait", b"", Framing.LENGTH, headers=())
PING = WAIT._replace(path="/Desk/ping")


@pytest.fixture(params=[False, True], ids=["many", "few"])
def few(request: pytest.FixtureRequest) -> bool:
    """Whether the server may open few files only."""
    found: bool = request.param
    return found


@pytest.fixture
def house(few: bool, tmp_path: Path) -> Iterator[DevServer]:
    """A server of calls that wait, and of others that do not."""
    connections_allowed()  # this process needs as many
    (tmp_path / "program.py").write_text(PROGRAM)
    started = DevServer(tmp_path, "program:app", descriptors=FEW if few else None)
    try:
        started.start()
        yield started
    finally:
        started.close()


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


async def ask(port: int, method: str, path: str) -> int:
    """Ask for something that does not wait, and give the status; it must be answered, whoever waits."""
    async with asyncio.timeout(PATIENCE_S):
        answer = await exchange(port, Upload(path, b"", Framing.LENGTH, method, ()))
        assert answer is not None, path
        return answer.status


async def said_to_http2(port: int) -> bytes:
    """Begin with HTTP/2 and give all that comes until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
    try:
        return await reader.read()
    finally:
        writer.close()


async def check_alive(house: DevServer) -> None:
    """Whoever does not wait is answered: looks, sends, admin."""
    ingress, admin = port_of(house.ingress_url), port_of(house.admin_url)
    assert await ask(ingress, "GET", "/restate/health") == 200
    assert await ask(ingress, "POST", "/Desk/ping/send") == 202
    assert await ask(admin, "GET", "/health") == 200
    assert await ask(admin, "GET", "/embedded/invocations?limit=5") == 200


async def waiting(house: DevServer, count: int) -> list[str]:
    """Wait until so many invocations wait, and give the ids of their awakeables."""
    file = house.folder / "awakeables"
    async with asyncio.timeout(PATIENCE_S):
        while len(found := file.read_text().splitlines() if file.exists() else []) < count:
            await asyncio.sleep(0.05)
    return found


async def resolve(house: DevServer, awakeables: list[str]) -> None:
    """Resolve them all, some at a time."""
    body = Upload("", b'"done"', Framing.LENGTH, headers=(("content-type", "application/json"),))
    for start in range(0, len(awakeables), 20):
        paths = [f"/restate/awakeables/{each}/resolve" for each in awakeables[start : start + 20]]
        answers = await asyncio.gather(*(exchange(port_of(house.ingress_url), body._replace(path=p)) for p in paths))
        assert {answer and answer.status for answer in answers} == {202}


async def call(stack: AsyncExitStack, port: int) -> asyncio.Future[Answer | None]:
    """Call and wait, on a connection of its own that stays."""
    line: Plain = await stack.enter_async_context(plain(port))
    await line.send(WAIT)
    return asyncio.ensure_future(line.answer())


async def turned_away(house: DevServer, calls: list[asyncio.Future[Answer | None]]) -> list[Answer | None]:
    """Wait until all callers either wait or have been refused, and give what these were told."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            told = [each.result() for each in calls if each.done()]
            if len(told) + len(await waiting(house, 0)) == len(calls):
                return told
            await asyncio.sleep(0.05)


async def test_callers_who_wait_keep_nobody_out(house: DevServer, few: bool) -> None:
    """With many descriptors all wait; with few those beyond are told why; all who wait get their answers."""
    port, many = port_of(house.ingress_url), 300 if few else 1_500
    async with AsyncExitStack() as stack:
        calls = [await call(stack, port) for _ in range(many)]
        await check_alive(house)
        await waiting(house, 100 if few else many)
        await check_alive(house)
        refused = await turned_away(house, calls)
        assert bool(refused) == few
        assert all(answer is not None and answer.status == 503 for answer in refused), refused
        assert all(answer is not None and b"open files" in answer.body for answer in refused)
        still = [each for each in calls if not each.done()]
        await resolve(house, await waiting(house, len(still)))
        answers = await asyncio.gather(*still)
        assert set(answers) == {Answer(200, b'"done"')}
    assert await exchange(port, PING) == Answer(200, b'"pong"')


async def test_connections_that_say_nothing_make_room(house: DevServer, few: bool) -> None:
    """Without a request, or in the middle of one's head; over as many as there may be, for as long as they like."""
    port, many = port_of(house.ingress_url), 400 if few else 2_000
    async with AsyncExitStack() as stack:
        caller = await call(stack, port)
        (awakeable,) = await waiting(house, 1)
        for number in range(many):
            line = await stack.enter_async_context(plain(port))
            if number % 2:
                with contextlib.suppress(ConnectionError):
                    await line.write(b"POST /Desk/ping HT")
        assert await ask(port_of(house.admin_url), "GET", "/health") == 200
        async with asyncio.timeout(PATIENCE_S):
            assert await exchange(port, PING) == Answer(200, b'"pong"')
        await resolve(house, [awakeable])
        assert await caller == Answer(200, b'"done"')


async def test_streams_that_wait_keep_nobody_out(house: DevServer, few: bool) -> None:
    """Thousands on one connection, and the one that ends their wait beside them on it."""
    port, many = port_of(house.ingress_url), 500 if few else 2_000
    async with streams(port) as line:
        numbers = [await line.send(WAIT._replace(framing=Framing.STREAM)) for _ in range(many)]
        awakeables = await waiting(house, many)
        await check_alive(house)
        json = (("content-type", "application/json"),)
        ends = [f"/restate/awakeables/{awakeable}/resolve" for awakeable in awakeables]
        resolving = [await line.send(Upload(end, b'"done"', Framing.STREAM_LENGTH, headers=json)) for end in ends]
        assert {await line.answer(number) for number in resolving} == {Answer(202, b"")}
        assert {await line.answer(number) for number in numbers} == {Answer(200, b'"done"')}


@pytest.mark.parametrize("few", [True], indirect=True)
async def test_full_of_uploads_the_rest_get_a_reason(house: DevServer) -> None:
    """Where no connection is idle, those beyond are answered 503, and served once there is room."""
    port = port_of(house.ingress_url)
    async with AsyncExitStack() as stack:
        for _ in range(FEW):
            line = await stack.enter_async_context(plain(port))
            await line.write(b"POST /Desk/ping HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 9\r\n\r\n12345")
        async with asyncio.timeout(PATIENCE_S):
            answer = await exchange(port, PING)
        assert answer is not None
        assert (answer.status, b"open files" in answer.body) == (503, True)
        async with asyncio.timeout(PATIENCE_S):
            assert b"open files" in await said_to_http2(port)
        assert await ask(port_of(house.admin_url), "GET", "/health") == 200
    async with asyncio.timeout(PATIENCE_S):
        while await exchange(port, PING) != Answer(200, b'"pong"'):
            await asyncio.sleep(0.1)
