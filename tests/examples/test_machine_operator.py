"""The operator: each order is carried out to its end, one at a time per machine, however often something jams."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from examples.state_machines.machines.hardware import Hardware
from examples.state_machines.machines.operator import MachineOperator, MachineStatus
from restate_patterns import App
from restate_patterns.testing import TestEnvironment, at_every_crash_point, run_test
from tests.support.engines.hosting import BACKENDS, backend_of

pytestmark = pytest.mark.anyio


def brittle(seed: int = 3) -> Hardware:
    return Hardware(work_s=0.001, failure_rate=0.6, dice=Random(seed))


async def test_it_sets_up_and_tears_down() -> None:
    hardware = Hardware(work_s=0, failure_rate=0, dice=Random(1))
    async with run_test(App([MachineOperator(hardware)])) as env:
        machine = env.client.object_client(MachineOperator, "press")
        assert await machine.tear_down() == "press is down already"
        assert await machine.set_up() == "press is running"
        assert hardware.running == {"press"}
        assert await machine.set_up() == "press is up already"
        assert await machine.tear_down() == "press is down"
        assert (hardware.running, await machine.current()) == (set(), MachineStatus.DOWN)


def crash_app() -> App:
    return App([MachineOperator(Hardware(work_s=0, failure_rate=0, dice=Random(1)))])


@at_every_crash_point(crash_app, replay_always=True)
async def test_a_crash_changes_nothing(env: TestEnvironment) -> None:
    machine = env.client.object_client(MachineOperator, "press")
    assert await machine.set_up() == "press is running"
    assert await machine.set_up() == "press is up already"
    assert await machine.tear_down() == "press is down"


async def carry_out(machine: MachineOperator, orders: Sequence[str]) -> list[str]:
    calls = {"up": machine.set_up, "down": machine.tear_down}
    return await asyncio.gather(*(calls[order]() for order in orders))


@pytest.mark.parametrize("where", BACKENDS)
async def test_random_failures_on_each_backend(where: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Orders at the same time for several machines: status and hardware agree when all are done."""
    hardware = brittle()
    async with App([MachineOperator(hardware)]).start(backend_of(request, where, tmp_path)) as client:
        keys = [f"{where}-{name}" for name in "abcd"]
        machines = [client.object_client(MachineOperator, key) for key in keys]
        orders = ["up", "up", "down", "up", "down", "down", "up"]
        answers = await asyncio.gather(*(carry_out(machine, orders) for machine in machines))
        for key, machine, answer in zip(keys, machines, answers, strict=True):
            is_up = await machine.current() is MachineStatus.UP
            assert (key in hardware.running) is is_up
            changed = [line for line in answer if "already" not in line]
            assert changed.count(f"{key} is running") - changed.count(f"{key} is down") == int(is_up)
            assert len(await machine.history()) == len(orders)
    assert hardware.failure_count > 0, "nothing jammed: the test shows nothing"
