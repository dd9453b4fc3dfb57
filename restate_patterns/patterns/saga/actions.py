"""Actions of a saga: a call or a step whose undo is registered together with its result.

Whatever cancels the handler meanwhile, an action that has happened leaves its undo on the stack.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar, overload

from restate_patterns.errors import UsageError
from restate_patterns.options import Step
from restate_patterns.patterns.saga.undos import Undos

A = TypeVar("A")
R = TypeVar("R")


class SagaAction(Generic[R]):
    """Something a saga does, to await. Made by `saga.call` and `saga.run`.

    flight = await saga.call(flights.reserve, request).undo(flights.cancel, lambda flight: flight.id)
    """

    __slots__ = ("_register", "_registrar", "_work")

    def __init__(
        self,
        registrar: Callable[[], Undos],
        perform: Callable[[Callable[[R], None]], Coroutine[Any, Any, R]],
        watch: Callable[[Coroutine[Any, Any, R]], Coroutine[Any, Any, R]],
    ) -> None:
        self._registrar = registrar
        self._register: list[Callable[[R], None]] = []
        self._work = watch(perform(self._succeeded))

    @overload
    def undo(self, undo: Callable[[R], Coroutine[Any, Any, object]], /) -> SagaAction[R]: ...
    @overload
    def undo(
        self, undo: Callable[[A], Coroutine[Any, Any, object]], argument: Callable[[R], A], /
    ) -> SagaAction[R]: ...
    def undo(self, undo: Callable[..., Any], argument: Callable[[R], Any] | None = None, /) -> SagaAction[R]:
        """Have the action undone by a call or a send, once it has happened.

        Args:
            undo: What to call: a handler of a client, its `send`, or any coroutine function.
            argument: Makes its argument from the result of the action. Default: the result itself.

        Returns:
            The action, to await.
        """
        _check(argument, "undo")
        register = self._registrar()
        self._register.append(lambda result: register.undo(undo, _from(result, argument)))
        return self

    @overload
    def undo_step(self, step: str | Step, undo: Callable[[R], object], /) -> SagaAction[R]: ...
    @overload
    def undo_step(
        self, step: str | Step, undo: Callable[[A], object], argument: Callable[[R], A], /
    ) -> SagaAction[R]: ...
    def undo_step(
        self, step: str | Step, undo: Callable[..., Any], argument: Callable[[R], Any] | None = None, /
    ) -> SagaAction[R]:
        """Have the action undone by a `run` step, once it has happened.

        Args:
            step: The step's name, or a `Step` with retry policy and timeout.
            undo: What to do, async or not.
            argument: Makes its argument from the result of the action. Default: the result itself.

        Returns:
            The action, to await.
        """
        _check(argument, "undo_step")
        register = self._registrar()
        self._register.append(lambda result: register.undo_step(step, undo, _from(result, argument)))
        return self

    async def outcome(self) -> R:
        """Do it, as a coroutine: for `TaskGroup.create_task`."""
        return await self._work

    def __await__(self) -> Generator[Any, Any, R]:
        """Do it, and give its result.

        Raises:
            TerminalError: It ended with one. After the pivot it is tried again instead.
        """
        return self._work.__await__()

    def _succeeded(self, result: R) -> None:
        for register in self._register:
            register(result)


def _check(argument: object, verb: str) -> None:
    """Check that an argument is made from the result, before anything is done that could not be undone."""
    if argument is not None and not callable(argument):
        raise UsageError(
            f".{verb}(...): the argument is made from the result, by a function as in "
            f"`lambda flight: flight.id`, and a {type(argument).__name__} is none. What is known before the action "
            f"is given to `saga.{verb}(...)`, on a line of its own"
        )


def _from(result: R, argument: Callable[[R], Any] | None) -> Any:
    return result if argument is None else argument(result)
