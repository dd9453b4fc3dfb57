"""Actions of `ctx.run`: a function of the user as something that gives bytes, and how to read them back.

Owns how a function is called (on the loop or in a thread) and how the type of its result is known.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from restate_patterns.api.typed_clients import ClientProxy, Clients
from restate_patterns.errors import DefinitionError, UsageError, WrongValue
from restate_patterns.execution.steps import in_thread
from restate_patterns.options import Step
from restate_patterns.values.copies import kept_arguments
from restate_patterns.values.rebuilding import PLAIN
from restate_patterns.values.serde import Codec, codec

_AWAITABLES: Final = (Coroutine, Awaitable, types.CoroutineType)
_OF_HANDLERS: Final = (Clients, ClientProxy)
_SELF: Final[Any] = typing.Self


@dataclass(slots=True)
class Action:
    """A function with its arguments, ready to be tried; calling it gives the encoded result."""

    step: Step
    function: Callable[..., Any]
    args: tuple[Any, ...]
    """As they were when they were given; each try gets its own, whatever an earlier one did to them."""
    kwargs: Mapping[str, Any]
    is_plain: bool
    """Whether nobody can change the arguments."""
    is_async: bool
    codec: Codec[Any] | None
    """How the result is stored; None where the function does not say, and the result must be plain JSON."""

    async def __call__(self) -> bytes:
        """Do it, and give the encoded result."""
        args, kwargs = (self.args, self.kwargs) if self.is_plain else kept_arguments(self.args, self.kwargs)
        if self.is_async:
            result = await self.function(*args, **kwargs)
        else:
            result = await in_thread(self.function, *args, **kwargs)
            if inspect.isawaitable(result):
                result = await result
        return self._encode(result)

    def read(self, data: bytes) -> Any:
        """Return the result behind `data`."""
        return (self.codec or codec(Any)).read(data, "the result of the step {!r}", self.step.name)

    def _encode(self, result: Any) -> bytes:
        if isinstance(result, _OF_HANDLERS):
            raise _is_context(result, f"step {self.step.name!r}: the result")
        try:
            return (self.codec or codec(Any)).encode(result)
        except WrongValue as error:
            raise UsageError(
                f"step {self.step.name!r}: {_name(self.function)} {self._wrong_because(error, result)}"
            ) from None

    def _wrong_because(self, error: WrongValue, result: object) -> str:
        if self.codec is not None:
            return f"returned what its annotation does not say: {error}"
        return (
            f"has no return annotation, and returned a {type(result).__qualname__}, which a replay could not give "
            f"back; annotate what it returns. {error}"
        )


def action_of(function: Callable[..., Any], step: Step, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Action:
    """Make the action of a call of `function`.

    Raises:
        UsageError: A context is among the arguments, or `function` can't be called.
    """
    given: object = function
    if not callable(given):
        hint = ""
        if inspect.iscoroutine(given):
            given.close()
            hint = " (it was called already: write `fn, arg` instead of `fn(arg)`)"
        raise UsageError(f"step {step.name!r}: give ctx.run a function and its arguments, not {given!r}{hint}")
    is_plain = True
    for value in (*args, *kwargs.values()) if kwargs else args:
        if type(value) not in PLAIN:
            is_plain = False
            if isinstance(value, _OF_HANDLERS):
                raise _is_context(value, f"step {step.name!r}: an argument")
    if not is_plain:
        args, kwargs = kept_arguments(args, kwargs)
    is_async, result_codec = _known(function)
    return Action(step, function, args, kwargs, is_plain, is_async, result_codec)


def _is_context(value: object, what: str) -> UsageError:
    return UsageError(
        f"{what} is {value!r}: contexts and clients are for the handler only, an action runs outside the "
        "journal. Take what the action needs from them first, and pass the values"
    )


_Facts = tuple[bool, Codec[Any] | None]
_facts: WeakKeyDictionary[Any, _Facts] = WeakKeyDictionary()


def _known(function: Callable[..., Any]) -> _Facts:
    """Give what is known of a function; kept per underlying function, which lives as long as its module."""
    underlying = _underlying(function)
    try:
        found = _facts.get(underlying)
        if found is None:
            found = _facts[underlying] = _find(underlying)
    except TypeError:  # neither hashable nor weakly referable: some builtins and mocks
        return _find(underlying)
    return found


def _underlying(function: Any) -> Any:
    """Look through partials, bound methods and callable objects for what has the annotations."""
    while True:
        if function.__class__ is types.FunctionType:
            return function
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        elif inspect.isroutine(function) or isinstance(function, type):
            return function
        else:
            call = type(function).__call__
            return call if inspect.isfunction(call) else function


def _find(function: Any) -> _Facts:
    return inspect.iscoroutinefunction(function), _result_codec(function)


def _result_codec(function: Any) -> Codec[Any] | None:
    if isinstance(function, type):
        return _codec_or_none(function, function)
    try:
        hint: Any = typing.get_type_hints(inspect.unwrap(function), include_extras=True).get("return", Any)
    except (NameError, TypeError, AttributeError, ValueError):
        return None
    if typing.get_origin(hint) in _AWAITABLES:
        hint = typing.get_args(hint)[-1]
    return _codec_or_none(hint, function)


def _codec_or_none(hint: Any, function: Any) -> Codec[Any] | None:
    if hint in (Any, object, typing.Never, typing.NoReturn, _SELF) or isinstance(hint, TypeVar):
        return None
    if getattr(hint, "__parameters__", ()):
        return None
    try:
        return codec(hint)
    except DefinitionError as error:
        raise UsageError(f"the result of an action can't be stored: {_name(function)}: {error}") from None


def _name(function: Any) -> str:
    return getattr(_underlying(function), "__qualname__", repr(function))
