"""The three doors that take bodies (ingress, admin, the endpoint of a Restate server), and what came through each."""

from __future__ import annotations

import abc
import asyncio
import base64
import itertools
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Final

from typing_extensions import override

from restate_patterns import ObjectContext, VirtualObject, handler
from restate_patterns.api.deployment import AppDeployment
from restate_patterns.embedded.engine import Engine
from restate_patterns.embedded.store import Store
from restate_patterns.http.server import HttpServer
from restate_patterns.restate.endpoint import endpoint_for
from restate_patterns.restate.serving import EndpointServer
from tests.support.http.raw_http import Answer, Framing, Upload

_START, _INPUT = 0x0000, 0x0400


class Sink(VirtualObject):
    """Remembers the bodies it was called with, by key."""

    def __init__(self) -> None:
        self.seen: dict[str, list[bytes]] = {}

    @handler
    async def take(self, ctx: ObjectContext, body: bytes) -> int:
        """Give how long the body is."""
        self.seen.setdefault(ctx.key, []).append(body)
        return len(body)


class Door(abc.ABC):
    """A port, and how a body is sent through it to a place of its own."""

    tells_its_end = False
    """Whether a body says itself where it ends, so that it is whole though its framing was cut off."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._keys: Iterator[int] = itertools.count()

    def new_key(self) -> str:
        """Give a key that no other upload has."""
        return f"{type(self).__name__}{next(self._keys)}"

    @abc.abstractmethod
    def upload(self, key: str, body: bytes, framing: Framing) -> Upload:
        """Make the request that brings a body."""

    @abc.abstractmethod
    async def came_through(self, key: str) -> list[bytes]:
        """Give the bodies that were taken under a key."""

    @abc.abstractmethod
    def is_taken(self, answer: Answer | None, body: bytes) -> bool:
        """Tell whether an answer says that this body was taken."""


class IngressDoor(Door):
    """Calls of a handler."""

    def __init__(self, port: int, sink: Sink) -> None:
        super().__init__(port)
        self._sink = sink

    @override
    def upload(self, key: str, body: bytes, framing: Framing) -> Upload:
        return Upload(f"/Sink/{key}/take", body, framing)

    @override
    async def came_through(self, key: str) -> list[bytes]:
        return self._sink.seen.get(key, [])

    @override
    def is_taken(self, answer: Answer | None, body: bytes) -> bool:
        return answer == Answer(200, str(len(body)).encode())


class AdminDoor(Door):
    """Writes of a state: the whole new state is the body."""

    def __init__(self, port: int, engine: Engine) -> None:
        super().__init__(port)
        self._engine = engine

    @override
    def upload(self, key: str, body: bytes, framing: Framing) -> Upload:
        coded = json.dumps({"body": {"$base64": base64.b64encode(body).decode()}}).encode()
        headers = (("content-type", "application/json"),)
        return Upload(f"/embedded/services/Sink/state/{key}", coded, framing, "PATCH", headers)

    @override
    async def came_through(self, key: str) -> list[bytes]:
        return list((await self._engine.get_state("Sink", key)).values())

    @override
    def is_taken(self, answer: Answer | None, body: bytes) -> bool:
        return answer is not None and answer.status == 200


class EndpointDoor(Door):
    """Attempts, as a Restate server asks for them."""

    tells_its_end = True

    def __init__(self, port: int, sink: Sink) -> None:
        super().__init__(port)
        self._sink = sink

    @override
    def upload(self, key: str, body: bytes, framing: Framing) -> Upload:
        start = _field(1, b"id-" + key.encode()) + _field(2, b"inv_" + key.encode()) + bytes([3 << 3, 1])
        journal = _message(_START, start + _field(6, key.encode())) + _message(_INPUT, _field(14, _field(1, body)))
        headers = (("content-type", "application/vnd.restate.invocation.v5"),)
        return Upload("/invoke/Sink/take", journal, framing, headers=headers)

    @override
    async def came_through(self, key: str) -> list[bytes]:
        return self._sink.seen.get(key, [])

    @override
    def is_taken(self, answer: Answer | None, body: bytes) -> bool:
        return answer is not None and answer.status == 200


class Doors:
    """Servers whose doors are open."""

    def __init__(self, sink: Sink, engine: Engine, server: HttpServer, endpoint: EndpointServer) -> None:
        self.sink = sink
        self.engine = engine
        self.server = server
        self.ingress = IngressDoor(server.ingress_port, sink)
        self.admin = AdminDoor(server.admin_port, engine)
        self.endpoint = EndpointDoor(int(endpoint.url.rsplit(":", 1)[1]), sink)

    @property
    def all(self) -> tuple[Door, Door, Door]:
        """The three of them."""
        return self.ingress, self.admin, self.endpoint


QUIET_S: Final = 0.05


@asynccontextmanager
async def open_doors() -> AsyncGenerator[Doors]:
    """Serve a sink as an embedded server, and another as the endpoint of a Restate server."""
    sink = Sink()
    deployment = AppDeployment([sink])
    engine = Engine(deployment, Store(":memory:"))
    await engine.start()
    server = HttpServer(engine, ingress_port=0, admin_port=0)
    endpoint = EndpointServer(
        endpoint_for(deployment, None, (), hangs_up_first=True), host="127.0.0.1", port=0, grace_s=1
    )
    try:
        async with server, endpoint:
            yield Doors(sink, engine, server, endpoint)
    finally:
        await engine.stop()


async def still_nothing(door: Door, key: str) -> bool:
    """Tell whether a moment later nothing came through."""
    await asyncio.sleep(QUIET_S)
    return await door.came_through(key) == []


def _message(kind: int, body: bytes) -> bytes:
    return kind.to_bytes(2, "big") + bytes(2) + len(body).to_bytes(4, "big") + body


def _field(number: int, value: bytes) -> bytes:
    """Code one length-delimited field of a message."""
    return bytes([number << 3 | 2]) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    coded = bytearray()
    while number > 0x7F:
        coded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*coded, number])
