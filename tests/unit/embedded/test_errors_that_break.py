"""Errors whose class, text or fields are broken: each is retried, terminal or a pause that names it; others go on."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import pytest
from typing_extensions import override

from restate_patterns import limits
from restate_patterns.api.context import Context
from restate_patterns.api.definitions import Service
from restate_patterns.api.deployment import AppDeployment
from restate_patterns.api.handlers import handler
from restate_patterns.engine.interface import InvocationStatus
from restate_patterns.errors import TerminalError
from restate_patterns.options import Step
from restate_patterns.retries import RetryPolicy
from tests.support.engines.engines import Bench, bench, bounded

RETRIED, TERMINAL, PAUSED = "retried", "terminal", "paused"
ONCE: Final = RetryPolicy(max_attempts=1, then="fail")


class BrokenStr(Exception):
    @override
    def __str__(self) -> str:
        raise RuntimeError("no str")


class ExitingStr(Exception):
    @override
    def __str__(self) -> str:
        raise SystemExit(3)


class NumberAsStr(Exception):
    @override
    def __str__(self) -> str:
        return cast("str", 5)


class BrokenRepr(Exception):
    @override
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class BrokenInit(Exception):
    def __init__(self) -> None:
        raise LookupError("no init")


class BrokenEq(Exception):
    @override
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no eq")

    __hash__ = Exception.__hash__


class Lazy:
    @override
    def __str__(self) -> str:
        return "translated later"


class Unsaid:
    @override
    def __str__(self) -> str:
        raise RuntimeError("no str")

    __repr__ = __str__


class Braces(TerminalError, code=409):
    """Write {"seat": 1}, {} or {0}; not {reason}."""

    reason: object


class OwnInit(TerminalError, code=409):
    def __init__(self, seat: int) -> None:
        self.seat = seat


def raising(error: Exception) -> property:
    """Make a property that can't be read."""

    def read(_: object) -> object:
        raise error

    return property(read)


def without_init(_: object) -> None:
    """Be an `__init__` that leaves everything out."""


MessageProperty: Final[Any] = type("MessageProperty", (TerminalError,), {"message": raising(ValueError("no message"))})
AllProperties: Final[Any] = type(
    "AllProperties",
    (TerminalError,),
    {
        "__init__": without_init,
        "message": raising(ValueError("no message")),
        "code": raising(ValueError("no code")),
        "metadata": raising(ValueError("no metadata")),
    },
)
OddMetadata: Final[Any] = type(
    "OddMetadata", (TerminalError,), {"metadata": property(lambda _: {"a": uuid.UUID(int=1), 7: b"x"})}
)


class BrokenDescribe(TerminalError):
    @override
    def describe(self) -> str:
        raise KeyError("no seat")


def terminal(message: Any = "x", code: Any = None) -> TerminalError:
    """Make a terminal error of what types would not let through."""
    return TerminalError(message, code=code)


def changed(**attributes: object) -> TerminalError:
    """Make a terminal error whose attributes were set to something else afterwards."""
    error = TerminalError("x")
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


def grouped(error: BaseException) -> BaseExceptionGroup[BaseException]:
    """Put an error in a group."""
    return BaseExceptionGroup("several", [error])


def circle() -> list[object]:
    """Make a list that is in itself."""
    items: list[object] = []
    items.append(items)
    return items


def looped() -> Exception:
    """Make an error that is its own cause."""
    error = ValueError("looped")
    error.__cause__ = error
    return error


