"""Asks the server what the plan says, and asks again until it is answered, however often it is killed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx

from benchmarks.torture import effects
from benchmarks.torture.check import Outcome
from benchmarks.torture.plan import ACCOUNTS, CARS, FLIGHTS, Expected, Operation

REQUEST_TIMEOUT_S = 10.0
RETRY_S = 0.05
TAIL_S = 0.02
BUSY = frozenset({429, 503})
"""Answers that say: not now. Nothing was accepted."""


class Driver:
    """A fixed number of users, each with one operation open at a time."""

    def __init__(self, client: httpx.AsyncClient, effects_file: Path, plan: Iterator[Operation]) -> None:
        self.outcomes: list[Outcome] = []
        self._client = client
        self._file = effects_file
        self._plan = plan
        self._stopping = False
        self._tail = effects.Tail(effects_file)
        self._published: dict[str, asyncio.Future[str]] = {}

    async def use(self, users: int) -> None:
        """Work through the plan until `stop` is called and everything that was asked is answered."""
        watch = asyncio.create_task(self._watch())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(users):
                    group.create_task(self._user())
        finally:
            watch.cancel()

    def stop(self) -> None:
        """Ask for nothing new."""
        self._stopping = True

    def open_names(self) -> list[str]:
        """Name the operations that are not answered yet."""
        return [f"{each.operation.name} {each.operation.path}" for each in self.outcomes if each.fate == "open"]

    async def state(self) -> Expected:
        """Read the state of every key through the services."""
        accounts = {key: await self._read(f"/TortureAccount/{key}/read") for key in ACCOUNTS}
        seats = {key: await self._read(f"/TortureSeats/{key}/read") for key in [*FLIGHTS, *CARS]}
        return Expected({key: (balance, count) for key, (balance, count) in accounts.items()}, seats)

    async def _read(self, path: str) -> Any:
        return (await self._until_answered("POST", path)).json()

    async def _user(self) -> None:
        while not self._stopping:
            outcome = Outcome(next(self._plan))
            self.outcomes.append(outcome)
            await self._perform(outcome)
            await asyncio.sleep(0)

    async def _perform(self, outcome: Outcome) -> None:
        operation = outcome.operation
        if operation.shape == "plain send":
            await self._send_once(outcome)
            return
        ways = {
            "call": self._call,
            "send": self._send_and_attach,
            "workflow": self._workflow,
            "callback": self._callback,
        }
        response = await ways[operation.shape](operation)
        effects.append(self._file, effects.Line("answer", operation.name), durable=False)
        body: Any = response.json() if response.content else None
        outcome.fate, outcome.status = "answered", response.status_code
        outcome.result = body if response.is_success else body["message"]

    async def _call(self, operation: Operation) -> httpx.Response:
        return await self._until_answered("POST", operation.path, operation.body, key=operation.name)

    async def _send_and_attach(self, operation: Operation) -> httpx.Response:
        accepted = await self._until_answered("POST", _send_path(operation), operation.body, key=operation.name)
        if accepted.status_code != httpx.codes.ACCEPTED:
            return accepted
        return await self._until_answered("GET", f"/restate/invocation/{accepted.json()['invocationId']}/attach")

    async def _workflow(self, operation: Operation) -> httpx.Response:
        accepted = await self._until_answered("POST", f"{operation.path}/run/send", operation.body)
        if accepted.status_code != httpx.codes.ACCEPTED:
            return accepted
        decide = f"{operation.path}/decide"
        decided = await self._until_answered("POST", decide, operation.result, key=f"{operation.name}-decide")
        if decided.is_error:
            return decided
        return await self._until_answered("GET", f"/restate/workflow{operation.path}/attach")

    async def _callback(self, operation: Operation) -> httpx.Response:
        published = self._published[operation.name] = asyncio.get_running_loop().create_future()
        call = asyncio.create_task(self._call(operation))
        try:
            await asyncio.wait([call, published], return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                resolve = f"/restate/awakeables/{published.result()}/resolve"
                resolved = await self._until_answered("POST", resolve, operation.result)
                if resolved.is_error:
                    return resolved
            return await call
        finally:
            call.cancel()

    async def _send_once(self, outcome: Outcome) -> None:
        """Send without an idempotency key; ask again only while it is sure that nothing was accepted."""
        operation = outcome.operation
        while True:
            with contextlib.suppress(httpx.ConnectError):
                try:
                    response = await self._client.post(_send_path(operation), json=operation.body)
                except httpx.ConnectError:
                    raise
                except httpx.TransportError:
                    outcome.fate = "unknown"
                    return
                if response.status_code not in BUSY:
                    break
            await asyncio.sleep(RETRY_S)
        accepted = response.status_code == httpx.codes.ACCEPTED
        outcome.fate = "accepted" if accepted else "answered"
        outcome.status, outcome.result = response.status_code, response.text

    async def _until_answered(
        self, method: str, path: str, body: Any = None, *, key: str | None = None
    ) -> httpx.Response:
        headers = {} if key is None else {"idempotency-key": key}
        arguments: dict[str, Any] = {} if body is None else {"json": body}
        while True:
            with contextlib.suppress(httpx.TransportError):
                response = await self._client.request(method, path, headers=headers, **arguments)
                if response.status_code not in BUSY:
                    return response
            await asyncio.sleep(RETRY_S)

    async def _watch(self) -> None:
        """Look for awakeables that handlers tell the world about."""
        while True:
            for line in self._tail.read():
                waiting = self._published.get(line.operation) if line.data else None
                if waiting is not None and not waiting.done():
                    waiting.set_result(line.data)
            await asyncio.sleep(TAIL_S)


def _send_path(operation: Operation) -> str:
    delay = "" if operation.delay_ms is None else f"?delay={operation.delay_ms}ms"
    return f"{operation.path}/send{delay}"


@contextlib.asynccontextmanager
async def driving(ingress_port: int, effects_file: Path, plan: Iterator[Operation]) -> AsyncIterator[Driver]:
    """Give a driver of the server on this port."""
    url = f"http://127.0.0.1:{ingress_port}"
    async with httpx.AsyncClient(base_url=url, timeout=REQUEST_TIMEOUT_S, verify=False) as client:
        yield Driver(client, effects_file, plan)
