"""Definition classes: what is right works in every form, what is wrong fails with its class, handler and fix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs
import pytest
from pydantic import BaseModel
from typing_extensions import override

from restate_patterns import (
    App,
    Context,
    DefinitionError,
    DurablePromise,
    ObjectContext,
    ObjectSharedContext,
    RetryPolicy,
    Service,
    State,
    TerminalError,
    UndefinedName,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    handler,
)
from restate_patterns.api.definition_reader import read_definition
from restate_patterns.api.definitions import Definition
from restate_patterns.options import HandlerOptions
from restate_patterns.seam import HandlerKind, ServiceKind
from tests.support.engines.apps import running

if TYPE_CHECKING:
    from decimal import Decimal

T = TypeVar("T")

MINUTE = timedelta(minutes=1)


class Declined(TerminalError): ...


class Ticket(VirtualObject, name="TicketObject", retention=MINUTE, private=True):
    """A ticket.

    More about it.
    """

    count = State[int](default=0, name="n")

    @handler
    async def reserve(self, ctx: ObjectContext, user: str) -> bool:
        """Reserve it."""
        return True

    @handler(name="look", private=False, raises=[Declined])
    async def peek(self, ctx: ObjectSharedContext) -> int:
        return await self.count.get(ctx)


class Gold(Ticket):
    @handler(retry=RetryPolicy(max_attempts=1))
    @override
    async def peek(self, ctx: ObjectSharedContext) -> int:
        return 1 + await super().peek.inline(ctx)


class Shelf(VirtualObject, Generic[T]):
    item = State[T]()

    @handler
    async def put(self, ctx: ObjectContext, item: list[T]) -> T:
        self.item.set(ctx, item[0])
        return await self.item.get(ctx)


class Nested(Shelf[dict[str, T]], Generic[T]): ...


class Prices(Nested[int]): ...


class Registration(Workflow):
    done = DurablePromise[bool]()

    @handler
    async def run(self, ctx: WorkflowContext) -> bool:
        return await self.done.value(ctx)

    @handler
    async def finish(self, ctx: WorkflowSharedContext, ok: bool = True) -> None:
        await self.done.resolve(ctx, ok)


@dataclass(slots=True)
class Slotted(Service, name="SlottedService"):
    start: int
    unused = "class variable"

    @handler
    async def add(self, ctx: Context, more: int) -> int:
        return self.start + more


@attrs.define
class Attrs(VirtualObject):
    start: int
    total = State[int](default=0)

    @handler
    async def add(self, ctx: ObjectContext, more: int) -> int:
        self.total.set(ctx, await self.total.get(ctx) + self.start + more)
        return await self.total.get(ctx)


def test_names_kinds_and_options() -> None:
    spec = read_definition(Ticket)
    peek, reserve = spec.handlers["peek"], spec.handlers["reserve"]

    assert (spec.name, spec.kind) == ("TicketObject", ServiceKind.VIRTUAL_OBJECT)
    assert (peek.name, peek.kind, peek.raises) == ("look", HandlerKind.SHARED, (Declined,))
    assert (reserve.name, reserve.kind) == ("reserve", HandlerKind.EXCLUSIVE)
    assert peek.options == HandlerOptions(retention=MINUTE, private=False)
    assert reserve.options == HandlerOptions(retention=MINUTE, private=True)
    assert Ticket.peek.name == "look"
    assert read_definition(Ticket) is spec


def test_an_override_keeps_the_wire_name_and_adds_options() -> None:
    spec = read_definition(Gold)
    peek = spec.handlers["peek"]

    assert spec.name == "Gold"
    assert (peek.name, peek.raises, Gold.peek.name) == ("look", (Declined,), "look")
    assert peek.options == HandlerOptions(retention=MINUTE, private=False, retry=RetryPolicy(max_attempts=1))
    assert list(spec.handlers) == ["reserve", "peek"]


def test_kinds_of_workflow_handlers() -> None:
    kinds = {name: handler.kind for name, handler in read_definition(Registration).handlers.items()}

    assert kinds == {"run": HandlerKind.WORKFLOW, "finish": HandlerKind.SHARED}


def test_type_variables_get_the_types_of_the_subclass() -> None:
    put = read_definition(Prices).handlers["put"]

    assert put.argument is not None
    assert (put.argument.codec.type, put.output.type) == (list[dict[str, int]], dict[str, int])


@pytest.mark.anyio
async def test_all_forms_of_classes_run() -> None:
    async with running(Gold(), Prices(), Slotted(3), Attrs(10), Registration()) as app:
        client = app.client

        assert await client.object_client(Gold, "a").peek() == 1
        assert await client.object_client(Prices, "a").put([{"x": 3}]) == {"x": 3}
        assert await client.service_client(Slotted).add(4) == 7
        assert await client.object_client(Attrs, "a").add(1) == 11
        assert await client.object_client(Attrs, "a").add(1) == 22
        workflow = client.workflow_client(Registration, "k")
        handle = await workflow.run.send()
        await workflow.finish()
        assert await handle.result() is True


def test_a_decorated_class_keeps_its_name_and_its_state() -> None:
    assert read_definition(Slotted).name == "SlottedService"
    assert read_definition(Slotted).definition is Slotted
    assert list(read_definition(Attrs).declared) == [Attrs.__dict__["total"]]


unchecked: Callable[[Any], object] = handler  # what follows is wrong, and the checkers know it


def plain_def() -> None:
    class Wrong(Service):
        @unchecked
        def run(self, ctx: Context) -> int:
            return 1


def generator() -> None:
    class Wrong(Service):
        @unchecked
        async def run(self, ctx: Context) -> Any:
            yield 1


def static_method() -> None:
    class Wrong(Service):
        @unchecked
        @staticmethod
        async def run(ctx: Context) -> None: ...


def no_context() -> None:
    class Wrong(Service):
        @unchecked
        async def run(self) -> None: ...


def two_arguments() -> None:
    class Wrong(Service):
        @handler
        async def run(self, ctx: Context, one: int, two: int) -> None: ...


def keyword_argument() -> None:
    class Wrong(Service):
        @handler
        async def run(self, ctx: Context, *, one: int) -> None: ...


def argument_without_annotation() -> None:
    class Wrong(Service):
        @handler
        async def run(self, ctx: Context, one) -> None: ...  # type: ignore[no-untyped-def]


def context_without_annotation() -> None:
    class Wrong(Service):
        @handler
        async def run(self, ctx) -> None: ...  # type: ignore[no-untyped-def]


def result_without_annotation() -> None:
    class Wrong(Service):
        @handler
        async def run(self, ctx: Context): ...  # type: ignore[no-untyped-def]


def object_context_in_a_service() -> None:
    class Wrong(Service):
        @handler
        async def run(self, ctx: ObjectContext) -> None: ...


def service_context_in_an_object() -> None:
    class Wrong(VirtualObject):
        @handler
        async def run(self, ctx: Context) -> None: ...


def workflow_context_in_an_object() -> None:
    class Wrong(VirtualObject):
        @handler
        async def run(self, ctx: WorkflowContext) -> None: ...


def shared_run() -> None:
    class Wrong(Workflow):
        @handler
        async def run(self, ctx: WorkflowSharedContext) -> None: ...


def exclusive_handler_beside_run() -> None:
    class Wrong(Workflow):
        @handler
        async def run(self, ctx: WorkflowContext) -> None: ...
        @handler
        async def other(self, ctx: WorkflowContext) -> None: ...


def no_context_at_all() -> None:
    class Wrong(Service):
        @unchecked
        async def run(self, ctx: int) -> None: ...


def workflow_without_run() -> None:
    class Wrong(Workflow):
        @handler
        async def verify(self, ctx: WorkflowSharedContext) -> None: ...


def duplicate_wire_names() -> None:
    class Wrong(Service):
        @handler(name="b")
        async def a(self, ctx: Context) -> None: ...
        @handler
        async def b(self, ctx: Context) -> None: ...


def duplicate_state_names() -> None:
    class Wrong(VirtualObject):
        one = State[int](name="two")
        two = State[int]()


def wire_name_of_a_handler() -> None:
    class Wrong(Service):
        @handler(name="a/b")
        async def run(self, ctx: Context) -> None: ...


def wire_name_of_a_class() -> None:
    class Wrong(Service, name="a b"):
        @handler
        async def run(self, ctx: Context) -> None: ...


def override_without_decorator() -> None:
    class Wrong(Ticket):
        async def reserve(self, ctx: ObjectContext, user: str) -> bool:  # type: ignore[override,explicit-override]
            return True


def argument_of_an_opaque_type() -> None:
    class Wrong(Service):
        @handler
        async def run(self, ctx: Context, connection: pytest.Session) -> None: ...


def result_of_an_opaque_type() -> None:
    class Wrong(Service):
        @handler
        async def run(self, ctx: Context) -> pytest.Session:
            raise NotImplementedError


def state_of_an_opaque_type() -> None:
    class Wrong(VirtualObject):
        item = State[pytest.Session]()


def state_without_type() -> None:
    class Wrong(VirtualObject):
        item = State(default=3)


def state_with_a_mutable_default() -> None:
    class Wrong(VirtualObject):
        item = State[list[int]](default=[])


def state_with_both_defaults() -> None:
    class Wrong(VirtualObject):
        item = State[int](default=1, default_factory=int)  # type: ignore[call-overload]


def state_whose_default_is_of_another_type() -> None:
    class Wrong(VirtualObject):
        item = State[str](default=5)  # type: ignore[call-overload]


def state_that_is_not_called() -> None:
    class Wrong(VirtualObject):
        item = State[int]


def promise_that_is_not_called() -> None:
    class Wrong(Workflow):
        item = DurablePromise


def state_in_a_service() -> None:
    class Wrong(Service):
        item = State[int]()


def promise_in_an_object() -> None:
    class Wrong(VirtualObject):
        item = DurablePromise[int]()


def two_kinds() -> None:
    class Wrong(Service, VirtualObject): ...


def no_kind() -> None:
    class Wrong(Definition): ...


WRONG: list[tuple[Callable[[], None], str]] = [
    (plain_def, r"Wrong\.run: a handler is an `async def`, this is a plain `def`; write `async def run`"),
    (generator, r"Wrong\.run: a handler is an `async def`, this is an async generator"),
    (static_method, r"@handler decorates an `async def` method, not a staticmethod"),
    (no_context, r"Wrong\.run: a handler takes self and a context; write `async def run\(self, ctx: \.\.\.\)`"),
    (two_arguments, r"Wrong\.run: .*no argument or one .* takes 2 \(one, two\); put them into one dataclass"),
    (keyword_argument, r"Wrong\.run: the parameter one.* must be a plain positional one"),
    (argument_without_annotation, r"Wrong\.run: the parameter 'one' has no annotation.*`one: str`"),
    (context_without_annotation, r"Wrong\.run: the parameter 'ctx' has no annotation.*`ctx: ObjectContext`"),
    (result_without_annotation, r"Wrong\.run: the result has no annotation; write `-> None`"),
    (object_context_in_a_service, r"Wrong\.run: .*`ObjectContext`, but a Service's handler takes `Context`"),
    (service_context_in_an_object, r"Wrong\.run: .*`Context`, but a VirtualObject's handler takes `ObjectContext`"),
    (workflow_context_in_an_object, r"Wrong\.run: .*`WorkflowContext`, but a VirtualObject's"),
    (shared_run, r"Wrong\.run: .*`WorkflowSharedContext`, but a Workflow's `run` takes `WorkflowContext`"),
    (exclusive_handler_beside_run, r"Wrong\.other: .*its other handlers `WorkflowSharedContext`"),
    (no_context_at_all, r"Wrong\.run: its context is annotated with `int`"),
    (workflow_without_run, r"Wrong: a Workflow has a handler `run`.*add"),
    (duplicate_wire_names, r"Wrong: the handlers a and b have the same wire name 'b'; give one another `name=`"),
    (duplicate_state_names, r"Wrong: the states one and two have the same wire name 'two'"),
    (wire_name_of_a_handler, r"Wrong\.run: the wire name 'a/b' can't be that of a handler"),
    (wire_name_of_a_class, r"Wrong: the wire name 'a b' can't be that of a service"),
    (override_without_decorator, r"Wrong\.reserve overrides the handler Ticket\.reserve .*put @handler on it"),
    (argument_of_an_opaque_type, r"Wrong\.run: the argument 'connection': .*can't be turned into JSON"),
    (result_of_an_opaque_type, r"Wrong\.run: the result: Session can't be turned into JSON"),
    (state_of_an_opaque_type, r"Wrong\.item: the state: Session can't be turned into JSON"),
    (state_without_type, r"Wrong\.item: the state has no type; write it in brackets: `item = State\[str\]"),
    (state_with_a_mutable_default, r"the default \[\] is mutable.*`default_factory=list`"),
    (state_with_both_defaults, r"default= or default_factory=, not both"),
    (state_whose_default_is_of_another_type, r"Wrong\.item: default=5 is no value of its type.*leave the default out"),
    (state_that_is_not_called, r"Wrong\.item: State\[int\] is a class; call it: `item = State\[int\]\(\)`"),
    (promise_that_is_not_called, r"Wrong\.item: DurablePromise\[\.\.\.\] is a class; call it"),
    (state_in_a_service, r"Wrong\.item: a Service has no key to keep a state by; make .* a VirtualObject or Workflow"),
    (promise_in_an_object, r"Wrong\.item: a VirtualObject has no key to keep a durable promise by; make .* a Workflow"),
    (two_kinds, r"Wrong derives from Service and VirtualObject; derive from one"),
    (no_kind, r"Wrong derives from Definition; derive from one"),
]


@pytest.mark.parametrize(("make", "sentence"), WRONG, ids=[make.__name__ for make, _ in WRONG])
def test_a_wrong_class_fails_when_it_is_made(make: Callable[[], None], sentence: str) -> None:
    with pytest.raises(DefinitionError, match=sentence):
        make()


class OnlyForCheckers(Service):
    @handler
    async def run(self, ctx: Context, amount: Decimal) -> None: ...


class Early(Service):
    """Refers to what is defined below it."""

    @handler
    async def run(self, ctx: Context, later: Later) -> Later:
        return later


class Later(BaseModel):
    name: str


class Empty(Service): ...


def test_a_name_defined_later_is_found_when_the_app_is_made() -> None:
    assert read_definition(Early).handlers["run"].output.type is Later
    assert App([Early()]).deployment.services["Early"].handlers["run"].has_output


def test_a_name_for_checkers_only_fails_when_the_app_is_made() -> None:
    with pytest.raises(UndefinedName, match=r"OnlyForCheckers\.run: .*'Decimal'.*runtime-evaluated-decorators"):
        App([OnlyForCheckers()])


def test_a_payload_defined_inside_a_function_is_explained() -> None:
    class Payload(BaseModel):
        name: str

    class Inside(Service):
        @handler
        async def run(self, ctx: Context, payload: Payload) -> None: ...

    with pytest.raises(UndefinedName, match=r"Inside\.run: .*'Payload'.*inside a function.*at module level"):
        App([Inside()])


WRONG_APPS: list[tuple[list[Any], str]] = [
    ([Ticket], r"App: Ticket is a class; give an instance with its dependencies: `Ticket\(\.\.\.\)`"),
    ([3], r"App: 3 is no instance of a Service, VirtualObject or Workflow"),
    ([Ticket(), Ticket()], r"two definitions have the wire name 'TicketObject'.*name="),
    ([Shelf()], r"Shelf is generic in T.*`class Mine\(Shelf\[\.\.\.\]\)`"),
    ([Empty()], r"Empty has no handlers; put @handler"),
]


@pytest.mark.parametrize(("definitions", "sentence"), WRONG_APPS)
def test_a_wrong_app_fails_when_it_is_made(definitions: list[Any], sentence: str) -> None:
    with pytest.raises(DefinitionError, match=sentence):
        App(definitions)


def test_an_unknown_option_of_a_class_is_refused() -> None:
    with pytest.raises(TypeError, match="nme"):

        class Wrong(Service, nme="x"):  # type: ignore[call-arg]
            pass
