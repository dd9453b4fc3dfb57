"""Reads a definition class once into a `ServiceSpec`; owns the sentences about wrong definitions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, cast, get_args, get_origin

from restate_patterns.api.handlers import Handler, declarations, wire_name
from restate_patterns.api.members import Declared
from restate_patterns.api.signatures import EMPTY, Signature, read_signature, substitute, type_arguments
from restate_patterns.api.specs import REQUIRED, Argument, Defined, DefinitionOptions, HandlerSpec, ServiceSpec
from restate_patterns.errors import DefinitionError, UndefinedName
from restate_patterns.options import HandlerOptions
from restate_patterns.seam import RUN_HANDLER, ServiceKind
from restate_patterns.values.serde import Codec, codec, type_name

if TYPE_CHECKING:
    from typing_extensions import TypeIs


KIND: Final = "__restate_kind__"
OPTIONS: Final = "__restate_options__"
_SPEC: Final = "__restate_spec__"
SERVICE_NAME: Final = re.compile(r"([a-zA-Z]|_[a-zA-Z0-9])[a-zA-Z0-9._-]*")
HANDLER_NAME: Final = re.compile(r"([a-zA-Z]|_[a-zA-Z0-9])[a-zA-Z0-9_]*")
"""The names that a Restate server takes."""
_CONTEXTS: Final = {
    ServiceKind.SERVICE: "a Service's handler takes `Context`",
    ServiceKind.VIRTUAL_OBJECT: (
        "a VirtualObject's handler takes `ObjectContext` (reads and writes, one at a time per key) or "
        "`ObjectSharedContext` (reads, beside all others)"
    ),
    ServiceKind.WORKFLOW: "a Workflow's `run` takes `WorkflowContext`, its other handlers `WorkflowSharedContext`",
}


def is_definition(value: object) -> TypeIs[type[Defined]]:
    """Return whether `value` is the class of a service, object or workflow."""
    return isinstance(value, type) and hasattr(value, KIND)


def read_definition(definition: type[Defined]) -> ServiceSpec:
    """Return what a definition class says, read once.

    Raises:
        DefinitionError: It is wrong. `UndefinedName` when an annotation can't be resolved (yet).
    """
    spec: ServiceSpec | None = definition.__dict__.get(_SPEC)
    if spec is None or spec.definition is not definition:  # dataclass(slots=True) copies the attributes of a class
        spec = _read(definition)
        setattr(definition, _SPEC, spec)
    return spec


def check(definition: type[Defined]) -> None:
    """Check a class when it is made, as far as its annotations can be resolved by then.

    Raises:
        DefinitionError: It is wrong.
    """
    try:
        if getattr(definition, "__parameters__", ()):
            _check_shape(definition)
        else:
            read_definition(definition)
    except UndefinedName:
        pass  # raised again, at the latest, when the App is made


def _read(definition: type[Defined]) -> ServiceSpec:
    _check_shape(definition)
    if variables := getattr(definition, "__parameters__", ()):
        names = ", ".join(variable.__name__ for variable in variables)
        raise DefinitionError(
            f"{definition.__qualname__} is generic in {names}, so the types of its handlers are open; derive a "
            f"class that gives them: `class Mine({definition.__qualname__}[...])`"
        )
    said = _options(definition)
    types = type_arguments(definition)
    kind: ServiceKind = getattr(definition, KIND)
    return ServiceSpec(
        definition,
        said.name,
        kind,
        {name: _read_handler(definition, name, kind, said, types) for name in _names(definition, Handler)},
        {getattr(definition, name): _declared_codec(definition, name, types) for name in _names(definition, Declared)},
    )


def _options(definition: type) -> DefinitionOptions:
    said: DefinitionOptions = getattr(definition, OPTIONS)
    return said


def _names(definition: type, kind: type) -> Iterator[str]:
    """Give the attributes of a kind, those of the bases first, in the order of their declaration."""
    seen: dict[str, object] = {}
    for klass in reversed(definition.__mro__):
        seen.update(
            (name, member) for name, member in klass.__dict__.items() if name in seen or isinstance(member, kind)
        )
    return (name for name, member in seen.items() if isinstance(member, kind))


def _check_shape(definition: type[Defined]) -> None:
    own = definition.__qualname__
    for klass in definition.__mro__:
        for name, member in klass.__dict__.items():
            if isinstance(member, Handler) and not isinstance(_nearest(definition, name), Handler):
                raise DefinitionError(
                    f"{own}.{name} overrides the handler {klass.__qualname__}.{name} with something that is none; "
                    "put @handler on it too"
                )
            made_of = cast("object", get_origin(member) or member)
            if isinstance(made_of, type) and issubclass(made_of, Declared):
                raise DefinitionError(
                    f"{own}.{name}: {_called(member)} is a class; call it: `{name} = {_called(member)}()`"
                )
    handlers = list(_names(definition, Handler))
    wire_names = {name: wire_name(declarations(definition, name)) for name in handlers}
    _check_wire_names(own, _options(definition).name, wire_names, "handler")
    kind: ServiceKind = getattr(definition, KIND)
    declared = {name: getattr(definition, name) for name in _names(definition, Declared)}
    for name, member in declared.items():
        if kind not in member.owners:
            owners = " or ".join(sorted(owner.value for owner in member.owners))
            raise DefinitionError(
                f"{own}.{name}: a {kind.value} has no key to keep a {member.kind} by; make {own} a {owners}, or "
                "keep the value elsewhere"
            )
    for what in {member.kind for member in declared.values()}:
        members = {name: member.name for name, member in declared.items() if member.kind == what}
        _check_wire_names(own, None, members, what)
    if kind is ServiceKind.WORKFLOW and handlers and RUN_HANDLER not in handlers:
        raise DefinitionError(
            f"{own}: a Workflow has a handler `run`, which happens once per key; add "
            "`@handler async def run(self, ctx: WorkflowContext, ...) -> ...`"
        )


def _check_wire_names(own: str, service: str | None, names: Mapping[str, str], what: str) -> None:
    if service is not None and not SERVICE_NAME.fullmatch(service):
        raise DefinitionError(
            f"{own}: the wire name {service!r} can't be that of a service; use letters, digits, `_`, `-` and `.`, "
            "beginning with a letter"
        )
    for attribute, name in names.items():
        if what == "handler" and not HANDLER_NAME.fullmatch(name):
            raise DefinitionError(
                f"{own}.{attribute}: the wire name {name!r} can't be that of a handler; use letters, digits and `_`, "
                "beginning with a letter"
            )
    for name, count in Counter(names.values()).items():
        if count > 1:
            twice = " and ".join(attribute for attribute in names if names[attribute] == name)
            raise DefinitionError(
                f"{own}: the {what}s {twice} have the same wire name {name!r}; give one another `name=`"
            )


def _called(declared: Any) -> str:
    """Return how a class of `Declared` is written to be called, with its type in brackets."""
    types = get_args(declared)
    return f"{(get_origin(declared) or declared).__name__}[{', '.join(map(type_name, types)) if types else '...'}]"


def _nearest(definition: type, name: str) -> object:
    return next(klass.__dict__[name] for klass in definition.__mro__ if name in klass.__dict__)


def _read_handler(
    definition: type, name: str, kind: ServiceKind, said: DefinitionOptions, types: Mapping[type, Any]
) -> HandlerSpec:
    declared = declarations(definition, name)
    label = f"{definition.__qualname__}.{name}"
    function = declared[0].function
    declarer = next(klass for klass in definition.__mro__ if name in klass.__dict__)
    signature = read_signature(function, label, {definition.__name__: definition}, types.get(declarer, {}))
    handler_kind = _context_kinds(signature.context).get(kind)
    wire = wire_name(declared)
    if handler_kind is None or (kind is ServiceKind.WORKFLOW and _is_run(handler_kind) != (name == RUN_HANDLER)):
        raise DefinitionError(
            f"{label}: its context is annotated with `{type_name(signature.context)}`, but {_CONTEXTS[kind]}"
        )
    return HandlerSpec(
        definition=definition,
        attribute=name,
        label=label,
        service=said.name,
        name=wire,
        kind=handler_kind,
        context=signature.context,
        function=function,
        argument=_argument(signature, label),
        output=_codec(signature.result, f"{label}: the result"),
        options=_merged(member.options for member in declared).or_else(said.options),
        raises=next((member.raises for member in declared if member.raises), ()),
    )


def _context_kinds(context: Any) -> Mapping[ServiceKind, Any]:
    kinds: Mapping[ServiceKind, Any] = getattr(context, "__dict__", {}).get("_handler_kinds", {})
    return kinds


def _is_run(handler_kind: Any) -> bool:
    return bool(handler_kind.value == ServiceKind.WORKFLOW.value)


def _merged(options: Iterable[HandlerOptions]) -> HandlerOptions:
    merged = HandlerOptions()
    for more in options:
        merged = merged.or_else(more)
    return merged


def _argument(signature: Signature, label: str) -> Argument | None:
    argument = signature.argument
    if argument is None:
        return None
    default = REQUIRED if argument.default is EMPTY else argument.default
    return Argument(argument.name, _codec(argument.annotation, f"{label}: the argument {argument.name!r}"), default)


def _declared_codec(definition: type, name: str, types: Mapping[type, Any]) -> Codec[Any]:
    member: Declared[Any] = getattr(definition, name)
    declarer = next(klass for klass in definition.__mro__ if name in klass.__dict__)
    type_ = substitute(member.declared_type(), types.get(declarer, {}))
    found = _codec(type_, f"{definition.__qualname__}.{name}: the {member.kind}")
    member.check(found)
    return found


def _codec(type_: Any, what: str) -> Codec[Any]:
    try:
        return codec(type_)
    except DefinitionError as error:
        raise type(error)(f"{what}: {error}") from None
