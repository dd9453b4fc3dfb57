"""What breaks the law of values is refused where it is given, before anything is done: the places one by one.

The kinds of types and values are varied in tests/property/test_values_travel.py.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretStr

from restate_patterns import (
    App,
    AwakeableId,
    Context,
    DefinitionError,
    DurablePromise,
    Embedded,
    ObjectContext,
    Service,
    State,
    TerminalError,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WrongValue,
    handler,
)
from restate_patterns.patterns.machines.machine import StateMachine
from restate_patterns.patterns.machines.status import Status
from restate_patterns.values.serde import codec
from tests.support.engines.apps import running


class Login(BaseModel):
    password: SecretStr


class Declined(TerminalError):
    limit: int


class Name(StrEnum):
    ANN = "ann"


class Adder(Service):
    """Takes plain values."""

    @handler
    async def add(self, ctx: Context, number: int) -> int:
        return number + 1

    @handler
    async def raw(self, ctx: Context, data: bytes = b"default") -> bytes:
        return data

    @handler
    async def empty(self, ctx: Context, data: bytes = b"") -> bytes:
        return data

    @handler
    async def maybe(self, ctx: Context, number: int | None = 3) -> int | None:
        return number


async def call(handler_: str, *args: object) -> Any:
    async with App([Adder()]).start(Embedded(":memory:")) as client:
        return await getattr(client.service_client(Adder), handler_)(*args)


@pytest.mark.parametrize("value", ["1", 1.0, True, None, Decimal(1)])
def test_an_argument_is_not_converted(value: object) -> None:
    with pytest.raises(WrongValue, match=r"^Adder\.add, the argument 'number': "):
        asyncio.run(call("add", value))


def test_empty_bytes_are_no_default() -> None:
    assert asyncio.run(call("raw")) == b"default"
    assert asyncio.run(call("raw", b"x")) == b"x"
    assert asyncio.run(call("empty", b"")) == b""
    assert asyncio.run(call("maybe", None)) is None
    assert asyncio.run(call("maybe")) == 3
    with pytest.raises(WrongValue, match=r"b'' travels as an empty body, for which the handler takes its default"):
        asyncio.run(call("raw", b""))


def test_a_type_that_never_comes_back_is_refused_when_the_class_is_made() -> None:
    why = "password: a secret is written as asterisks"
    with pytest.raises(DefinitionError, match=rf"S\.take: the argument 'login': Login never comes back .*{why}"):

        class S(Service):
            @handler
            async def take(self, ctx: Context, login: Login) -> None: ...

    with pytest.raises(DefinitionError, match=rf"R\.give: the result: .*{why}"):

        class R(Service):
            @handler
            async def give(self, ctx: Context) -> list[Login]:
                return []

    with pytest.raises(DefinitionError, match=rf"O\.login: the state: .*{why}"):

        class O(VirtualObject):  # noqa: E742
            login = State[Login | None](default=None)

            @handler
            async def take(self, ctx: ObjectContext) -> None: ...

    with pytest.raises(DefinitionError, match=rf"W\.login: the durable promise: .*{why}"):

        class W(Workflow):
            login = DurablePromise[dict[str, Login]]()

            @handler
            async def run(self, ctx: WorkflowContext) -> None: ...


class Doer(Service):
    """Does things that can't be told."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def login(self) -> Login:
        self.done.append("login")
        return Login(password=SecretStr("x"))

    def surrogate(self) -> str:
        self.done.append("surrogate")
        return "\ud800"

    def decline(self) -> str:
        self.done.append("decline")
        raise Declined(limit=None)  # type: ignore[arg-type]  # on purpose

    @handler
    async def do(self, ctx: Context, name: str) -> None:
        await ctx.run(name, getattr(self, name))

    @handler
    async def wait(self, ctx: Context) -> Any:
        return await ctx.awakeable(Login)

    @handler
    async def fail(self, ctx: Context, grouped: bool) -> None:
        error = Declined(limit="3")  # type: ignore[arg-type]  # on purpose
        if grouped:
            raise ExceptionGroup("several", [TerminalError("first"), error])
        raise error

    @handler
    async def reject(self, ctx: Context) -> str:
        try:
            await ctx.awakeable(int).id.reject(ctx, Declined(limit=3.5))  # type: ignore[arg-type]  # on purpose
        except WrongValue as error:
            return str(error)
        return "taken"


