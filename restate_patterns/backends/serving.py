"""Runs what serves until a signal, and leaves when it has ended: nothing that is stuck keeps the process.

`asyncio.run` would wait at the end for each task that ignores its cancellation, and for each thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from restate_patterns.execution.threads import DaemonThreads
from restate_patterns.limits import THREADS_MAX
from restate_patterns.system.tasks import end_tasks
from restate_patterns.text.log_lines import logger_named

T = TypeVar("T")

_logger = logger_named("restate_patterns")
_stuck: Final[list[asyncio.Task[Any]]] = []
"""Tasks that were left: dropped, they would be told so in the middle of something."""


def run_serving(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a new event loop, as `asyncio.run` does, and give its result.

    Args:
        main: What serves; it has its own time to end in.
    """
    runner = asyncio.Runner()
    loop = runner.get_loop()
    loop.set_default_executor(DaemonThreads(THREADS_MAX, "restate-patterns-executor"))
    try:
        return runner.run(main)
    finally:
        loop.run_until_complete(end_tasks())
        left = asyncio.all_tasks(loop)
        if left:
            _logger.warning("left %d tasks that did not end when they were asked to", len(left))
            for task in left:
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # as asyncio.gather does
            _stuck.extend(left)
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
        else:
            runner.close()
