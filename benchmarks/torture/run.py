"""One run: load, kills, the last start, the check."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.sides import PROJECT_DIR
from benchmarks.torture.check import Outcome, check, happened, histories, repeat_count
from benchmarks.torture.driver import Driver, driving
from benchmarks.torture.effects import Line, Tail
from benchmarks.torture.killer import Server, a_server
from benchmarks.torture.plan import Expected, expected_state, operations
from restate_patterns.server import free_ports

USERS = 24
SETTLE_TIMEOUT_S = 60.0
POLL_S = 0.1
GOOD_END = "exit status 0"


@dataclass(frozen=True, slots=True)
class Report:
    """What a run came to."""

    kill_count: int
    outcomes: list[Outcome]
    lines: list[Line]
    wrong: list[str]
    elapsed_s: float

    @property
    def durable_count(self) -> int:
        """How many results of steps were seen in the file of a dead server."""
        return sum(line.kind == "durable" for line in self.lines)

    def summary(self) -> str:
        """Say in a few lines what happened."""
        fates = Counter(each.fate for each in self.outcomes)
        shapes = Counter(each.operation.path.split("/")[1].removeprefix("Torture") for each in self.outcomes)
        effects = sum(line.kind == "effect" for line in self.lines)
        return "\n".join(
            [
                f"{self.kill_count} kills in {self.elapsed_s:.0f} s",
                f"{len(self.outcomes)} operations: " + _counts(fates),
                "by service: " + _counts(shapes),
                f"{effects} effects of steps, {repeat_count(self.lines)} of them repeated by a later process",
                f"{self.durable_count} results of steps were in the file of a dead server",
                *(["everything adds up"] if not self.wrong else [f"{len(self.wrong)} things are wrong:"]),
                *(f"  {sentence}" for sentence in self.wrong),
            ]
        )


def _counts(counter: Mapping[Any, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counter.items()))


async def torture(
    directory: Path, *, kills: int, seed: int, users: int = USERS, tell: Callable[[str], None] = print
) -> Report:
    """Load a server, kill it so many times, start it once more and check that everything adds up.

    Args:
        directory: Where the files go; keep it when something is wrong.
        kills: How often the server is killed.
        seed: Makes the plan and the moments of the kills; what the machine does meanwhile is not repeatable.
        users: How many operations are open at a time.
        tell: Takes progress, a line at a time.
    """
    start = time.monotonic()
    ingress_port, admin_port = free_ports(2)
    dice = random.Random(seed)
    with a_server(directory, (ingress_port, admin_port), PROJECT_DIR) as server:
        async with driving(ingress_port, server.effects_file, iter(operations(seed))) as driver:
            users_task = asyncio.create_task(driver.use(users))
            try:
                for number in range(1, kills + 1):
                    await server.live_and_die(dice)
                    if number % max(1, kills // 10) == 0:
                        tell(f"{number} of {kills} kills, {len(driver.outcomes)} operations")
                server.start()
                await server.until_ready()
                driver.stop()
                actual = await _settle(driver, users_task, server)
            finally:
                users_task.cancel()
        ended = server.terminate()
    lines = list(Tail(server.effects_file).read())
    wrong = check(driver.outcomes, lines, actual)
    if ended != GOOD_END:
        wrong.append(f"after SIGTERM the server ended with {ended}")
    return Report(kills, driver.outcomes, lines, wrong, time.monotonic() - start)


async def _settle(driver: Driver, users_task: asyncio.Task[None], server: Server) -> Expected:
    """Wait until all is answered and the state is the model's, or time is up; give the state."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    await asyncio.wait([users_task], timeout=SETTLE_TIMEOUT_S)
    if users_task.done():
        users_task.result()
    while True:
        server.check_alive()
        by_operation = histories(Tail(server.effects_file).read())
        done = [each.operation for each in driver.outcomes if happened(each, by_operation)]
        actual = await driver.state()
        if actual == expected_state(done) or time.monotonic() > deadline:
            return actual
        await asyncio.sleep(POLL_S)
