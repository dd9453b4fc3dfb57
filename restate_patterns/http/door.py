"""Between ASGI and what answers: every request gets exactly one answer, whatever is raised.

It knows which requests are open, so that a server can wait for them and, after its bound, leave them
with an answer; it stops waiting for clients that went away (the invocation goes on), and for bodies
that come too slowly.
"""

from __future__ import annotations

import asyncio
import enum
from typing import Final, Protocol

from typing_extensions import override

from restate_patterns.engine.errors import EngineError
from restate_patterns.errors import TerminalError
from restate_patterns.http.asgi import (
    AsgiApp,
    Receive,
    Response,
    Scope,
    Send,
    send_response,
)
from restate_patterns.http.bodies import Body
from restate_patterns.http.guard import Guard
from restate_patterns.http.overflow import FULL
from restate_patterns.http.pace import LOOK_S, TOO_SLOW
from restate_patterns.http.problems import Problem, problem_of
from restate_patterns.text.log_lines import logger_named

_LOG = logger_named(__name__)

WATCH_AFTER_S: Final = LOOK_S
"""A request open longer than this is watched: its body for its pace, and then for a client that goes away."""


class Responder(Protocol):
    """What answers requests behind the door."""

    async def respond(self, scope: Scope, body: Body) -> Response:
        """Answer one request; may raise `Problem`, `EngineError` and `TerminalError`."""
        ...

    def refuse(self, problem: Problem) -> Response:
        """Give the error body of this API."""
        ...


class _Left(enum.Enum):
    CLIENT_GONE = enum.auto()
    SHUTDOWN = enum.auto()
    TOO_SLOW = enum.auto()


class _Open:
    """One request that is being answered."""

    __slots__ = ("body", "left", "since_s", "task", "watcher")

    def __init__(self, task: asyncio.Task[object], body: Body, since_s: float) -> None:
        self.task = task
        self.body = body
        self.since_s = since_s
        self.left: _Left | None = None
        self.watcher: asyncio.Task[None] | None = None

    def leave(self, why: _Left) -> None:
        if self.left is None:
            self.left = why
            self.task.cancel()

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look whether its body comes too slowly; once nothing is read, leave it when the client goes."""
        if self.body.is_too_slow(WATCH_AFTER_S):
            self.leave(_Left.TOO_SLOW)
        elif self.watcher is None and not self.body.is_being_read:
            self.watcher = loop.create_task(self._until_gone())

    async def _until_gone(self) -> None:
        await self.body.until_gone()
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
        self._heard_out: set[Body] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event | None = None

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"only HTTP is served here, not {scope['type']}")
        request = self._enter(Body(scope, receive))
        try:
            response = await self._answer(request, scope)
            if response is not None:
                self._guard.add_cors(scope, response)
                await send_response(response, send, head_only=scope["method"] == "HEAD")
        finally:
            self._leave(request)
        if request.body.has_rest:
            await self._hear_out(request.body)

    async def _hear_out(self, body: Body) -> None:
        """Take what a client still sends after its answer; stopping does not wait for that."""
        self._heard_out.add(body)
        try:
            await body.discard()
        finally:
            self._heard_out.discard(body)

    @property
    def open_count(self) -> int:
        """How many requests are being answered."""
        return len(self._open)

    def clients(self) -> set[tuple[str, int]]:
        """Give who has a request open, as (host, port)."""
        return {body.client for body in (*(request.body for request in self._open), *self._heard_out)}

    def refusal(self) -> Response:
        """Give the answer for a client whose connection cannot be taken."""
        return self._responder.refuse(Problem(503, FULL, headers=((b"retry-after", b"1"),)))

    async def drained(self) -> None:
        """Wait until no request is being answered; what clients still send after an answer is dropped."""
        for body in self._heard_out:
            body.stop_discarding()
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

    async def _answer(self, request: _Open, scope: Scope) -> Response | None:
        responder = self._responder
        try:
            return self._guard.admit(scope) or await responder.respond(scope, request.body)
        except Problem as problem:
            return responder.refuse(problem)
        except (EngineError, TerminalError) as error:
            return responder.refuse(problem_of(error))
        except asyncio.CancelledError:
            if request.left is None:
                raise
            request.task.uncancel()
            if request.left is _Left.CLIENT_GONE:
                return None
            if request.left is _Left.TOO_SLOW:
                request.body.give_up()
                return responder.refuse(Problem(408, TOO_SLOW))
            return responder.refuse(Problem(503, _SHUTTING_DOWN, headers=((b"retry-after", b"1"),)))
        except Exception:  # noqa: BLE001  a bug must become an answer, and be logged
            _LOG.exception("%s %s failed", scope["method"], scope["path"])
            return responder.refuse(Problem(500, "internal error of the server; its log has the details"))

    def _enter(self, body: Body) -> _Open:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an ASGI app must run in a task")
        loop = task.get_loop()
        request = _Open(task, body, loop.time())
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
            if request.since_s <= oldest_s:
                request.watch(loop)
        self._sweep = loop.call_later(WATCH_AFTER_S, self._watch_slow, loop) if self._open else None


_SHUTTING_DOWN: Final = (
    "the server is shutting down; the invocation goes on at its next start: attach to it, or repeat the "
    "request with the same idempotency key"
)