class Rejecting(Workflow):
    """Rejects its promise."""

    told = DurablePromise[int]()

    @handler
    async def run(self, ctx: WorkflowContext) -> str:
        try:
            await self.told.reject(ctx, Declined(limit=True))
        except WrongValue as error:
            return str(error)
        return "taken"


@pytest.mark.parametrize(
    ("name", "done", "sentence"),
    [
        ("login", [], "Doer.login: Login never comes back as it was given: password: a secret"),
        ("surrogate", ["surrogate"], "can't be written as str and read back"),
        ("decline", ["decline"], "Declined: the field 'limit': None is not of the type int"),
    ],
)
def test_a_step_whose_result_breaks_the_law_is_done_once_at_most(name: str, done: list[str], sentence: str) -> None:
    async def main() -> None:
        doer = Doer()
        async with running(doer) as app:
            reason = await app.pause_of(await app.client.service_client(Doer).do.send(name))
        assert doer.done == done
        assert sentence in reason

    asyncio.run(main())


@pytest.mark.parametrize("grouped", [True, False])
def test_an_error_with_a_wrong_field_is_no_answer(grouped: bool) -> None:
    async def main() -> str:
        async with running(Doer()) as app:
            return await app.pause_of(await app.client.service_client(Doer).fail.send(grouped))

    assert "Declined: the field 'limit': '3' (str) would be 3 (int)" in asyncio.run(main())


def test_rejecting_with_a_wrong_field_is_refused_there() -> None:
    async def main() -> list[str]:
        async with running(Doer(), Rejecting()) as app:
            doer, workflow = app.client.service_client(Doer), app.client.workflow_client(Rejecting, "k")
            return [await doer.reject(), await workflow.run()]

    first, second = asyncio.run(main())
    assert "Declined: the field 'limit': 3.5 is not of the type int" in first
    assert "Declined: the field 'limit': True (bool) would be 1 (int)" in second


def test_an_awakeable_of_a_type_that_never_comes_back_pauses() -> None:
    async def main() -> str:
        async with running(Doer()) as app:
            return await app.pause_of(await app.client.service_client(Doer).wait.send())

    assert "ctx.awakeable: Login never comes back" in asyncio.run(main())


@pytest.mark.parametrize(
    "value",
    [(0, 1), frozenset({1}), Decimal("1.5"), timedelta(days=1), object()],
    ids=lambda value: type(value).__name__,
)
def test_states_of_machines_are_found_by_their_value(value: object) -> None:
    states: Any = Enum("states", {"NEW": "new", "DONE": value})
    with pytest.raises(DefinitionError, match=r"M: the state DONE of states has the value .* found again"):

        class M(StateMachine[states]):
            status = Status(states, initial=states.NEW)

            @status.on(states.NEW, to=states.DONE)
            async def end(self, ctx: ObjectContext) -> None: ...


class Excluded(BaseModel):
    key: str = Field(exclude=True)


def test_the_sentence_names_the_path_inside_a_type() -> None:
    class Outer(BaseModel):
        inner: dict[str, list[Excluded]]

    with pytest.raises(DefinitionError, match=r"inner\[\.\.\.\]\[\.\.\.\]\.key: a field with exclude=True is not wr"):
        codec(Outer)


def test_the_id_of_an_awakeable_may_be_given_for_text() -> None:
    """It is text that remembers its type; who declares text gets text."""
    given: AwakeableId[int] = AwakeableId("prom_1abc")
    assert codec(str).decode(codec(str).encode(given)) == "prom_1abc"
    assert codec(list[str]).encode([given]) == b'["prom_1abc"]'
    with pytest.raises(WrongValue):
        codec(str).encode(Name.ANN)
