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

DIFFERENCE_TIMEOUT_S: Final = 5.0
"""How long a check that is expected to fail may take; one that is not over then has failed."""


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
            await self._run(stage, CHECK_TIMEOUT_S)
            return
        try:
            await self._run(stage, DIFFERENCE_TIMEOUT_S)
        except AssertionError:
            return
        raise AssertionError(
            f"{self.name} holds on {stage.host.name!r}, which declares a difference ({reason}): delete it there"
        )

    async def _run(self, stage: Stage, timeout_s: float) -> None:
        limit = asyncio.timeout(timeout_s)
        try:
            async with limit:
                await self.body(stage)
        except AssertionError as error:
            error.add_note(f"{self.name}: {self.sentence}")
            raise
        except Exception as error:
            what = f"not over after {timeout_s} s" if limit.expired() else f"raised {error!r}"
            raise AssertionError(f"{self.name}: {what}: {self.sentence}") from error

    @override
    def __str__(self) -> str:
        return self.name


def guarantee(body: Callable[[Stage], Awaitable[None]]) -> Guarantee:
    """Make a guarantee of an `async def`: its name is the title, its docstring's first line is the sentence."""
    sentence = (body.__doc__ or "").strip().partition("\n")[0]
    return Guarantee(body.__module__.rpartition(".")[2], body.__name__, sentence, body)
