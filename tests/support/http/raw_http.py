"""Requests by hand: every byte, piece, pause and end of HTTP/1.1 and HTTP/2 is what the test says it is."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import struct
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, StreamReset

from tests.support.bounds import PATIENCE_S


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    body: bytes


class Framing(enum.Enum):
    """How the end of a body is told."""

    LENGTH = "HTTP/1.1, content-length"
    CHUNKED = "HTTP/1.1, chunked"
    STREAM_LENGTH = "HTTP/2, content-length"
    STREAM = "HTTP/2, no length"

    @property
    def is_http2(self) -> bool:
        """Whether it is of HTTP/2."""
        return self in (Framing.STREAM_LENGTH, Framing.STREAM)


class Cut(enum.Enum):
    """How a client goes away; a stream ends alone, a connection with all of its streams."""

    CLOSE = "close"
    ABORT = "connection reset"
    HALF_CLOSE = "half close"
    RESET = "stream reset without an error"
    CANCEL = "stream cancelled"


def cuts_of(framing: Framing) -> list[Cut]:
    """Give the ways to go away that this version of HTTP has."""
    return [Cut.CLOSE, Cut.ABORT, *([Cut.RESET, Cut.CANCEL] if framing.is_http2 else [Cut.HALF_CLOSE])]


class Upload(NamedTuple):
    """One request.

    Attributes:
        cut_at: After how much of it, from 0 to 1, the client goes away; None sends all of it.
        pieces_bytes: Sizes of the pieces it is sent in, again and again; with HTTP/1.1 of the head too.
        pauses_s: After each of the first pieces.
    """

    path: str
    body: bytes
    framing: Framing
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/octet-stream"),)
    pieces_bytes: tuple[int, ...] = (1 << 16,)
    pauses_s: tuple[float, ...] = ()
    cut_at: float | None = None
    cut: Cut = Cut.CLOSE


def wire_of(upload: Upload) -> bytes:
    """Give a request of HTTP/1.1 as its bytes; each piece of a chunked body is a chunk of its own."""
    chunked = upload.framing is Framing.CHUNKED
    length = ("transfer-encoding", "chunked") if chunked else ("content-length", str(len(upload.body)))
    headers = [("host", "127.0.0.1"), *upload.headers, length]
    head = f"{upload.method} {upload.path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers)
    body = upload.body
    if chunked:
        chunks = split(upload.body, upload.pieces_bytes)
        body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    return head.encode() + b"\r\n" + body


def split(data: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """Cut bytes into pieces of these sizes, again and again."""
    start, number = 0, 0
    while start < len(data):
        end = start + sizes[number % len(sizes)]
        yield data[start:end]
        start, number = end, number + 1


class Plain:
    """A connection of HTTP/1.1."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, upload: Upload) -> None:
        """Send a request, or as much of it as it says."""
        wire = wire_of(upload)
        await self.write(wire if upload.cut_at is None else wire[: int(len(wire) * upload.cut_at)], upload)
        if upload.cut_at is not None:
            await self.go(upload.cut)

    async def write(self, data: bytes, upload: Upload | None = None) -> None:
        """Send bytes as they are, in the pieces of a request."""
        pauses = iter(upload.pauses_s if upload is not None else ())
        for piece in split(data, upload.pieces_bytes if upload is not None else (1 << 16,)):
            self._writer.write(piece)
            await self._writer.drain()
            await asyncio.sleep(next(pauses, 0))

    async def go(self, cut: Cut) -> None:
        """Go away."""
        if cut is Cut.HALF_CLOSE:
            self._writer.write_eof()
            return
        if cut is Cut.ABORT:
            raw: socket.socket = self._writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.close()

    async def answer(self) -> Answer | None:
        """Read the next answer; None when the connection ends first."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                status, length = 100, 0
                while status == 100:
                    head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                    status = int(head.split(" ", 2)[1])
                    _, _, rest = head.partition("content-length: ")
                    length = int(rest.partition("\r\n")[0] or 0)
                return Answer(status, await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None


class Streams:
    """A connection of HTTP/2 with prior knowledge, and the streams on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._state = H2Connection(H2Configuration(validate_outbound_headers=False))
        self._answers: dict[int, asyncio.Future[Answer | None]] = {}
        self._statuses: dict[int, int] = {}
        self._bodies: dict[int, bytes] = {}
        self._news = asyncio.Event()
        self.ended = False

    async def begin(self) -> None:
        """Send the preface and wait for the server's settings."""
        self._state.initiate_connection()
        self._flush()
        while not self._take(await self._reader.read(1 << 16)):
            pass

    async def read(self) -> None:
        """Take what the server sends until it, or the client, goes."""
        with contextlib.suppress(ConnectionError):
            while data := await self._reader.read(1 << 16):
                self._take(data)
        self.ended = True
        self._news.set()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_result(None)

    def _take(self, data: bytes) -> list[Event]:
        events = self._state.receive_data(data)
        for event in events:
            self._note(event)
        self._flush()
        self._news.set()
        return events

    def _note(self, event: Event) -> None:
        if isinstance(event, ResponseReceived):
            self._statuses[event.stream_id] = int(dict(event.headers)[b":status"])
        elif isinstance(event, DataReceived):
            self._bodies[event.stream_id] = self._bodies.get(event.stream_id, b"") + event.data
            self._state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, (StreamEnded, StreamReset)):
            answer = self._answers.get(event.stream_id)
            if answer is not None and not answer.done():
                status = self._statuses.get(event.stream_id)
                ended = status is not None and isinstance(event, StreamEnded)
                answer.set_result(Answer(status, self._bodies.get(event.stream_id, b"")) if ended and status else None)

    def _flush(self) -> None:
        if data := self._state.data_to_send():
            self._writer.write(data)

    async def send(self, upload: Upload) -> int:
        """Send a request, or as much of it as it says; gives its stream."""
        stream = self._state.get_next_available_stream_id()
        self._answers[stream] = asyncio.get_running_loop().create_future()
        headers = [(":method", upload.method), (":path", upload.path), (":scheme", "http"), (":authority", "127.0.0.1")]
        length = [("content-length", str(len(upload.body)))] if upload.framing is Framing.STREAM_LENGTH else []
        whole = upload.cut_at is None
        self._state.send_headers(stream, [*headers, *upload.headers, *length], end_stream=whole and not upload.body)
        self._flush()
        body = upload.body if upload.cut_at is None else upload.body[: int(len(upload.body) * upload.cut_at)]
        pauses = iter(upload.pauses_s)
        left = len(body)
        for piece in split(body, upload.pieces_bytes):
            left -= len(piece)
            await self._data(stream, piece, end=whole and not left)
            await asyncio.sleep(next(pauses, 0))
        if not whole:
            await self.go(stream, upload.cut)
        return stream

    async def _data(self, stream: int, piece: bytes, *, end: bool) -> None:
        while piece and not self._is_over(stream):
            size = min(self._state.local_flow_control_window(stream), self._state.max_outbound_frame_size, len(piece))
            if size > 0:
                part, piece = piece[:size], piece[size:]
                self._state.send_data(stream, part, end_stream=end and not piece)
                self._flush()
                await self._writer.drain()
            else:
                self._news.clear()
                await asyncio.wait_for(self._news.wait(), PATIENCE_S)

    def _is_over(self, stream: int) -> bool:
        return self.ended or self._answers[stream].done()

    async def go(self, stream: int, cut: Cut) -> None:
        """Go away from a stream, or with the whole connection."""
        if cut in (Cut.RESET, Cut.CANCEL):
            if not self._is_over(stream):
                self._state.reset_stream(stream, 8 if cut is Cut.CANCEL else 0)
                self._flush()
        else:
            await Plain(self._reader, self._writer).go(cut)

    async def answer(self, stream: int) -> Answer | None:
        """Wait for an answer; None when the stream ends without."""
        return await asyncio.wait_for(asyncio.shield(self._answers[stream]), PATIENCE_S)


@asynccontextmanager
async def plain(port: int) -> AsyncGenerator[Plain]:
    """Connect for HTTP/1.1."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Plain(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def streams(port: int) -> AsyncGenerator[Streams]:
    """Connect for HTTP/2."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    connection = Streams(reader, writer)
    await connection.begin()
    reading = asyncio.ensure_future(connection.read())
    try:
        yield connection
    finally:
        writer.close()
        await reading
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def exchange(port: int, upload: Upload) -> Answer | None:
    """Make one request on a connection of its own; None when no answer can come, or none came."""
    gone = upload.cut_at is not None and upload.cut is not Cut.HALF_CLOSE
    with contextlib.suppress(ConnectionError):
        if upload.framing.is_http2:
            async with streams(port) as connection:
                stream = await connection.send(upload)
                return None if gone else await connection.answer(stream)
        async with plain(port) as line:
            answering = asyncio.ensure_future(line.answer())
            with contextlib.suppress(ConnectionError):
                await line.send(upload)
            if not gone:
                return await answering
            answering.cancel()
    return None
