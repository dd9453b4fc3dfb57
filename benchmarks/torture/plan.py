"""The plan and the model: what is asked of the server, made from a seed, and what must come out of it.

Amounts commute, so that the model does not depend on the order in which the server takes things.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

Shape = Literal["call", "send", "plain send", "workflow", "callback"]

ACCOUNTS = [f"account-{number}" for number in range(8)]
FLIGHTS = [f"flight-{number}" for number in range(3)]
CARS = [f"car-{number}" for number in range(2)]
WAYS = ["gather", "task group", "anyio"]
BRANCHES = 3
BRANCH_STEPS = 4


@dataclass(frozen=True)
class Operation:
    """One thing to ask, and what must come of it.

    Args:
        name: Unique; the idempotency key, unless the shape is `"plain send"`.
        shape: How it is asked: call and wait; send and attach; send without a key and never ask again;
            a workflow whose promise is resolved; a call that waits for its awakeable.
        path: The path of the handler on the ingress.
        body: The JSON argument.
        status: The HTTP status of the result.
        result: The JSON result; for an error, its message.
        chains: Steps that must happen one after the other, in each chain from first to last.
        amounts: What it adds to which account, in order.
        seats: What it leaves taken.
        delay_ms: For a send: when it starts.
    """

    name: str
    shape: Shape
    path: str
    body: Any
    result: Any
    chains: list[list[str]]
    status: int = 200
    amounts: list[tuple[str, int]] = field(default_factory=list)
    seats: list[str] = field(default_factory=list)
    delay_ms: int | None = None

    def steps(self) -> set[str]:
        """Name every step that must have happened when the operation is over."""
        return {step for chain in self.chains for step in chain}


@dataclass(frozen=True)
class Expected:
    """The state that must be there at the end: balance and count by account, seats taken by key."""

    accounts: dict[str, tuple[int, int]]
    seats: dict[str, int]


def expected_state(done: Iterable[Operation]) -> Expected:
    """Give the state after these operations, each done exactly once."""
    balance: Counter[str] = Counter()
    count: Counter[str] = Counter()
    seats: Counter[str] = Counter()
    for operation in done:
        seats.update(operation.seats)
        for account, amount in operation.amounts:
            balance[account] += amount
            count[account] += 1
    return Expected(
        {account: (balance[account], count[account]) for account in ACCOUNTS},
        {key: seats[key] for key in [*FLIGHTS, *CARS]},
    )


def operations(seed: int) -> Iterable[Operation]:
    """Give operations without end, the same for the same seed."""
    dice = random.Random(seed)
    makers = [*_MAKERS]
    number = 0
    while True:
        yield dice.choice(makers)(f"op-{seed}-{number}", dice)
        number += 1


def _add(name: str, dice: random.Random) -> Operation:
    account, amount = dice.choice(ACCOUNTS), dice.randint(1, 1000)
    shape: Shape = dice.choice(["call", "send", "plain send"])
    return Operation(
        name,
        shape,
        f"/TortureAccount/{account}/add",
        {"operation": name, "amount": amount},
        amount,
        [["note"]],
        amounts=[(account, amount)],
        delay_ms=dice.choice([None, None, dice.randint(1, 800)]) if shape != "call" else None,
    )


def _transfer(name: str, dice: random.Random) -> Operation:
    source, target = dice.sample(ACCOUNTS, 2)
    amount = dice.randint(1, 1000)
    steps = ["begin", "from.note", "middle", "to.note", "end"]
    return Operation(
        name,
        dice.choice(["call", "send"]),
        "/TortureBank/transfer",
        {"operation": name, "source": source, "target": target, "amount": amount},
        f"{name}/begin {name}/middle {name}/end",
        [steps],
        amounts=[(source, -amount), (target, amount)],
    )


def _scatter(name: str, dice: random.Random) -> Operation:
    targets = [dice.choice(ACCOUNTS) for _ in range(dice.randint(1, 4))]
    amount = dice.randint(1, 1000)
    return Operation(
        name,
        "call",
        "/TortureBank/scatter",
        {"operation": name, "targets": targets, "amount": amount, "delay_ms": dice.randint(0, 200)},
        len(targets),
        [["begin", f"{number}.note"] for number in range(len(targets))],
        amounts=[(target, amount) for target in targets],
    )


def _nap(name: str, dice: random.Random) -> Operation:
    return Operation(
        name,
        dice.choice(["call", "send"]),
        "/TortureTimers/nap",
        {"operation": name, "sleep_ms": dice.randint(1, 500)},
        f"{name}/before {name}/after {name}/timeout",
        [["before", "after", "timeout"]],
    )


def _approval(name: str, dice: random.Random) -> Operation:
    return Operation(
        name,
        "workflow",
        f"/TortureApproval/{name}",
        name,
        dice.choice(["yes", "no"]),
        [["asked", "decided"]],
    )


def _callback(name: str, dice: random.Random) -> Operation:
    return Operation(name, "callback", "/TortureCallbacks/wait", name, f"answer to {name}", [["published", "answered"]])


def _trip(name: str, dice: random.Random) -> Operation:
    flight, car = dice.choice(FLIGHTS), dice.choice(CARS)
    fail_at = dice.choice([None, "flight", "car", "payment"])
    done = ["flight.reserve", "car.reserve", "pay"]
    undone = ["refund", "car.release", "flight.release"]
    kept = {None: 3, "flight": 0, "car": 1, "payment": 3}[fail_at]
    chain = done if fail_at is None else done[:kept] + undone[3 - kept :]
    return Operation(
        name,
        dice.choice(["call", "send"]),
        "/TortureTrips/book",
        {"operation": name, "flight": flight, "car": car, "fail_at": fail_at},
        "booked" if fail_at is None else "A part of the trip is not to be had.",
        [chain],
        status=200 if fail_at is None else 409,
        seats=[flight, car] if fail_at is None else [],
    )


def _fork(name: str, dice: random.Random) -> Operation:
    chains = [[f"{branch}.{index}" for index in range(BRANCH_STEPS)] for branch in range(BRANCHES)]
    return Operation(
        name,
        dice.choice(["call", "send"]),
        "/TortureForks/run",
        {"operation": name, "way": dice.choice(WAYS)},
        [[f"{name}/{step}" for step in chain] for chain in chains],
        chains,
    )


_MAKERS: list[Callable[[str, random.Random], Operation]] = [
    _add, _add, _add, _transfer, _scatter, _nap, _approval, _callback, _trip, _trip, _fork, _fork,
]  # fmt: skip
