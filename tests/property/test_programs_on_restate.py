"""Random handler programs on a real Restate server that suspends at every wait, their process killed at random.

None may diverge from what it must give, have branches swapped, or get stuck; one that is cancelled at some
moment ends, and never because its journal does not fit. `PROGRAMS_COUNT` makes it run
longer; `python -m tests.property.test_programs_on_restate 300` runs that many and says how it went.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import pytest

from restate_patterns import Cancelled, Client
from restate_patterns.server import RunningServer, install
from tests.support.programs.program_services import ProgramRunner
from tests.support.programs.programs import ProgramError, expected
from tests.support.programs.random_programs import random_program
from tests.support.restate.servers import INSTALL_DIRECTORY, quick_config, served
from tests.support.restate.service_process import ServiceProcess, services_of

COUNT = int(os.environ.get("PROGRAMS_COUNT", "60"))
AT_A_TIME = 40
LIMIT_S = 500.0
UP_SHARE = (0.05, 0.4)
"""How long the process lives before it is killed, once it serves, as a share of what its start took: a busy machine
comes as far in a life as a quiet one."""

PROGRAMS_A_KILL = 3
"""After one kill for so many programs no more come: lives that are too short for a busy machine would never end it."""

APP = "tests.support.programs.program_services:app"


async def run_programs(server: RunningServer, services: ServiceProcess, seeds: range, limit_s: float) -> int:
    """Run the programs of the seeds and compare; gives how often the process was killed."""
    places = asyncio.Semaphore(AT_A_TIME)
    run = f"{time.time_ns()}"

    async def check(client: Client, seed: int) -> None:
        async with places:
            value = json.loads(await client.object_client(ProgramRunner, f"{run}-{seed}").run(seed))
            program = random_program(seed)
            assert value == expected(program), f"program {seed} diverged: {value} from {program}"

    async def check_cancelled(client: Client, seed: int) -> None:
        async with places:
            sent = await client.object_client(ProgramRunner, f"{run}-{seed}-cancelled").run.send(seed)
            await asyncio.sleep(random.Random(seed).uniform(0, 0.2))
            await sent.cancel()
            with contextlib.suppress(Cancelled, ProgramError):
                await sent.result()

    async with Client(server.ingress_url, admin_url=server.admin_url) as client:
        checks = [check(client, seed) for seed in seeds]
        checks += [check_cancelled(client, seed) for seed in seeds if seed % 2]
        running = asyncio.gather(*checks)
        kills = asyncio.ensure_future(_kill_at_random(services, running, seeds.start, len(seeds) // PROGRAMS_A_KILL))
        async with asyncio.timeout(limit_s):
            await running
        return await kills


async def _kill_at_random(
    services: ServiceProcess, running: asyncio.Future[list[None]], seed: int, kills_max: int
) -> int:
    dice = random.Random(seed)
    kills, start_s = 0, 1.0
    while not running.done() and kills < kills_max:
        await asyncio.wait({running}, timeout=dice.uniform(*UP_SHARE) * start_s)
        if not running.done():
            kills += 1
            began_s = time.monotonic()
            await asyncio.to_thread(services.restart)
            start_s = max(1.0, time.monotonic() - began_s)
    return kills


@pytest.mark.timeout(600)
def test_rule_28_programs_on_a_server_survive_kills_at_random(
    suspending_restate_server: RunningServer, tmp_path: Path
) -> None:
    with services_of(APP, suspending_restate_server, tmp_path) as services:
        kills = asyncio.run(run_programs(suspending_restate_server, services, range(COUNT), LIMIT_S))
    assert kills >= 2, "the kills came"


def main() -> None:
    """Run many programs and print how it went."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    binary = install(INSTALL_DIRECTORY)
    for timeout in (timedelta(0), None):
        config = quick_config(binary, inactivity_timeout=timeout)
        with (
            tempfile.TemporaryDirectory() as folder,
            served(config) as server,
            services_of(APP, server, Path(folder)) as services,
        ):
            kills = asyncio.run(run_programs(server, services, range(count), 10.0 * count))
        at = "0" if timeout is not None else "default"
        print(f"{count} programs, and half of them cancelled, at inactivity timeout {at}: {kills} kills, 0 diverged")


if __name__ == "__main__":
    main()
