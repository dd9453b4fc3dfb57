"""What a handler's function says of itself: its context, its argument, its result.

Owns the sentences about functions that can't be handlers. Knows no kind of service and no backend.
"""

from __future__ import annotations

import inspect
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from restate_patterns.errors import DefinitionError, UndefinedName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

EMPTY = inspect.Parameter.empty
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Signature:
    """The parts of a handler's signature, annotations resolved; `argument` is None when it takes none."""

    context: Any
    argument: inspect.Parameter | None
    result: Any


def check_function(fn: object, label: str) -> None:
    """Check what can be told without resolving annotations.

    Args:
        fn: What `@handler` decorates.
        label: The class and the handler, for the sentence.

    Raises:
        DefinitionError: It is not an `async def` method of a context and at most one argument, annotated.
    """
    if not inspect.isfunction(fn):
        kind = type(fn).__name__
        raise DefinitionError(
            f"{label}: @handler decorates an `async def` method, not a {kind}; put it on top of the def"
        )
    if not inspect.iscoroutinefunction(fn):
        what = "an async generator" if inspect.isasyncgenfunction(fn) else "a plain `def`"
        raise DefinitionError(f"{label}: a handler is an `async def`, this is {what}; write `async def {fn.__name__}`")
    parameters = list(inspect.signature(fn).parameters.values())[1:]
    if not parameters:
        raise DefinitionError(
            f"{label}: a handler takes self and a context; write `async def {fn.__name__}(self, ctx: ...)`"
        )
    if len(parameters) > 2:
        names = ", ".join(parameter.name for parameter in parameters[1:])
        raise DefinitionError(
            f"{label}: a handler takes no argument or one (the JSON body), this takes {len(parameters) - 1} "
            f"({names}); put them into one dataclass or pydantic model"
        )
    for parameter in parameters:
        if parameter.kind not in _POSITIONAL:
            raise DefinitionError(f"{label}: the parameter {parameter} must be a plain positional one")
        if parameter.annotation is EMPTY:
            hint = "ctx: ObjectContext" if parameter is parameters[0] else f"{parameter.name}: str"
            raise DefinitionError(
                f"{label}: the parameter {parameter.name!r} has no annotation, so its type is unknown; "
                f"annotate it (for instance `{hint}`)"
            )
    if "return" not in fn.__annotations__:
        raise DefinitionError(f"{label}: the result has no annotation; write `-> None` or the type it returns")


def read_signature(
    fn: Callable[..., object], label: str, local_names: Mapping[str, object], types: Mapping[TypeVar, object]
) -> Signature:
    """Resolve the annotations of a function that passed `check_function`.

    Args:
        fn: The function.
        label: The class and the handler, for the sentence.
        local_names: Names that annotations may use beside the module's.
        types: What the type variables of generic bases stand for.

    Raises:
        UndefinedName: An annotation names something that is not there (yet).
    """
    try:
        hints = typing.get_type_hints(fn, localns=dict(local_names), include_extras=True)
    except NameError as error:
        raise UndefinedName(_undefined(label, error, inside_function="<locals>" in fn.__qualname__)) from None
    except (TypeError, SyntaxError) as error:
        raise DefinitionError(f"{label}: an annotation can't be read: {error}") from None
    _, context, *arguments = inspect.signature(fn).parameters.values()
    argument = arguments[0] if arguments else None
    if argument is not None:
        argument = argument.replace(annotation=substitute(hints[argument.name], types))
    return Signature(substitute(hints[context.name], types), argument, substitute(hints["return"], types))


def _undefined(label: str, error: NameError, *, inside_function: bool) -> str:
    if inside_function:
        return (
            f"{label}: the annotation {error.name!r} can't be resolved: under `from __future__ import annotations` "
            "names defined inside a function are invisible; define the class and its payload types at module level"
        )
    return (
        f"{label}: the annotation {error.name!r} can't be resolved at run time. Import or define it at module level, "
        "not under `if TYPE_CHECKING:`. Where ruff's TC rules moved the import, set in pyproject.toml: "
        '[tool.ruff.lint.flake8-type-checking] runtime-evaluated-decorators = ["restate_patterns.handler"]'
    )


def substitute(hint: Any, types: Mapping[TypeVar, object]) -> Any:
    """Put concrete types in place of the type variables in `hint`."""
    if isinstance(hint, TypeVar):
        return types.get(hint, hint)
    variables = getattr(hint, "__parameters__", ())
    if not variables or isinstance(hint, type):
        return hint
    return hint[tuple(types.get(variable, variable) for variable in variables)]


def type_arguments(cls: type) -> dict[type, dict[TypeVar, object]]:
    """Give, for each generic base of `cls`, what its type variables stand for."""
    found: dict[type, dict[TypeVar, object]] = {}
    for klass in cls.__mro__:
        for base in klass.__dict__.get("__orig_bases__", ()):
            origin = typing.get_origin(base)
            if not isinstance(origin, type) or origin in (typing.Generic, typing.Protocol):
                continue
            variables = getattr(origin, "__parameters__", ())
            arguments = (substitute(argument, found.get(klass, {})) for argument in typing.get_args(base))
            found.setdefault(origin, dict(zip(variables, arguments, strict=False)))
    return found
