"""Handler programs as values: small trees that any backend can run, and what each must give.

A program is interpreted against `Durable`, the few primitives it needs, so that the same tree runs on the
in-memory backend here and through a public context on a real one. Everything else it does is plain asyncio
and anyio. Each leaf gives its own label, so a swapped result shows; steps share names, so names don't help.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import anyio

from restate_patterns.errors import TerminalError

Value: TypeAlias = "str | list[Value]"

LONG_MS = 10_000_000
"""Longer than anything a program does on purpose, crashes included."""


class Durable(Protocol):
    """What a program needs of a context."""

    async def step(self, name: str, action: Callable[[], Awaitable[str]]) -> str:
        """Run a durable step, retried until it succeeds or fails terminally."""
        ...

    async def call(self, label: str) -> str:
        """Call a handler that gives the label back, or a terminal error when it begins with `fail`."""
        ...

    async def get(self, key: str) -> str | None:
        """Read state."""
        ...

    def set(self, key: str, value: str) -> None:
        """Write state."""
        ...

    async def awakeable(self, label: str) -> str:
        """Wait for an awakeable that the outside resolves with the label."""
        ...


class Outside(Protocol):
    """What the actions of steps do to the world."""

    async def perform(self, step: StepNode) -> str:
        """Take `duration_ms`; fail the first `flaky_count` times; then give the label or fail for good."""
        ...


@dataclass(frozen=True)
class StepNode:
    """A step; `fails` makes its action end with a terminal error."""

    label: str
    name: str
    duration_ms: int = 1
    flaky_count: int = 0
    fails: bool = False


@dataclass(frozen=True)
class CallNode:
    """A call; the label beginning with `fail` makes it fail."""

    label: str


@dataclass(frozen=True)
class AwakeableNode:
    """An awakeable that is resolved from outside."""

    label: str


@dataclass(frozen=True)
class SleepNode:
    """A sleep; it gives its own label."""

    label: str
    duration_ms: int


@dataclass(frozen=True)
class StateNode:
    """Write a key of its own, then read it."""

    label: str


@dataclass(frozen=True)
class Sequence:
    """One after the other."""

    children: tuple[Program, ...]


@dataclass(frozen=True)
class Gather:
    """`asyncio.gather`."""

    children: tuple[Program, ...]


@dataclass(frozen=True)
class Group:
    """`asyncio.TaskGroup`."""

    children: tuple[Program, ...]


@dataclass(frozen=True)
class AnyioGroup:
    """`anyio.create_task_group`."""

    children: tuple[Program, ...]


@dataclass(frozen=True)
class WaitSet:
    """`asyncio.wait` over a set of tasks, then one step for each, in the order of the set it gives."""

    children: tuple[Program, ...]
    name: str


@dataclass(frozen=True)
class AsCompleted:
    """`asyncio.as_completed` over tasks, and one step for each as it comes."""

    children: tuple[Program, ...]
    name: str


@dataclass(frozen=True)
class Timeout:
    """A timeout over a program; when `expires` the program is followed by a wait that never ends in time."""

    child: Program
    expires: bool
    kind: str
    """`timeout`, `wait_for`, `move_on_after` or `fail_after`."""


@dataclass(frozen=True)
class Try:
    """Catch what fails for good."""

    child: Program


@dataclass(frozen=True)
class CancelOne:
    """Start a task that waits long, run the child, cancel the task, wait for its end (it cleans up)."""

    child: Program
    label: str
    name: str


Leaf: TypeAlias = StepNode | CallNode | AwakeableNode | SleepNode | StateNode
Concurrent: TypeAlias = Gather | Group | AnyioGroup | WaitSet | AsCompleted
Program: TypeAlias = Leaf | Concurrent | Sequence | Timeout | Try | CancelOne


class ProgramError(TerminalError, code=422):
    """What failing leaves raise."""


class _ExpectedError(Exception):
    """Stands for a terminal failure in the oracle."""


def expected(program: Program) -> Value:
    """Give what the program must give, whatever crashes; `failed` when it must fail."""
    try:
        return _expected(program)
    except _ExpectedError:
        return "failed"


def _expected(program: Program) -> Value:
    match program:
        case StepNode(label, fails=fails):
            return _label(label, fails)
        case CallNode(label):
            return _label(label, label.startswith("fail"))
        case AwakeableNode(label) | SleepNode(label) | StateNode(label):
            return label
        case Sequence(children) | Gather(children) | Group(children) | AnyioGroup(children):
            return [_expected(child) for child in children]
        case WaitSet(children) | AsCompleted(children):
            return sorted((_expected(child) for child in children), key=repr)
        case Timeout(child, expires):
            value = _expected(child)
            return ["expired"] if expires else ["in time", value]
        case Try(child):
            return expected(child)
        case CancelOne(child, label):
            return [_expected(child), f"cleaned {label}"]


def _label(label: str, fails: bool) -> str:
    if fails:
        raise _ExpectedError
    return label


class Interpreter:
    """Runs programs.

    Args:
        durable: The context, seen as primitives.
        outside: What steps act on.
    """

    def __init__(self, durable: Durable, outside: Outside) -> None:
        self._durable = durable
        self._outside = outside

    async def run(self, program: Program) -> Value:
        """Run a program and give its value, or raise its terminal error."""
        match program:
            case StepNode() | CallNode() | AwakeableNode() | SleepNode() | StateNode():
                return await self._leaf(program)
            case WaitSet() | AsCompleted() | Gather() | Group() | AnyioGroup():
                return await self._concurrent(program)
            case Sequence(children):
                return [await self.run(child) for child in children]
            case Timeout():
                return await self._timeout(program)
            case Try(child):
                return await self._try(child)
            case CancelOne():
                return await self._cancel_one(program)

    async def _leaf(self, leaf: Leaf) -> str:
        match leaf:
            case StepNode():
                return await self._step(leaf)
            case CallNode(label):
                return await self._durable.call(label)
            case AwakeableNode(label):
                return await self._durable.awakeable(label)
            case SleepNode(label, duration_ms):
                await asyncio.sleep(duration_ms / 1000)
                return label
            case StateNode(label):
                return await self._state(label)

    async def _concurrent(self, block: Concurrent) -> Value:
        match block:
            case Gather(children):
                return list(await asyncio.gather(*(self.run(child) for child in children)))
            case Group(children):
                return await self._group(children)
            case AnyioGroup(children):
                return await self._anyio_group(children)
            case WaitSet(children, name):
                return await self._wait_set(children, name)
            case AsCompleted(children, name):
                return await self._as_completed(children, name)

    async def _step(self, step: StepNode) -> str:
        return await self._durable.step(step.name, lambda: self._outside.perform(step))

    async def _state(self, label: str) -> str:
        self._durable.set(label, label)
        value = await self._durable.get(label)
        assert value is not None
        return value

    async def _group(self, children: tuple[Program, ...]) -> Value:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.run(child)) for child in children]
        return [task.result() for task in tasks]

    async def _anyio_group(self, children: tuple[Program, ...]) -> Value:
        values: list[Value] = ["missing"] * len(children)

        async def put(index: int, child: Program) -> None:
            values[index] = await self.run(child)

        async with anyio.create_task_group() as group:
            for index, child in enumerate(children):
                group.start_soon(put, index, child)
        return values

    async def _wait_set(self, children: tuple[Program, ...], name: str) -> Value:
        tasks = {asyncio.create_task(self.run(child)) for child in children}
        done, _ = await asyncio.wait(tasks)
        values: list[Value] = []
        for task in done:
            values.append(task.result())
            await self._step(StepNode("seen", name))
        return sorted(values, key=repr)

    async def _as_completed(self, children: tuple[Program, ...], name: str) -> Value:
        values: list[Value] = []
        for next_one in asyncio.as_completed([asyncio.create_task(self.run(child)) for child in children]):
            values.append(await next_one)
            await self._step(StepNode("seen", name))
        return sorted(values, key=repr)

    async def _timeout(self, program: Timeout) -> Value:
        limit_s = (500 if program.expires else LONG_MS) / 1000
        if program.kind == "move_on_after":
            with anyio.move_on_after(limit_s):
                return ["in time", await self._then_wait(program)]
            return ["expired"]
        try:
            if program.kind == "timeout":
                async with asyncio.timeout(limit_s):
                    return ["in time", await self._then_wait(program)]
            if program.kind == "fail_after":
                with anyio.fail_after(limit_s):
                    return ["in time", await self._then_wait(program)]
            return ["in time", await asyncio.wait_for(self._then_wait(program), limit_s)]
        except TimeoutError:
            return ["expired"]

    async def _then_wait(self, program: Timeout) -> Value:
        value = await self.run(program.child)
        if program.expires:
            await asyncio.sleep(LONG_MS / 1000)
        return value

    async def _try(self, child: Program) -> Value:
        try:
            return await self.run(child)
        except TerminalError:
            return "failed"
        except ExceptionGroup as group:
            _, others = group.split(TerminalError)
            if others is not None:
                raise
            return "failed"

    async def _cancel_one(self, program: CancelOne) -> Value:
        cleaned: list[str] = []

        async def wait_long() -> None:
            try:
                await asyncio.sleep(LONG_MS / 1000)
            finally:
                await self._step(StepNode(program.label, program.name))
                cleaned.append(f"cleaned {program.label}")

        task = asyncio.create_task(wait_long())
        await asyncio.sleep(0)  # a task cancelled before it began has nothing to clean up
        try:
            value = await self.run(program.child)
        finally:
            task.cancel()
            await asyncio.wait([task])
        return [value, *cleaned]
