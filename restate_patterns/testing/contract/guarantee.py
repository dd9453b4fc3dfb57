"""A guarantee: one sentence, and the check that fails when it is broken.

Owns how a check is bounded and what a declared difference means. Knows no guarantee.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from typing_extensions import override

from restate_patterns.testing.contract.stage import Stage

CHECK_TIMEOUT_S: Final = 30.0
"""How long one check may take in all."""


@dataclass(frozen=True, slots=True)
class Guarantee:
    """Something that every backend promises.

    Args:
        subject: What it is about: the name of the file it is in.
        title: Its name within the subject.
        sentence: The promise.
        body: Raises `AssertionError` when the promise is broken.
    """

    subject: str
    title: str
    sentence: str
    body: Callable[[Stage], Awaitable[None]]

    @property
    def name(self) -> str:
        """The stable name by which a difference is declared: `subject.title`."""
        return f"{self.subject}.{self.title}"

    async def check(self, stage: Stage) -> None:
        """Check it on a running backend.

        Raises:
            AssertionError: It is broken; or it holds, and the host declares that it does not.
        """
        reason = stage.host.differences.get(self.name)
        if reason is None:
            await self._run(stage)
            return
        try:
            await self._run(stage)
        except Exception:  # noqa: BLE001 - it fails, as declared, in whatever way
            return
        raise AssertionError(
            f"{self.name} holds on {stage.host.name!r}, which declares a difference ({reason}): delete it there"
        )

    async def _run(self, stage: Stage) -> None:
        limit = asyncio.timeout(CHECK_TIMEOUT_S)
        try:
            async with limit:
                await self.body(stage)
        except TimeoutError:
            if limit.expired():
                raise AssertionError(f"not over after {CHECK_TIMEOUT_S} s: {self.sentence}") from None
            raise

    @override
    def __str__(self) -> str:
        return self.name


def guarantee(body: Callable[[Stage], Awaitable[None]]) -> Guarantee:
    """Make a guarantee of an `async def`: its name is the title, its docstring's first line is the sentence."""
    sentence = (body.__doc__ or "").strip().partition("\n")[0]
    return Guarantee(body.__module__.rpartition(".")[2], body.__name__, sentence, body)
