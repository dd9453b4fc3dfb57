"""Doing what a saga owes until it has succeeded, or a person has decided; and undoing a stack that way."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from restate_patterns.api.context import Context
from restate_patterns.errors import InvalidInput, TerminalError
from restate_patterns.patterns.saga.desk import Decision
from restate_patterns.patterns.saga.record import SagaStep, SagaStepKind, SagaStepState
from restate_patterns.patterns.saga.stack import Duty, Group
from restate_patterns.patterns.saga.teller import Teller
from restate_patterns.patterns.saga.trying import NEXT_TRY, timer_name
from restate_patterns.toolkit import owed, sleep_for, terminal


@dataclass(frozen=True, slots=True)
class NextTry:
    """What a policy says of a try that failed. It is in the journal: a replay goes by it, whatever the policy is then.

    Args:
        wait_ms: The wait before the next try; None when this was the last.
        rest: What the rest of the stack does, if it was.
    """

    wait_ms: int | None
    rest: Literal["run", "wait"]


class GaveUp(NamedTuple):
    """A duty whose tries are used up."""

    duty: Duty
    step: SagaStep
    failed_count: int
    rest: Literal["run", "wait"]


class Unwinding:
    """Does what one saga owes until it is done.

    Args:
        ctx: The saga's context.
        teller: Who keeps the saga's record.
    """

    def __init__(self, ctx: Context, teller: Teller) -> None:
        self._ctx = ctx
        self._teller = teller

    async def finish(self, duty: Duty, step: SagaStep) -> Any:
        """Do a duty until it has succeeded or a person has decided; gives its result."""
        ended = await self._try(duty, step)
        return await self._with_a_person(ended) if isinstance(ended, GaveUp) else ended

    async def undo(self, group: Group) -> None:
        """Undo a group, newest first; ends when all of it is undone or decided, also what came late."""
        while group.entries:
            waiting: list[asyncio.Task[Any]] = []
            await self._undo_group(group, waiting)
            for parked in waiting:
                await parked
        group.closed = "what it belongs to has been undone. Await an action inside its saga or savepoint"

    async def _undo_group(self, group: Group, waiting: list[asyncio.Task[Any]]) -> None:
        entries = group.take()
        if group.parallel:
            together = [owed(self._undo_entry(entry, waiting)) for entry in entries]
            for each in together:
                await each
            return
        for entry in entries:
            await self._undo_entry(entry, waiting)

    async def _undo_entry(self, entry: Duty | Group, waiting: list[asyncio.Task[Any]]) -> None:
        if isinstance(entry, Group):
            await self._undo_group(entry, waiting)
            return
        try:
            await self._undo_duty(entry, waiting)
        except Exception as error:
            # To be tried again, by the next attempt: what runs beside this must not act any more.
            self._teller.break_off(error)
            raise

    async def _undo_duty(self, duty: Duty, waiting: list[asyncio.Task[Any]]) -> None:
        step = self._teller.began(SagaStepKind.UNDO, duty.name, duty.participant)
        ended = await self._try(duty, step)
        if not isinstance(ended, GaveUp):
            return
        self._teller.check_desk(step)  # before the rest goes on: what the journal has then is the same with a desk
        if ended.rest == "wait":
            await self._with_a_person(ended)
        else:
            waiting.append(owed(self._with_a_person(ended)))

    async def _try(self, duty: Duty, step: SagaStep) -> Any | GaveUp:
        """Do a duty as often as its policy says."""
        failed_count = 0
        self._teller.step_stands(step, SagaStepState.RUNNING)
        await self._teller.tell()
        while True:
            try:
                result = await duty.run()
            except Exception as error:
                final = terminal(error)
                if final is None:
                    raise
                failed_count += 1
                self._teller.failed(step, final)
                following = await self._after(duty, final, failed_count)
                if following.wait_ms is None:
                    return GaveUp(duty, step, failed_count, following.rest)
                undoes = step.kind is SagaStepKind.UNDO
                await sleep_for(following.wait_ms / 1000, timer_name(failed_count + 1, duty.name, undoes=undoes))
                continue
            self._teller.step_stands(step, SagaStepState.DONE)
            await self._teller.tell()
            return result

    async def _after(self, duty: Duty, error: TerminalError, failed_count: int) -> NextTry:
        async def decide(failed_count: int) -> NextTry:
            is_last = duty.last is not None and isinstance(error, duty.last)
            return NextTry(None if is_last else duty.policy.retry.delay_ms(failed_count, error), duty.policy.rest)

        return await self._ctx.run(f"{NEXT_TRY}{duty.name}", decide, failed_count)

    async def _with_a_person(self, gave_up: GaveUp) -> Any:
        duty, step, failed_count, _ = gave_up
        while True:
            decision = await self._teller.ask_a_person(step, failed_count)
            if decision.action == "resume":
                ended = await self._try(duty, step)
                if not isinstance(ended, GaveUp):
                    return ended
                failed_count = ended.failed_count
                continue
            try:
                result = duty.read(_supplied(decision))
            except InvalidInput as error:
                self._teller.refused(step, error)
                continue
            skipped = decision.action == "skip"
            self._teller.step_stands(step, SagaStepState.SKIPPED if skipped else SagaStepState.SUPPLIED)
            await self._teller.tell()
            return result


def _supplied(decision: Decision) -> bytes:
    if decision.action == "skip" or decision.result is None:
        return b""
    return json.dumps(decision.result).encode()
