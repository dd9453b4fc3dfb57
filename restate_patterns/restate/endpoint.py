"""The ASGI app that a Restate server calls: discovery, health, and one request for each attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from restate.server import send_discovery
from typing_extensions import override

from restate_patterns.http.asgi import AsgiApp, Receive, Scope, Send
from restate_patterns.http.pace import LOOK_S, TOO_SLOW, Pace
from restate_patterns.restate.drive import Drive, Wire
from restate_patterns.restate.host import Host
from restate_patterns.restate.identity import IdentityCheck
from restate_patterns.restate.machine import Machine, MachineBroken
from restate_patterns.restate.manifest import endpoint_of
from restate_patterns.restate.references import Server
from restate_patterns.seam import Deployment, Invocation, ServiceKind, Target
from restate_patterns.text.log_lines import logger_named

_logger = logger_named("restate_patterns")

_HANG_UP_S: Final = 5.0
"""How long the server may take to close its side of an attempt that has ended."""


class Place(NamedTuple):
    """What a path asks for."""

    verb: str
    service: str = ""
    handler: str = ""


def place_of(path: str) -> Place | None:
    """Read a path, wherever the app is mounted; None when it is none of ours."""
    parts = path.split("/")
    if len(parts) >= 3 and parts[-3] == "invoke":
        return Place("invoke", parts[-2], parts[-1])
    return Place(parts[-1]) if parts[-1] in ("discover", "health") else None


class RestateEndpoint(AsgiApp):
    """Serves the attempts of one deployment.

    Args:
        host: What attempts share.
        identity: Checks who calls.
        hangs_up_first: Whether a response may end while its request is open: quicker, and some ASGI servers
            break on it (hypercorn does, granian does not).
    """

    def __init__(self, host: Host, identity: IdentityCheck, *, hangs_up_first: bool) -> None:
        self._host = host
        self._identity = identity
        self._hangs_up_first = hangs_up_first
        self._attempts: set[AsgiWire] = set()
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise ValueError(f"a Restate endpoint serves HTTP only, not {scope['type']!r}")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        path: str = scope["path"]
        place = place_of(path)
        if place is not None and place.verb == "health":
            await _answer(send, 200, '{"status":"ok"}', "application/json")
        elif (refusal := self._identity.refusal(headers, path)) is not None:
            _logger.warning("refused a request for %s: %s", path, refusal)
            await _answer(send, 401, refusal)
        elif place is None:
            await _answer(send, 404, f"{path} is none of /discover, /health and /invoke/SERVICE/HANDLER")
        elif place.verb == "discover":
            await send_discovery(cast("Any", scope), cast("Any", send), endpoint_of(self._host.deployment.services))
        else:
            await self._attempt(place, headers, receive, send)

    async def _attempt(self, place: Place, headers: list[tuple[str, str]], receive: Receive, send: Send) -> None:
        service = self._host.deployment.services.get(place.service)
        if service is None or place.handler not in service.handlers:
            await _answer(send, 404, f"this deployment has no {place.service}/{place.handler}")
            return
        if self._draining:
            await _answer(send, 503, "this endpoint is shutting down")
            return
        try:
            machine = Machine(headers)
        except MachineBroken as error:
            await _answer(send, 415, str(error))
            return
        wire = AsgiWire(machine, receive, send)
        self._attempts.add(wire)
        self._idle.clear()
        try:
            wire.read()
            if await wire.journal_arrived():
                await wire.open()
                start = machine.start()
                key = None if service.kind is ServiceKind.SERVICE else start.key
                target = Target(place.service, place.handler, key)
                invocation = Invocation(start.invocation_id, target, start.body, start.headers, start.random_seed, None)
                await Drive(self._host, machine, invocation, wire).run()
                await wire.hang_up(at_once=self._hangs_up_first)
        except _Incomplete as incomplete:
            await _answer(send, incomplete.status, str(incomplete))
        except MachineBroken as error:
            _logger.error("%s/%s: the request of the server can't be read: %s", place.service, place.handler, error)
        finally:
            wire.close()
            self._attempts.discard(wire)
            if not self._attempts:
                self._idle.set()

    async def drain(self, grace_s: float) -> None:
        """Take no more attempts and let each suspend at its next wait, for up to `grace_s` seconds.

        The server resumes what was suspended when this deployment, or its next revision, is there again.
        """
        self._draining = True
        for wire in self._attempts:
            wire.suspend()
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        except TimeoutError:
            pass

    @property
    def open_count(self) -> int:
        """How many attempts are open."""
        return len(self._attempts)

    def abandon(self) -> None:
        """Break off the attempts that are open: the server tries them again elsewhere, or later."""
        self._draining = True
        for wire in self._attempts:
            wire.break_off()


class _Incomplete(Exception):  # noqa: N818 - named for the state of affairs, as in errors.py
    """A request that did not bring a whole journal."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class AsgiWire(Wire):
    """The request and response of one attempt.

    Args:
        machine: What its bytes are for.
        receive: Of the request.
        send: Of the response.
    """

    def __init__(self, machine: Machine, receive: Receive, send: Send) -> None:
        self._machine = machine
        self._receive = receive
        self._send = send
        self._news = asyncio.Event()
        self._gone = False
        self._input_ended = False
        self._size_bytes = 0
        self._too_slow = False
        self._look: asyncio.TimerHandle | None = None
        self._reading: asyncio.Task[None] | None = None
        self.began = False
        """Whether the handler runs: before that there is nothing to suspend."""

    def read(self) -> None:
        """Begin to read the request."""
        self._reading = asyncio.get_running_loop().create_task(self._read(), name="read the journal")

    async def open(self) -> None:
        """Begin the response."""
        status, headers = self._machine.response_head()
        encoded = [(name.encode(), value.encode()) for name, value in headers]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def _read(self) -> None:
        while not self._gone:
            message: Mapping[str, Any] = await self._receive()
            if message["type"] == "http.disconnect":
                self._gone = True
            else:
                chunk: bytes = message.get("body", b"")
                if chunk:
                    self._size_bytes += len(chunk)
                    self._machine.feed(chunk)
                if not message.get("more_body", False):
                    self._input_ended = True
                    if self.began:
                        self._machine.input_closed()
            self._news.set()

    async def journal_arrived(self) -> bool:
        """Wait until the machine has the whole journal; False when the server has gone before.

        Raises:
            _Incomplete: The request ended before that, or comes too slowly.
        """
        loop = asyncio.get_running_loop()
        self._look = loop.call_later(LOOK_S, self._look_at_pace, loop, Pace())
        while not self._machine.is_ready():
            if self._input_ended:
                raise _Incomplete(
                    400, "the request ended before its journal was whole, so nothing was run: send it again"
                )
            if not await self.more():
                return False
            if self._too_slow:
                raise _Incomplete(408, TOO_SLOW)
        self.began = True
        if self._input_ended:
            self._machine.input_closed()
        return True

    def _look_at_pace(self, loop: asyncio.AbstractEventLoop, pace: Pace) -> None:
        if self.began:
            return
        if pace.is_too_slow(self._size_bytes, LOOK_S):
            self._too_slow = True
            self._news.set()
        else:
            self._look = loop.call_later(LOOK_S, self._look_at_pace, loop, pace)

    @override
    async def flush(self) -> None:
        output = self._machine.output()
        if output and not self._gone:
            await self._send({"type": "http.response.body", "body": output, "more_body": True})

    @override
    async def more(self) -> bool:
        await self._news.wait()
        self._news.clear()
        return not self._gone

    @override
    def wake(self) -> None:
        self._news.set()

    def suspend(self) -> None:
        """Let the attempt suspend at its next wait, as when the server asks for it."""
        if self.began:
            self._machine.input_closed()
            self._news.set()
        else:
            self.break_off()

    def break_off(self) -> None:
        """End the attempt as if the server had gone."""
        self._gone = True
        self._news.set()

    async def hang_up(self, *, at_once: bool) -> None:
        """Send what is left and end the response; without `at_once`, when the server has closed its side."""
        if not at_once:
            await self._server_hung_up()
        if not self._gone:
            await self._send({"type": "http.response.body", "body": self._machine.output(), "more_body": False})

    async def _server_hung_up(self) -> None:
        await self.flush()
        try:
            async with asyncio.timeout(_HANG_UP_S):
                while not (self._input_ended or self._gone):
                    await self.more()
        except TimeoutError:
            pass

    def close(self) -> None:
        """Read no further."""
        if self._reading is not None:
            self._reading.cancel()
        if self._look is not None:
            self._look.cancel()


async def _answer(send: Send, status: int, text: str, content_type: str = "text/plain") -> None:
    headers = [(b"content-type", content_type.encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode(), "more_body": False})


def endpoint_for(
    deployment: Deployment, server: Server | None, identity_keys: Sequence[str], *, hangs_up_first: bool
) -> RestateEndpoint:
    """Give the endpoint of a deployment; it may be made before the loop that serves it runs.

    Args:
        deployment: The services.
        server: Where invocations are looked up and paused; None when it is not known.
        identity_keys: Public keys of the servers that may call.
        hangs_up_first: Whether its ASGI server lets a response end before its request.

    Raises:
        DefinitionError: A key is none.
    """
    return RestateEndpoint(Host(deployment, server), IdentityCheck(identity_keys), hangs_up_first=hangs_up_first)
