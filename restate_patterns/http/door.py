"""Between ASGI and what answers: every request gets exactly one answer, whatever is raised.

It knows which requests are open, so that a server can wait for them and, after its bound, leave them
with an answer; and it stops waiting for clients that went away (the invocation goes on).
"""

from __future__ import annotations

import asyncio
import enum
import logging
from typing import Final, Protocol

from typing_extensions import override

from restate_patterns.engine_errors import EngineError
from restate_patterns.errors import TerminalError
from restate_patterns.http.asgi import (
    AsgiApp,
    ClientGone,
    Receive,
    Response,
    Scope,
    Send,
    send_response,
    wait_for_disconnect,
)
from restate_patterns.http.guard import Guard
from restate_patterns.http.problems import Problem, problem_of

_LOG = logging.getLogger(__name__)

WATCH_AFTER_S: Final = 1.0
"""A request open longer than this is watched for a client that goes away."""


class Responder(Protocol):
    """What answers requests behind the door."""

    async def respond(self, scope: Scope, receive: Receive) -> Response:
        """Answer one request; may raise `Problem`, `EngineError` and `TerminalError`."""
        ...

    def refuse(self, problem: Problem) -> Response:
        """Give the error body of this API."""
        ...


class _Left(enum.Enum):
    CLIENT_GONE = enum.auto()
    SHUTDOWN = enum.auto()


class _Open:
    """One request that is being answered."""

    __slots__ = ("left", "receive", "since_s", "task", "watcher")

    def __init__(self, task: asyncio.Task[object], receive: Receive, since_s: float) -> None:
        self.task = task
        self.receive = receive
        self.since_s = since_s
        self.left: _Left | None = None
        self.watcher: asyncio.Task[None] | None = None

    def leave(self, why: _Left) -> None:
        if self.left is None:
            self.left = why
            self.task.cancel()

    async def watch(self) -> None:
        await wait_for_disconnect(self.receive)
        self.leave(_Left.CLIENT_GONE)


class Door(AsgiApp):
    """An ASGI app around a responder.

    Args:
        responder: What answers.
        guard: Who may ask it.
    """

    def __init__(self, responder: Responder, guard: Guard) -> None:
        self._responder = responder
        self._guard = guard
        self._open: set[_Open] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event | None = None

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"only HTTP is served here, not {scope['type']}")
        request = self._enter(receive)
        try:
            response = await self._answer(request, scope, receive)
            if response is not None:
                self._guard.add_cors(scope, response)
                await send_response(response, send, head_only=scope["method"] == "HEAD")
        finally:
            self._leave(request)

    @property
    def open_count(self) -> int:
        """How many requests are being answered."""
        return len(self._open)

    async def drained(self) -> None:
        """Wait until no request is being answered."""
        while self._open:
            self._empty = self._empty or asyncio.Event()
            self._empty.clear()
            await self._empty.wait()

    def abandon(self) -> int:
        """Answer every open request with 503 now; gives how many there were."""
        count = len(self._open)
        for request in list(self._open):
            request.leave(_Left.SHUTDOWN)
        return count

    async def _answer(self, request: _Open, scope: Scope, receive: Receive) -> Response | None:
        responder = self._responder
        try:
            return self._guard.admit(scope) or await responder.respond(scope, receive)
        except Problem as problem:
            return responder.refuse(problem)
        except (EngineError, TerminalError) as error:
            return responder.refuse(problem_of(error))
        except ClientGone:
            return None
        except asyncio.CancelledError:
            if request.left is None:
                raise
            request.task.uncancel()
            if request.left is _Left.CLIENT_GONE:
                return None
            return responder.refuse(Problem(503, _SHUTTING_DOWN, headers=((b"retry-after", b"1"),)))
        except Exception:  # noqa: BLE001  a bug must become an answer, and be logged
            _LOG.exception("%s %s failed", scope["method"], scope["path"])
            return responder.refuse(Problem(500, "internal error of the server; its log has the details"))

    def _enter(self, receive: Receive) -> _Open:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an ASGI app must run in a task")
        loop = task.get_loop()
        request = _Open(task, receive, loop.time())
        self._open.add(request)
        if self._sweep is None:
            self._sweep = loop.call_later(WATCH_AFTER_S, self._watch_slow, loop)
        return request

    def _leave(self, request: _Open) -> None:
        self._open.discard(request)
        if request.watcher is not None:
            request.watcher.cancel()
        if self._empty is not None and not self._open:
            self._empty.set()

    def _watch_slow(self, loop: asyncio.AbstractEventLoop) -> None:
        oldest_s = loop.time() - WATCH_AFTER_S
        for request in self._open:
            if request.watcher is None and request.since_s <= oldest_s:
                request.watcher = loop.create_task(request.watch())
        self._sweep = loop.call_later(WATCH_AFTER_S, self._watch_slow, loop) if self._open else None


_SHUTTING_DOWN: Final = (
    "the server is shutting down; the invocation goes on at its next start: attach to it, or repeat the "
    "request with the same idempotency key"
)
