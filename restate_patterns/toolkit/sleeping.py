"""Sleeps that say what they are for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any

from restate_patterns.execution.timers import SLEEP_NAME


class _Named:
    """Runs a coroutine under a name for the sleep that it begins with; what it awaits later has none."""

    def __init__(self, sleep: Coroutine[Any, Any, None], name: str) -> None:
        self._sleep = sleep
        self._name = name

    def __await__(self) -> Generator[Any, Any, None]:
        sleeping = self._sleep.__await__()
        token = SLEEP_NAME.set(self._name)
        try:
            begun = next(sleeping)
        except StopIteration:
            return
        finally:
            # Now, as a task that is dropped would do it in another context.
            SLEEP_NAME.reset(token)
        try:
            yield begun
        except BaseException as error:
            sleeping.throw(error)
            raise
        yield from sleeping


async def sleep_for(seconds: float, name: str) -> None:
    """Sleep durably, under a name by which listings of invocations say what is waited for.

    Args:
        seconds: How long.
        name: Part of the journal, as that of a step is: the same on each replay.
    """
    await _Named(asyncio.sleep(seconds), name)
