"""Two branches of two steps of one name with the bare restate-sdk, as its users write it: `asyncio.gather`.

Served on loopback as a process: `python -m tests.support.restate.sdk_branches PORT FOLDER`. It kills itself with
SIGKILL once all four steps are in the journal, the first time that it comes to there: the file `crashed` in FOLDER
tells.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import hypercorn.asyncio
import hypercorn.config
import restate

SERVICE = "Branches"
EXPECTED = [["a1", "a2"], ["b1", "b2"]]

_DURATIONS_S = {"a1": 0.3, "a2": 0.05, "b1": 0.05, "b2": 0.05}
"""The second branch is ahead: its second step begins before that of the first."""

branches = restate.Service(
    SERVICE, invocation_retry_policy=restate.InvocationRetryPolicy(initial_interval=timedelta(milliseconds=50))
)


@branches.handler()
async def run(ctx: restate.Context) -> list[list[str]]:
    """Give each branch's results, as recorded."""

    async def branch(name: str) -> list[str]:
        first = await ctx.run_typed("work", work, label=f"{name}1")
        second = await ctx.run_typed("work", work, label=f"{name}2")
        return [first, second]

    found = list(await asyncio.gather(branch("a"), branch("b")))
    crashed = Path(sys.argv[2]) / "crashed"
    if not crashed.exists():
        crashed.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return found


async def work(label: str) -> str:
    """Take its time, and give the label."""
    await asyncio.sleep(_DURATIONS_S[label])
    return label


async def main() -> None:
    """Serve."""
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{sys.argv[1]}"]
    config.accesslog = None
    await hypercorn.asyncio.serve(restate.app(services=[branches]), config)


if __name__ == "__main__":
    asyncio.run(main())
