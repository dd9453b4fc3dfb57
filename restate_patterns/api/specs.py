"""What was read from a definition class once, in the form that calls and attempts use.

Knows how the arguments of a call become its one body; clients, contexts and the deployment read the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from typing_extensions import override

from restate_patterns.errors import WrongValue
from restate_patterns.seam import RUN_HANDLER, HandlerKind, ServiceKind
from restate_patterns.values.likeness import first_difference
from restate_patterns.values.serde import JSON, OCTETS

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from restate_patterns.errors import TerminalError
    from restate_patterns.options import HandlerOptions
    from restate_patterns.values.serde import Codec

REQUIRED: Final[Any] = object()
"""The default of an argument that has none."""


@dataclass(frozen=True, slots=True)
class Argument:
    """The one argument of a handler."""

    name: str
    codec: Codec[Any]
    default: Any = REQUIRED


@dataclass(frozen=True, slots=True)
class HandlerFace:
    """A handler as its callers know it: what it is called, what it takes and what it gives."""

    label: str
    """The class and the handler, as the code names them."""
    service: str
    name: str
    argument: Argument | None
    output: Codec[Any]

    @property
    def is_run(self) -> bool:
        """Whether this is the handler of a workflow that runs once per key, as far as its name tells."""
        return self.name == RUN_HANDLER

    @property
    def declared_by(self) -> type | None:
        """The definition class; None where only names are known."""
        return None

    @property
    def content_type(self) -> str | None:
        """What the body of a call is said to be; None where the handler is known to take JSON."""
        return None if self.argument is None else self.argument.codec.content_type

    def encode_arguments(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> bytes:
        """Return the body of a call with these arguments.

        Raises:
            WrongValue: They are not what the handler takes.
        """
        argument = self.argument
        if argument is not None and len(args) == 1 and not kwargs:
            value = args[0]
        elif argument is not None and not args and len(kwargs) == 1 and argument.name in kwargs:
            value = kwargs[argument.name]
        elif not args and not kwargs and (argument is None or argument.default is not REQUIRED):
            return b""
        else:
            takes = "no argument" if argument is None else f"one argument, {argument.name!r}"
            raise WrongValue(f"{self.label} takes {takes}; it was called with {_described(args, kwargs)}")
        body = argument.codec.encode(value, "{}, the argument {!r}", self.label, argument.name)
        if not body and argument.default is not REQUIRED:
            self._check_empty(argument, value)
        return body

    def _check_empty(self, argument: Argument, value: object) -> None:
        default = argument.default
        if first_difference(value, default) is not None:
            raise WrongValue(
                f"{self.label}, the argument {argument.name!r}: {value!r} travels as an empty body, for which the "
                f"handler takes its default {default!r}; make {value!r} the default, or put the argument into a model"
            )


def _described(args: tuple[object, ...], kwargs: Mapping[str, object]) -> str:
    shown = [repr(arg) for arg in args] + [f"{name}={value!r}" for name, value in kwargs.items()]
    return f"({', '.join(shown)})"


@dataclass(frozen=True, slots=True)
class HandlerSpec(HandlerFace):
    """A handler of one class, resolved."""

    definition: type
    attribute: str
    kind: HandlerKind
    context: type
    function: Callable[..., Coroutine[Any, Any, Any]]
    options: HandlerOptions
    raises: Sequence[type[TerminalError]]

    @property
    @override
    def is_run(self) -> bool:
        return self.kind is HandlerKind.WORKFLOW and self.name == RUN_HANDLER

    @property
    @override
    def declared_by(self) -> type | None:
        return self.definition

    @property
    @override
    def content_type(self) -> str | None:
        argument = self.argument
        return None if argument is None or argument.codec.content_type == JSON else OCTETS


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A definition class, resolved; handlers by the name of their attribute."""

    definition: type
    name: str
    kind: ServiceKind
    handlers: Mapping[str, HandlerSpec]
    declared: Mapping[object, Codec[Any]]
    """The codec of each `State`, `DurablePromise` and `Signal` of the class, by the thing itself."""


@dataclass(frozen=True, slots=True)
class DefinitionOptions:
    """What a class statement said of its definition."""

    name: str
    options: HandlerOptions


class Defined:
    """What every definition class has, for those who read one. See `definitions.Definition`."""

    __restate_kind__: ClassVar[ServiceKind]
    __restate_options__: ClassVar[DefinitionOptions]
