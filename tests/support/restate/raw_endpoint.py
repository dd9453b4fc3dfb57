"""The smallest endpoint that a Restate server can call: it answers each invocation at once, without an SDK.

It speaks the service protocol of the server: a manifest when it is discovered, and for an invocation an
output message and an end message. https://github.com/restatedev/service-protocol
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator

from restate_patterns.server import free_ports
from tests.support.http import loopback

SERVICE, HANDLER, ANSWER = "Raw", "answer", b'"answered"'

_OUTPUT, _END = 0x0401, 0x0003
_VALUE, _CONTENT = 0x72, 0x0A  # the fields 14 and 1, both length-delimited
_MANIFEST = {
    "protocolMode": "REQUEST_RESPONSE",
    "minProtocolVersion": 5,
    "maxProtocolVersion": 5,
    "services": [{"name": SERVICE, "ty": "SERVICE", "handlers": [{"name": HANDLER}]}],
}


def _message(kind: int, body: bytes) -> bytes:
    return struct.pack(">HHI", kind, 0, len(body)) + body


def _answer() -> bytes:
    value = bytes([_CONTENT, len(ANSWER)]) + ANSWER
    return _message(_OUTPUT, bytes([_VALUE, len(value)]) + value) + _message(_END, b"")


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request of HTTP/1.1 and close; a body comes in chunks, up to an empty one."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        if "transfer-encoding: chunked" in head.lower():
            while size := int(await reader.readuntil(b"\r\n"), 16):
                await reader.readexactly(size + 2)
        if head.startswith("GET /discover"):
            kind, body = "application/vnd.restate.endpointmanifest.v2+json", json.dumps(_MANIFEST).encode()
        else:
            kind, body = "application/vnd.restate.invocation.v5", _answer()
        lines = ["HTTP/1.1 200 OK", f"content-type: {kind}", f"content-length: {len(body)}", "connection: close"]
        writer.write("\r\n".join([*lines, "\r\n"]).encode() + body)
        await writer.drain()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@contextlib.asynccontextmanager
async def raw_endpoint() -> AsyncIterator[str]:
    """Serve on a free port for as long as the block lasts; gives the URL to register."""
    (port,) = free_ports(1)
    async with await asyncio.start_server(_serve, "127.0.0.1", port):
        yield f"http://127.0.0.1:{port}"


async def register(admin_url: str, endpoint_url: str) -> None:
    """Make the endpoint known to a server."""
    async with loopback.async_client(timeout=30) as client:
        answer = await client.post(f"{admin_url}/deployments", json={"uri": endpoint_url, "use_http_11": True})
        assert answer.is_success, answer.text


async def call(ingress_url: str) -> bytes:
    """Call the endpoint's handler through a server and give the answer; fails when none comes."""
    async with loopback.async_client(timeout=30) as client:
        answer = await client.post(f"{ingress_url}/{SERVICE}/{HANDLER}")
        assert answer.is_success, answer.text
        return answer.content
