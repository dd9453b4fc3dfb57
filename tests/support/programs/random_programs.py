"""Random handler programs.

What a program gives must not depend on which of several things happens first, or there would be nothing to
compare with: a concurrent block has at most one part that can fail, and a timeout either always or never
expires.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.support.programs.programs import (
    AnyioGroup,
    AsCompleted,
    AwakeableNode,
    CallNode,
    CancelOne,
    Gather,
    Group,
    Program,
    Sequence,
    SleepNode,
    StateNode,
    StepNode,
    Timeout,
    Try,
    WaitSet,
)

_NAMES = ("charge", "reserve")
_TIMEOUTS = ("timeout", "wait_for", "move_on_after", "fail_after")


class Maker:
    """Makes one program.

    Args:
        seed: The same seed makes the same program.
        size: About how many leaves it may have.
    """

    def __init__(self, seed: int, size: int = 14) -> None:
        self._dice = random.Random(seed)
        self._left = size
        self._count = 0

    def program(self) -> Program:
        """Make the program: always with something concurrent in it."""
        first = self._concurrent(depth=0, may_fail=False)
        rest = tuple(self._node(depth=1, may_fail=False) for _ in range(self._dice.randint(0, 2)))
        return Sequence((first, *rest))

    def _label(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    def _name(self) -> str:
        return self._dice.choice(_NAMES)

    def _node(self, depth: int, may_fail: bool) -> Program:
        if depth >= 4 or self._left <= 1 or self._dice.random() < 0.35:
            return self._leaf(may_fail)
        makers: list[Callable[[int, bool], Program]] = [
            self._sequence,
            self._sequence,
            self._concurrent,
            self._concurrent,
            self._timeout,
            self._try,
            self._cancel_one,
        ]
        return self._dice.choice(makers)(depth, may_fail)

    def _leaf(self, may_fail: bool) -> Program:
        self._left -= 1
        dice = self._dice
        match dice.randrange(10):
            case 0:
                return SleepNode(self._label("slept"), dice.choice((0, 1, 5, 20)))
            case 1:
                return StateNode(self._label("state"))
            case 2 | 3:
                return CallNode(self._label("fail" if may_fail and dice.random() < 0.5 else "call"))
            case 4:
                return AwakeableNode(self._label("awakeable"))
            case _:
                flaky = dice.choice((0, 0, 0, 1, 2))
                fails = may_fail and dice.random() < 0.5
                return StepNode(self._label("step"), self._name(), dice.randrange(8), flaky, fails)

    def _sequence(self, depth: int, may_fail: bool) -> Program:
        return Sequence(tuple(self._node(depth + 1, may_fail) for _ in range(self._dice.randint(2, 3))))

    def _concurrent(self, depth: int, may_fail: bool) -> Program:
        count = self._dice.randint(2, 4)
        failing = self._dice.randrange(count) if may_fail else -1
        children = tuple(self._node(depth + 1, index == failing) for index in range(count))
        match self._dice.randrange(8):
            case 0 | 1:
                return Gather(children)
            case 2 | 3:
                return Group(children)
            case 4 | 5:
                return AnyioGroup(children)
            case 6:
                return WaitSet(children, self._name())
            case _:
                return AsCompleted(children, self._name())

    def _timeout(self, depth: int, may_fail: bool) -> Program:
        expires = self._dice.random() < 0.5
        # What is cut off by an expiring timeout must not fail first.
        child = self._node(depth + 1, may_fail and not expires)
        return Timeout(child, expires, self._dice.choice(_TIMEOUTS))

    def _try(self, depth: int, may_fail: bool) -> Program:
        return Try(self._node(depth + 1, True))

    def _cancel_one(self, depth: int, may_fail: bool) -> Program:
        return CancelOne(self._node(depth + 1, may_fail), self._label("undo"), self._name())


def random_program(seed: int, size: int = 14) -> Program:
    """Make the program of a seed."""
    return Maker(seed, size).program()
