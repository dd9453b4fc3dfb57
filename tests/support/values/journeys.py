"""Sends values of any type to every place that values go to, and says what came of it there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, cast

from restate_patterns import (
    Client,
    Definition,
    DurablePromise,
    InvocationPaused,
    State,
    TerminalError,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    WrongValue,
    handler,
)
from restate_patterns.testing.contract import Admin
from tests.support.bounds import PATIENCE_S

INSIDE: Final = ("argument", "state", "promise", "awakeable", "signal")
"""Places where a handler gives a value, and may catch the refusal."""
OUTSIDE: Final = ("result", "step", "error")
"""Places where giving it ends something, so that a refusal pauses."""
PLACES: Final = (*INSIDE, *OUTSIDE)
_state: Any = State
_promise: Any = DurablePromise


class Journeys:
    """A workflow with one type in every place.

    Args:
        type_: The type.
        name: The wire name of the workflow.
        values: What is given, by its number.

    Raises:
        DefinitionError: Values of the type never come back.
    """

    def __init__(self, type_: Any, name: str, values: Sequence[object]) -> None:
        self.came: dict[str, Any] = {}
        """What came back, by the key of the journey."""
        self.done: list[str] = []
        """The actions of steps that were done, by the key of the journey."""
        self.refusal = _refusal(type_, name)
        self.definition = _definition(type_, name, values, self)

    async def go(self, client: Client, admin: Admin, place: str, number: int, key: str) -> str:
        """Give a value at a place; gives the sentence that refused it, or nothing when it came back."""
        workflow: Any = client.workflow_client(cast("Any", type(self.definition)), key)
        if place in INSIDE:
            return str(await asyncio.wait_for(workflow.run(f"{place} {number}"), PATIENCE_S))
        sent = await getattr(workflow, place).send(number)
        ended = asyncio.ensure_future(sent.result())
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not ended.done():
                    reason = await admin.paused_because(sent.id)
                    if reason is not None:
                        await admin.kill(sent.id)
                        await asyncio.wait([ended])  # it has the answer that it was killed
                        return reason
                    await asyncio.sleep(0.02)
            try:
                await self._arrived(place, ended, key)
            except InvocationPaused as paused:  # told before anybody looked
                await admin.kill(sent.id)
                return paused.reason
            return ""
        finally:
            ended.cancel()

    async def _arrived(self, place: str, ended: Awaitable[object], key: str) -> None:
        try:
            back = await ended
        except self.refusal as error:
            back = getattr(error, "field")  # noqa: B009 - known at run time only
        if place != "step":
            self.came[key] = back


def typed(**types: object) -> Callable[[Any], Any]:
    """Annotate a function with types that are known at run time only; `result` is what it returns."""

    def annotate(function: Any) -> Any:
        function.__annotations__.update({"return" if name == "result" else name: t for name, t in types.items()})
        return function

    return annotate


def _refusal(type_: Any, name: str) -> type[TerminalError]:
    return type("Refusal", (TerminalError,), {"__annotations__": {"field": type_}}, name=f"refusal of {name}")


def _definition(type_: Any, name: str, values: Sequence[object], journeys: Journeys) -> Definition:
    came, done, refusal = journeys.came, journeys.done, journeys.refusal

    @typed(result=type_)
    async def act(key: str, number: int) -> Any:
        done.append(key)
        return values[number]

    class Journey(Workflow, name=name):
        """Goes to every place."""

        kept = _state[type_](name="kept")
        told = _promise[type_](name="told")

        @handler
        async def run(self, ctx: WorkflowContext, place: str) -> str:
            """Give a value at a place of this handler."""
            where, _, number = place.partition(" ")
            try:
                came[ctx.key] = await _GIVEN[where](self, ctx, values[int(number)], type_)
            except WrongValue as error:
                came.pop(ctx.key, None)
                return str(error)
            return ""

        @handler
        @typed(value=type_)
        async def argument(self, ctx: WorkflowSharedContext, value: Any) -> None:
            """Take it."""
            came[ctx.key] = value

        @handler
        @typed(result=type_)
        async def result(self, ctx: WorkflowSharedContext, number: int) -> Any:
            """Return it."""
            return values[number]

        @handler
        async def step(self, ctx: WorkflowSharedContext, number: int) -> None:
            """Have a step give it."""
            came[ctx.key] = await ctx.run("act", act, ctx.key, number)

        @handler
        async def error(self, ctx: WorkflowSharedContext, number: int) -> None:
            """Raise an error that carries it."""
            raise refusal(field=values[number])

        async def given_as_argument(self, ctx: WorkflowContext, value: Any) -> Any:
            """Call with it."""
            me: Any = ctx.workflow_client(type(self), ctx.key)
            await me.argument(value)
            return came[ctx.key]

    return Journey()


async def _to_argument(journey: Any, ctx: WorkflowContext, value: Any, _: Any) -> Any:
    return await journey.given_as_argument(ctx, value)


async def _to_state(journey: Any, ctx: WorkflowContext, value: Any, _: Any) -> Any:
    journey.kept.set(ctx, value)
    return await journey.kept.get(ctx)


async def _to_promise(journey: Any, ctx: WorkflowContext, value: Any, _: Any) -> Any:
    await journey.told.resolve(ctx, value)
    return await journey.told.value(ctx)


async def _to_awakeable(_: Any, ctx: WorkflowContext, value: Any, type_: Any) -> Any:
    awakeable: Any = ctx.awakeable(type_)
    await awakeable.id.resolve(ctx, value)
    return await awakeable


async def _to_signal(_: Any, ctx: WorkflowContext, value: Any, type_: Any) -> Any:
    name, me = str(ctx.uuid4()), ctx.invocation_by_id(ctx.invocation_id)
    await me.signal(name, type_).resolve(value)
    signal: Any = ctx.signal(name, type_)
    return await signal


_GIVEN: Final[Mapping[str, Callable[..., Awaitable[Any]]]] = {
    "argument": _to_argument,
    "state": _to_state,
    "promise": _to_promise,
    "awakeable": _to_awakeable,
    "signal": _to_signal,
}
