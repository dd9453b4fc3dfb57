"""Doing things until they have succeeded, or a person has decided; and undoing a stack that way."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple

from restate_patterns.errors import InvalidInput, TerminalError
from restate_patterns.execution.boundary import final_failure, leaves_of
from restate_patterns.patterns.saga.desk import Decision
from restate_patterns.patterns.saga.holding import owed
from restate_patterns.patterns.saga.record import ErrorRecord, SagaStep, SagaStepKind, SagaStepState, UndoError
from restate_patterns.patterns.saga.stack import Group, Task
from restate_patterns.patterns.saga.teller import Teller
from restate_patterns.values.failures import from_failure


class GaveUp(NamedTuple):
    """A task whose tries are used up."""

    task: Task
    step: SagaStep
    failed_count: int


def terminal(error: BaseException) -> TerminalError | None:
    """Give the terminal error that an error, or a group of errors, comes to; None when it is to be retried."""
    if isinstance(error, TerminalError):
        return error
    failure = final_failure(tuple(leaves_of(error)))
    return None if failure is None else from_failure(failure)


class Persistence:
    """Does the tasks of one saga until they are done.

    Args:
        teller: Who keeps the saga's record.
    """

    def __init__(self, teller: Teller) -> None:
        self._teller = teller

    async def finish(self, task: Task, step: SagaStep) -> Any:
        """Do a task until it has succeeded or a person has decided; gives its result."""
        ended = await self._try(task, step)
        return await self._with_a_person(ended) if isinstance(ended, GaveUp) else ended

    async def undo(self, group: Group) -> None:
        """Undo a group, newest first; ends when all of it is undone or decided, also what came late."""
        while group.entries:
            waiting: list[asyncio.Task[Any]] = []
            await self._undo_group(group, waiting)
            for parked in waiting:
                await parked
        group.closed = "what it belongs to has been undone. Await an action inside its saga or savepoint"

    def undo_errors(self, since: int) -> list[UndoError]:
        """Give the undo actions that were skipped, among the steps after the first `since`, in order."""
        return [
            UndoError(step=step.name, error=step.last_error, decision=step.decisions[-1])
            for step in self._teller.record.steps[since:]
            if step.kind is SagaStepKind.UNDO and step.state is SagaStepState.SKIPPED and step.last_error is not None
        ]

    async def _undo_group(self, group: Group, waiting: list[asyncio.Task[Any]]) -> None:
        entries = group.take()
        if group.parallel:
            together = [owed(self._undo_entry(entry, waiting)) for entry in entries]
            for each in together:
                await each
            return
        for entry in entries:
            await self._undo_entry(entry, waiting)

    async def _undo_entry(self, entry: Task | Group, waiting: list[asyncio.Task[Any]]) -> None:
        if isinstance(entry, Group):
            await self._undo_group(entry, waiting)
            return
        try:
            await self._undo_task(entry, waiting)
        except Exception as error:
            # To be tried again, by the next attempt: what runs beside this must not act any more.
            self._teller.break_off(error)
            raise

    async def _undo_task(self, entry: Task, waiting: list[asyncio.Task[Any]]) -> None:
        step = self._teller.began(SagaStepKind.UNDO, entry.name, entry.participant)
        ended = await self._try(entry, step)
        if not isinstance(ended, GaveUp):
            return
        self._teller.check_desk(step)  # before the rest goes on: what the journal has then is the same with a desk
        if entry.policy.rest == "wait":
            await self._with_a_person(ended)
        else:
            waiting.append(owed(self._with_a_person(ended)))

    async def _try(self, task: Task, step: SagaStep) -> Any | GaveUp:
        """Do a task as often as its policy says."""
        failed_count = 0
        step.state = SagaStepState.RUNNING
        await self._teller.tell()
        while True:
            try:
                result = await task.run()
            except Exception as error:
                final = terminal(error)
                if final is None:
                    raise
                failed_count += 1
                self._teller.failed(step, final)
                wait_ms = task.policy.retry.delay_ms(failed_count)
                if wait_ms is None or (task.last is not None and isinstance(final, task.last)):
                    return GaveUp(task, step, failed_count)
                await asyncio.sleep(wait_ms / 1000)
                continue
            step.state = SagaStepState.DONE
            await self._teller.tell()
            return result

    async def _with_a_person(self, gave_up: GaveUp) -> Any:
        task, step, failed_count = gave_up
        while True:
            decision = await self._teller.ask_a_person(step, failed_count)
            if decision.action == "resume":
                ended = await self._try(task, step)
                if not isinstance(ended, GaveUp):
                    return ended
                failed_count = ended.failed_count
                continue
            try:
                result = task.read(_supplied(decision))
            except InvalidInput as error:
                step.decisions[-1] += f" (which does not do: {error.message})"
                step.last_error = ErrorRecord.of(error)
                continue
            step.state = SagaStepState.SKIPPED if decision.action == "skip" else SagaStepState.SUPPLIED
            await self._teller.tell()
            return result


def _supplied(decision: Decision) -> bytes:
    if decision.action == "skip" or decision.result is None:
        return b""
    return json.dumps(decision.result).encode()
