"""The end of an event loop: its tasks are asked to end, and nobody waits for one that does not."""

from __future__ import annotations

import asyncio

from restate_patterns.limits import TASKS_GRACE_S


async def end_tasks() -> None:
    """Cancel all other tasks of this loop, and give them a moment to end in."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=TASKS_GRACE_S)
