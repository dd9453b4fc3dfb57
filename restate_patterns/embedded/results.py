"""Who outside waits for the result of an invocation, and answering them once it is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from restate_patterns.embedded.callers import Callers
from restate_patterns.embedded.log import Log
from restate_patterns.embedded.records import Record
from restate_patterns.engine.errors import EngineError, EngineStopped
from restate_patterns.engine.interface import CompletedResult
from restate_patterns.errors import Failure


class Results:
    """The futures of those who wait for results, by invocation."""

    def __init__(self, log: Log, callers: Callers) -> None:
        self._log = log
        self._callers = callers
        self._waiting: dict[int, list[asyncio.Future[CompletedResult]]] = {}

    async def result(self, record: Record) -> CompletedResult:
        """Wait for the result of a running invocation, until it is durable."""
        future: asyncio.Future[CompletedResult] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.get(record.num)
        if waiting is None:
            self._waiting[record.num] = [future]
        else:
            waiting.append(future)
        callers = self._callers.open
        callers.add(future)
        try:
            return await future
        except asyncio.CancelledError:
            self._forget(record.num, future)
            raise
        finally:
            callers.discard(future)

    def answer(self, record: Record, output: bytes | None, failure: Failure | None, sequence: int) -> None:
        """Answer who waits for an invocation that has ended, once that is durable."""
        waiting = self._waiting.pop(record.num, None)
        if waiting is not None:
            result = CompletedResult(record.id, output, failure, None, record.target)
            self._log.when_durable(sequence, lambda: _answer(waiting, result))

    def refuse(self, record: Record, error: Callable[[], EngineError], sequence: int) -> None:
        """Tell who waits for an invocation why no result comes for now, once that is durable."""
        waiting = self._waiting.pop(record.num, None)
        if waiting is not None:
            self._log.when_durable(sequence, lambda: _refuse(waiting, error))

    def leave(self) -> None:
        """Tell who waits for a result that none will come: nothing advances any more."""
        for waiting in self._waiting.values():
            _refuse(waiting, EngineStopped)
        self._waiting.clear()

    def _forget(self, num: int, future: asyncio.Future[CompletedResult]) -> None:
        waiting = self._waiting.get(num)
        if waiting is not None and future in waiting:
            waiting.remove(future)
            if not waiting:
                del self._waiting[num]


def _answer(waiting: list[asyncio.Future[CompletedResult]], result: CompletedResult) -> None:
    for future in list(waiting):
        if not future.done():
            future.set_result(result)


def _refuse(waiting: Iterable[asyncio.Future[CompletedResult]], error: Callable[[], EngineError]) -> None:
    for future in list(waiting):
        if not future.done():
            future.set_exception(error())
