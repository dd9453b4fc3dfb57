"""The definitions of an app as a backend hosts them: what they are, and attempts of their handlers."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from typing_extensions import override

from restate_patterns.api.definition_reader import is_definition, read_definition
from restate_patterns.api.definitions import Definition
from restate_patterns.api.links import Link
from restate_patterns.api.specs import REQUIRED
from restate_patterns.api.typed_clients import ClientProxy, Clients
from restate_patterns.errors import DefinitionError, InvalidInput, UsageError, WrongValue
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.execution.said import SaidLines
from restate_patterns.seam import (
    Attempt,
    Caller,
    Deployment,
    HandlerInfo,
    Invocation,
    Operations,
    ServiceInfo,
)
from restate_patterns.values.copies import kept

if TYPE_CHECKING:
    from restate_patterns.api.specs import HandlerSpec, ServiceSpec

Main: TypeAlias = Callable[[DurableAttempt], Coroutine[Any, Any, bytes]]

AtStart: TypeAlias = Callable[[Clients], Awaitable[None]]
"""What an app does at each start, through a client of its services."""


class AppDeployment(Deployment):
    """Hosts bound instances of definition classes.

    Args:
        definitions: The instances; one per wire name.
        at_start: What the app does at each start, one after the other.

    Raises:
        DefinitionError: Something is not an instance of a definition, or can't be resolved, or a wire
            name is taken twice.
    """

    def __init__(self, definitions: Sequence[Definition], at_start: Sequence[AtStart] = ()) -> None:
        self._services: dict[str, ServiceInfo] = {}
        self._mains: dict[tuple[str, str], Main] = {}
        self._said = SaidLines()
        self._at_start = at_start
        for instance in definitions:
            self._add(instance)

    @property
    @override
    def services(self) -> Mapping[str, ServiceInfo]:
        return self._services

    @override
    def attempt(self, invocation: Invocation, operations: Operations) -> Attempt:
        target = invocation.target
        attempt = DurableAttempt(invocation, operations, self._mains.get((target.service, target.handler), _gone))
        attempt.hosted = self._services
        attempt.said = self._said
        return attempt

    @override
    async def started(self, caller: Caller) -> None:
        via = Clients(Link(caller))
        for begin in self._at_start:
            await begin(via)

    def _add(self, instance: Definition) -> None:
        _check_instance(instance)
        spec = read_definition(type(instance))
        if not spec.handlers:
            raise DefinitionError(f"{type(instance).__qualname__} has no handlers; put @handler on its methods")
        if spec.name in self._services:
            raise DefinitionError(
                f"two definitions have the wire name {spec.name!r}; give one another: `class "
                f"{type(instance).__qualname__}(..., name='...')`"
            )
        self._services[spec.name] = service_info(spec)
        for handler in spec.handlers.values():
            self._mains[spec.name, handler.name] = _main(instance, spec, handler)


def _check_instance(instance: object) -> None:
    if isinstance(instance, ClientProxy):
        raise DefinitionError(f"App: {instance!r} is a client, which stands for a service elsewhere; give an instance")
    if is_definition(instance):
        name = instance.__qualname__
        raise DefinitionError(f"App: {name} is a class; give an instance with its dependencies: `{name}(...)`")
    if not isinstance(instance, Definition):
        raise DefinitionError(f"App: {instance!r} is no instance of a Service, VirtualObject or Workflow")


async def _gone(attempt: DurableAttempt) -> bytes:
    raise UsageError(
        f"{attempt.invocation.target} has an invocation in flight, but this program has no such handler; run a "
        "program that has it and resume the invocation, or kill it"
    )


def _main(instance: Definition, service: ServiceSpec, handler: HandlerSpec) -> Main:
    """Make what runs a handler: all look-ups are done here, once."""
    function, context, argument, output = handler.function, handler.context, handler.argument, handler.output

    async def without_argument(attempt: DurableAttempt) -> bytes:
        if attempt.invocation.body:
            raise InvalidInput(message=f"input validation error: {handler.label} takes no input")
        return encode(await function(instance, context(attempt, service, handler)))

    async def with_argument(attempt: DurableAttempt) -> bytes:
        assert argument is not None
        body = attempt.invocation.body
        has_default = not body and argument.default is not REQUIRED
        value = kept(argument.default) if has_default else argument.codec.decode(body)
        return encode(await function(instance, context(attempt, service, handler), value))

    def encode(result: object) -> bytes:
        try:
            return output.encode(result)
        except WrongValue as error:
            raise UsageError(f"{handler.label} returned what its annotation does not say: {error}") from None

    return without_argument if argument is None else with_argument


def service_info(spec: ServiceSpec) -> ServiceInfo:
    """Return what backends and tools need to know of a service."""
    handlers = {handler.name: _handler_info(handler) for handler in spec.handlers.values()}
    return ServiceInfo(spec.name, spec.kind, handlers, _documentation(spec.definition))


def _handler_info(spec: HandlerSpec) -> HandlerInfo:
    argument = spec.argument
    inputs: dict[str, Any] = {}
    if argument is None:
        inputs = {"takes_input": False, "input_required": False}
    else:
        inputs = {
            "input_required": argument.default is REQUIRED,
            "input_content_type": argument.codec.accepted_type,
            "input_schema": argument.codec.json_schema("validation"),
            "read_input": argument.codec.decode,
        }
    return HandlerInfo(
        spec.name,
        spec.kind,
        spec.options,
        output_content_type=spec.output.content_type,
        has_output=not spec.output.is_empty,
        output_schema=spec.output.json_schema("serialization"),
        documentation=inspect.getdoc(spec.function),
        **inputs,
    )


def _documentation(definition: type) -> str | None:
    text = definition.__dict__.get("__doc__")
    if text is None or text.startswith(f"{definition.__name__}("):  # written by dataclass
        return None
    return inspect.cleandoc(text)