ERRORS: Final[dict[str, tuple[Callable[[], BaseException], str, str]]] = {
    "str": (BrokenStr, RETRIED, "BrokenStr whose str() raises RuntimeError"),
    "exiting str": (ExitingStr, RETRIED, "ExitingStr whose str() raises SystemExit"),
    "number as str": (NumberAsStr, RETRIED, "NumberAsStr whose str() raises TypeError"),
    "repr": (lambda: BrokenRepr("said"), RETRIED, "BrokenRepr: said"),
    "init": (BrokenInit, RETRIED, "LookupError: no init"),
    "eq": (BrokenEq, RETRIED, "BrokenEq"),
    "eq in a group": (lambda: grouped(BrokenEq()), RETRIED, "ExceptionGroup: several"),
    "own cause": (looped, RETRIED, "ValueError: looped"),
    "surrogate": (lambda: ValueError("a\udce9"), RETRIED, r"ValueError: a\udce9"),
    "long": (lambda: ValueError("x" * 2 * limits.ERROR_CHARS_MAX), RETRIED, "ValueError: xxx"),
    "StopIteration": (lambda: StopIteration(3), RETRIED, "StopIteration"),
    "StopAsyncIteration": (StopAsyncIteration, RETRIED, "StopAsyncIteration"),
    "GeneratorExit": (GeneratorExit, RETRIED, "GeneratorExit"),
    "KeyboardInterrupt": (KeyboardInterrupt, RETRIED, "KeyboardInterrupt"),
    "SystemExit": (lambda: SystemExit(2), RETRIED, "SystemExit: 2"),
    "BaseException": (lambda: BaseException("bare"), RETRIED, "BaseException: bare"),
    "GeneratorExit in a group": (lambda: grouped(GeneratorExit()), RETRIED, "BaseExceptionGroup: several"),
    "KeyboardInterrupt in a group": (lambda: grouped(KeyboardInterrupt()), RETRIED, "BaseExceptionGroup: several"),
    "terminal of an exception": (lambda: terminal(ValueError("x")), PAUSED, "message must be text, not ValueError"),
    "terminal of a lazy text": (lambda: terminal(Lazy()), PAUSED, "message must be text, not"),
    "terminal of what can't be said": (lambda: terminal(Unsaid()), PAUSED, "Unsaid whose repr() raises"),
    "code as text": (lambda: terminal(code="404"), PAUSED, "code must be a number from 1 to 65535, not '404'"),
    "code as a truth": (lambda: terminal(code=True), PAUSED, "code must be a number"),
    "code as a float": (lambda: terminal(code=404.0), PAUSED, "code must be a number"),
    "huge code": (lambda: terminal(code=10**30), PAUSED, "code must be a number"),
    "code below 1": (lambda: terminal(code=0), PAUSED, "code must be a number"),
    "message set later": (lambda: changed(message=uuid.UUID(int=1)), TERMINAL, "00000000-0000"),
    "code set later": (lambda: changed(code=10**30), TERMINAL, "x"),
    "metadata set later": (lambda: changed(_metadata={"a": uuid.UUID(int=1)}), TERMINAL, "x"),
    "odd metadata": (lambda: OddMetadata("odd"), TERMINAL, "odd"),
    "terminal surrogate": (lambda: TerminalError("a\ud800b"), TERMINAL, r"a\ud800b"),
    "braces": (lambda: Braces(reason="no"), TERMINAL, 'Write {"seat": 1}, {} or {0}; not no.'),
    "field that can't be said": (lambda: Braces(reason=Unsaid()), PAUSED, "Braces: the field 'reason'"),
    "field with a surrogate": (lambda: Braces(reason="\udce9"), PAUSED, "Braces: the field 'reason'"),
    "field in a circle": (lambda: Braces(reason=circle()), PAUSED, "Braces: the field 'reason'"),
    "field of its own kind": (lambda: Braces(reason=BrokenStr), PAUSED, "Braces: the field 'reason'"),
    "own init": (lambda: OwnInit(1), TERMINAL, "OwnInit"),
    "property": (lambda: MessageProperty("x"), TERMINAL, "MessageProperty (its message raised ValueError: no message)"),
    "properties": (AllProperties, TERMINAL, "AllProperties (its message raised ValueError: no message)"),
    "describe": (BrokenDescribe, TERMINAL, "BrokenDescribe (its describe() raised KeyError: 'no seat')"),
    "terminal in a group": (lambda: grouped(TerminalError("grouped")), TERMINAL, "grouped"),
}


def made(kind: str) -> BaseException:
    """Make the error."""
    return ERRORS[kind][0]()


def act(kind: str) -> str:
    """Raise in a thread."""
    raise made(kind)


async def act_on_loop(kind: str) -> str:
    """Raise on the loop."""
    raise made(kind)


class Breaking(Service):
    @handler
    async def in_handler(self, ctx: Context, kind: str) -> str:
        raise made(kind)

    @handler(retry=ONCE)
    async def in_handler_once(self, ctx: Context, kind: str) -> str:
        raise made(kind)

    @handler
    async def in_a_task(self, ctx: Context, kind: str) -> str:
        return await asyncio.create_task(self.in_handler.inline(ctx, kind))

    @handler
    async def in_thread(self, ctx: Context, kind: str) -> str:
        return await ctx.run("act", act, kind)

    @handler
    async def on_loop(self, ctx: Context, kind: str) -> str:
        return await ctx.run("act", act_on_loop, kind)

    @handler
    async def in_thread_once(self, ctx: Context, kind: str) -> str:
        return await ctx.run(Step("act", retry=ONCE), act, kind)

    @handler
    async def well(self, ctx: Context) -> str:
        return await ctx.run("act", lambda: "well")


async def came_to(b: Bench, invocation_id: str, *, once: bool) -> tuple[str, str]:
    """Give what an invocation came to, in a word, and what it says."""
    view = (await b.engine.describe_invocation(invocation_id)).view
    if view.status is InvocationStatus.COMPLETED:
        was_tried = once and (view.last_failure is not None or "used up" in str(view.failure))
        return (RETRIED if was_tried else TERMINAL), str(view.failure)
    if view.status is InvocationStatus.PAUSED:
        return PAUSED, view.last_failure or ""
    if view.status is InvocationStatus.BACKING_OFF:
        return RETRIED, view.last_failure or ""
    return RETRIED if re.search(r"failed (once|\d+ times)", str(view.waits_for)) else view.status.value, str(
        view.waits_for
    )


def plain(text: str) -> str:
    """Leave out what quoting adds."""
    return re.sub(r"[\\'\"]", "", text)


@pytest.mark.parametrize(
    "way", ["in_handler", "in_handler_once", "in_a_task", "in_thread", "on_loop", "in_thread_once"]
)
def test_a_broken_error_ends_clearly_and_stops_nobody_else(way: str, tmp_path: Path) -> None:
    async def test() -> None:
        wrong: list[object] = []
        async with bench(AppDeployment([Breaking()]), file=tmp_path / "e.db") as b:
            sent = {kind: await b.send(f"Breaking/{way}", f'"{kind}"'.encode()) for kind in ERRORS}
            await b.settle()
            assert await b.call("Breaking/well") == b'"well"'
            for when in ("before", "after"):
                for kind, (_, expected, words) in ERRORS.items():
                    word, said = await came_to(b, sent[kind], once=way.endswith("once"))
                    if word != expected or plain(words) not in plain(said):
                        wrong.append((when, kind, word, said[:200]))
                await b.restart()
                await b.settle()
            assert await b.call("Breaking/well") == b'"well"'
        assert not wrong

    asyncio.run(bounded(test()))
