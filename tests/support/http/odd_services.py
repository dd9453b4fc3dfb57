"""An app for odd requests, served over HTTP, and a way to ask it any bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from restate_patterns import (
    App,
    Context,
    Embedded,
    ObjectContext,
    ObjectSharedContext,
    Service,
    State,
    TerminalError,
    VirtualObject,
    Workflow,
    WorkflowContext,
    handler,
)
from restate_patterns.http.server import HttpServer
from tests.support.bounds import PATIENCE_S


class Odd(Service):
    """What comes in and goes out is odd."""

    @handler
    async def echo(self, ctx: Context, value: str | float | None) -> str | float | None:
        """Give it back."""
        return value

    @handler
    async def count(self, ctx: Context, value: int = 1) -> int:
        """Take a number, or none."""
        return value

    @handler
    async def raw(self, ctx: Context, value: bytes) -> bytes:
        """Take bytes."""
        return value

    @handler
    async def numbers(self, ctx: Context) -> list[float]:
        """Give what JSON has no words for."""
        return [float("nan"), float("inf"), float("-inf"), 1.5]

    @handler
    async def fail(self, ctx: Context, code: int) -> None:
        """Fail with any code."""
        raise TerminalError("NaN \u2028 \x1b[2J", code=max(code, 0))


class Thing(VirtualObject):
    """Has state."""

    kept = State[str | int](default=0)

    @handler
    async def put(self, ctx: ObjectContext, value: str | int) -> None:
        """Keep it."""
        self.kept.set(ctx, value)

    @handler
    async def burn(self, ctx: ObjectSharedContext, text: str) -> None:
        """Fail, and be tried again."""
        try:
            raise ValueError(text)
        except ValueError as error:
            error.add_note(text)
            raise RuntimeError(text) from error

    @handler
    async def refuse(self, ctx: ObjectSharedContext, text: str) -> None:
        """Fail for good."""
        raise TerminalError(text, code=410)

    @handler
    async def see(self, ctx: ObjectSharedContext) -> str | int:
        """Show it."""
        return await self.kept.get(ctx)


class Flow(Workflow):
    """Runs once."""

    @handler
    async def run(self, ctx: WorkflowContext, value: str) -> str:
        """Run."""
        return value


app = App([Odd(), Thing(), Flow()])


@asynccontextmanager
async def served() -> AsyncIterator[HttpServer]:
    engine = Embedded().engine(app.deployment)
    await engine.start()
    try:
        async with HttpServer(engine, ingress_port=0, admin_port=0) as server:
            yield server
    finally:
        await engine.stop()


async def asked(port: int, request: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    """Send bytes and give the whole answer: status, headers, body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0].startswith(b"HTTP/1."), answer[:200]
    headers = dict(line.split(b": ", 1) for line in lines[1:])
    return int(lines[0].split(b" ")[1]), headers, body


def check(request: bytes, status: int, headers: dict[bytes, bytes], body: bytes) -> None:
    """Check that an answer is one that a server gives on purpose."""
    shown = f"{request[:300]!r} -> {status} {body[:300]!r}"
    fails_by_itself = b"/fail" in request.split(b"\r\n", 1)[0]
    assert status != 500 or fails_by_itself, shown
    assert status < 502 or status == 503 or fails_by_itself, shown
    if headers.get(b"content-type") == b"application/json" and not request.startswith(b"HEAD"):
        assert len(body) == int(headers[b"content-length"]), shown
        json.loads(body, parse_constant=lambda name: pytest.fail(f"{name} is no JSON: {shown}"))
