"""Machines that are set up and torn down, by an operator whose every move may fail.

    python -m examples.state_machines.machines

Then give orders, several at a time:

    curl -X POST localhost:8080/MachineOperator/my-machine/setUp
    (curl -X POST localhost:8080/MachineOperator/a/setUp &)
    (curl -X POST localhost:8080/MachineOperator/a/tearDown &)
    (curl -X POST localhost:8080/MachineOperator/b/setUp &)
    (curl -X POST localhost:8080/MachineOperator/b/setUp &)
    (curl -X POST localhost:8080/MachineOperator/b/tearDown &)

`WORK_S=0.1` in the environment makes the machines quicker. Read `operator` first; `hardware` is what fails.
"""

from __future__ import annotations

import os
from random import Random

from examples.state_machines.machines.hardware import Hardware
from examples.state_machines.machines.operator import MachineOperator
from restate_patterns import App

WORK_S = 5.0
FAILURE_RATE = 0.4

hardware = Hardware(work_s=float(os.environ.get("WORK_S", WORK_S)), failure_rate=FAILURE_RATE, dice=Random())
app = App([MachineOperator(hardware)], name="machines")
