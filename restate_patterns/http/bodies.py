"""The body of one request: its one reader, and what makes it complete.

ASGI gives one stream of messages for a request, of which each is given once: the bytes of the body, and
then that the client has gone. A second reader would take bytes from the first, so whoever wants either
asks the `Body`. It knows no clock: who watches requests says when it is to look at its pace.
"""

from __future__ import annotations

import asyncio
import enum
from typing import Final

from restate_patterns.http.asgi import Message, Receive, Scope
from restate_patterns.http.pace import Pace
from restate_patterns.http.problems import Problem
from restate_patterns.limits import (
    BODY_BYTES_MAX,
    BODY_DISCARD_BYTES_MAX,
    BODY_DISCARD_S,
)

_RESET_NOTICE_S: Final = 0.05
"""How long after an end of a stream the news that the client had reset it may take to arrive."""


class _Use(enum.Enum):
    """What the stream of messages is used for."""

    NOTHING = enum.auto()
    READING = enum.auto()
    READ = enum.auto()
    WATCHED = enum.auto()
    """Nobody reads, and what still comes is passed over."""
    DISCARDED = enum.auto()
    BROKEN = enum.auto()
    """No more comes that means anything."""


class Body:
    """Owns what a client sends in one request.

    Args:
        scope: The request.
        receive: Its messages; nobody else may call it.
    """

    __slots__ = ("_discarding", "_pace", "_receive", "_scope", "_size_bytes", "_use")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope = scope
        self._receive = receive
        self._use = _Use.NOTHING
        self._size_bytes = 0
        self._pace: Pace | None = None
        self._discarding: asyncio.Timeout | None = None

    @property
    def client(self) -> tuple[str, int]:
        """Who sends it: host and port."""
        host, port = self._scope["client"]
        return host, int(port)

    async def read(self) -> bytes:
        """Give the whole body; there is no other outcome than that or an error.

        Raises:
            Problem: 413, it is larger than `BODY_BYTES_MAX`; 400, it ended before it was complete; 501, it
                is coded in a way that is not known here.
        """
        if self._use is not _Use.NOTHING:
            raise RuntimeError("a body is read once, and not after it was passed over")
        declared_bytes = _declared_bytes(self._scope)
        if declared_bytes == 0:
            self._use = _Use.READ
            return b""
        if declared_bytes is not None and declared_bytes > BODY_BYTES_MAX:
            raise _too_large()
        self._use = _Use.READING
        body = await self._read(declared_bytes)
        self._use = _Use.READ
        return body

    async def _read(self, declared_bytes: int | None) -> bytes:
        parts: list[bytes] = []
        # Over HTTP/1.1 a declared length is the end, and asking for another is a round trip; a stream of
        # HTTP/2 can be reset until its end.
        streamed = _is_http2(self._scope)
        more = True
        while more and (streamed or self._size_bytes != declared_bytes):
            message = await self._receive()
            if _is_end(message):
                raise self._cut_off(declared_bytes)
            parts.append(message.get("body", b""))
            self._size_bytes += len(parts[-1])
            more = message.get("more_body", False)
            if self._size_bytes > BODY_BYTES_MAX:
                self._use = _Use.NOTHING
                raise _too_large()
        if declared_bytes is None:
            if streamed and self._may_lack_bytes() and await self._was_reset():
                raise self._cut_off(None)
        elif self._size_bytes != declared_bytes:
            raise self._cut_off(declared_bytes)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _may_lack_bytes(self) -> bool:
        """Tell whether what came can be part of a body: a request without a type and without a byte has none."""
        return self._size_bytes > 0 or any(name == b"content-type" for name, _ in self._scope["headers"])

    async def _was_reset(self) -> bool:
        """Tell whether the stream was reset rather than ended.

        Granian gives an end for both where the client gives no error as the reason; but for a stream that
        was reset it then says that the client has gone.
        """
        try:
            async with asyncio.timeout(_RESET_NOTICE_S):
                return _is_end(await self._receive())
        except TimeoutError:
            return False

    def _cut_off(self, declared_bytes: int | None) -> Problem:
        self._use = _Use.BROKEN
        of_bytes = "" if declared_bytes is None else f" of {declared_bytes}"
        return Problem(
            400,
            f"the body was cut off after {self._size_bytes}{of_bytes} bytes, so nothing was accepted: send the "
            "request again, whole",
        )

    def _is_empty(self) -> bool:
        try:
            return _declared_bytes(self._scope) == 0
        except Problem:
            return False

    def is_too_slow(self, passed_s: float) -> bool:
        """Tell whether what is being read comes too slowly to wait for more.

        Args:
            passed_s: Time since this was asked last, in seconds.
        """
        if self._use is not _Use.READING:
            return False
        self._pace = self._pace or Pace()
        return self._pace.is_too_slow(self._size_bytes, passed_s)

    def give_up(self) -> None:
        """Leave what is being read."""
        self._use = _Use.NOTHING

    @property
    def is_being_read(self) -> bool:
        """Whether somebody takes its bytes."""
        return self._use is _Use.READING

    async def until_gone(self) -> None:
        """Return when the client has gone; what it sends meanwhile is passed over."""
        if self._use is _Use.NOTHING:
            self._use = _Use.WATCHED
        while not _is_end(await self._receive()):
            pass

    @property
    def has_rest(self) -> bool:
        """Whether it was answered unread, and may be worth taking: its sender sees the answer then."""
        return self._use in (_Use.NOTHING, _Use.WATCHED) and not self._is_empty() and not self._is_announced()

    async def discard(self) -> None:
        """Take what is left of it, up to a bound.

        The connection can be used for the next request then; beyond the bound the server closes it.
        """
        self._use = _Use.DISCARDED
        self._discarding = asyncio.timeout(BODY_DISCARD_S)
        try:
            async with self._discarding:
                more = True
                while more and self._size_bytes < BODY_DISCARD_BYTES_MAX:
                    message = await self._receive()
                    more = message.get("more_body", False)
                    self._size_bytes += len(message.get("body", b""))
        except TimeoutError:
            pass

    def stop_discarding(self) -> None:
        """Take no more of it."""
        if self._discarding is not None:
            self._discarding.reschedule(asyncio.get_running_loop().time())

    def _is_announced(self) -> bool:
        """Tell whether the client waits for leave to send it, which it does not get once it has its answer."""
        return any(name == b"expect" for name, _ in self._scope["headers"])


def _is_end(message: Message) -> bool:
    kind: str = message["type"]
    return kind == "http.disconnect"


def _is_http2(scope: Scope) -> bool:
    version: str = scope["http_version"]
    return version == "2"


def _declared_bytes(scope: Scope) -> int | None:
    """Give the length the headers declare; None when only the end of the stream tells."""
    streamed = _is_http2(scope)
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)
        if name == b"transfer-encoding":
            if value.lower() != b"chunked":
                coding = value.decode("latin-1")
                raise Problem(
                    501, f"the transfer coding {coding!r} is not known here: send the body as it is, or chunked"
                )
            streamed = True
    return None if streamed else 0


def _too_large() -> Problem:
    return Problem(413, f"the body is larger than {BODY_BYTES_MAX} bytes (limit BODY_BYTES_MAX)")
