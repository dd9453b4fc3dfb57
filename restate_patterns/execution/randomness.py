"""The dice of an attempt: seeded by its invocation, so that replay rolls the same."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - the owner of an attempt's dice

from typing_extensions import override

from restate_patterns.errors import ContextError


class AttemptRandom(random.Random):
    """A `random.Random` that may be used in its own attempt only."""

    def __init__(self, seed: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(seed)
        self._loop = loop

    @override
    def random(self) -> float:
        self._check()
        return super().random()

    @override
    def getrandbits(self, k: int, /) -> int:
        self._check()
        return super().getrandbits(k)

    def _check(self) -> None:
        if asyncio._get_running_loop() is not self._loop:
            raise ContextError(
                "ctx.random was used outside its own attempt: another invocation, or the action of a step, "
                "would take numbers that the replay then misses. Draw the numbers in the handler and pass them on"
            )
