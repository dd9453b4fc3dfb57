"""Compares what happened with the model; pure: lines and outcomes in, sentences about what is wrong out.

What the order of lines proves:

* A step starts only when all that came before it is durable. So once a later step of a chain has left its
  effect, an effect of an earlier one means that a durable result was forgotten.
* Between a kill and the next start the file tells which results are durable: such a step never runs again.
* Once the driver has seen the answer, nothing of the operation may happen any more.
* One process runs a step once: it may be repeated only by a later process, when the kill came between the
  effect and the durable result.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from benchmarks.torture.effects import Line
from benchmarks.torture.plan import Expected, Operation, expected_state


@dataclass(slots=True)
class Outcome:
    """What the driver saw of an operation.

    Args:
        operation: What was asked.
        fate: `"answered"` with a result; `"accepted"` without asking for one; `"unknown"`: the connection
            broke, and it was not asked again; `"open"`: no answer when time was up.
        status: The HTTP status of the answer.
        result: The JSON value of the answer, or the message of the error.
    """

    operation: Operation
    fate: Literal["answered", "accepted", "unknown", "open"] = "open"
    status: int = 0
    result: Any = None


@dataclass(slots=True)
class History:
    """The lines of one operation, in the order in which they were written."""

    lines: list[Line] = field(default_factory=list)

    def positions(self, step: str) -> list[int]:
        """Say where in the history a step left effects."""
        return [index for index, line in enumerate(self.lines) if line.kind == "effect" and line.step == step]


def histories(lines: Iterable[Line]) -> dict[str, History]:
    """Sort lines by operation."""
    found: dict[str, History] = defaultdict(History)
    for line in lines:
        found[line.operation].lines.append(line)
    return found


def check(outcomes: Sequence[Outcome], lines: Sequence[Line], actual: Expected) -> list[str]:
    """Give what is wrong, in sentences; nothing when all is well."""
    by_operation = histories(lines)
    known = {outcome.operation.name for outcome in outcomes}
    wrong = [f"{name}: effects of an operation that nobody asked for" for name in by_operation.keys() - known]
    for outcome in outcomes:
        history = by_operation.get(outcome.operation.name, History())
        wrong += check_outcome(outcome)
        wrong += check_effects(outcome, history)
    done = [each.operation for each in outcomes if happened(each, by_operation)]
    return wrong + check_state(expected_state(done), actual)


def happened(outcome: Outcome, by_operation: Mapping[str, History]) -> bool:
    """Say whether an operation took place: always, unless its fate is unknown and it left no effect."""
    return outcome.fate != "unknown" or outcome.operation.name in by_operation


def check_outcome(outcome: Outcome) -> list[str]:
    """Compare the answer with the model."""
    name, operation = outcome.operation.name, outcome.operation
    if outcome.fate == "open":
        return [f"{name}: {operation.path} was not answered"]
    if outcome.fate != "answered":
        return []
    if (outcome.status, outcome.result) != (operation.status, operation.result):
        got, wanted = (outcome.status, outcome.result), (operation.status, operation.result)
        return [f"{name}: {operation.path} answered {got} instead of {wanted}"]
    return []


def check_effects(outcome: Outcome, history: History) -> list[str]:
    """Check that every step happened, none too often, and none after it was known to be over."""
    name, operation = outcome.operation.name, outcome.operation
    effects = [line for line in history.lines if line.kind == "effect"]
    wrong = [f"{name}: unexpected step {line.step}" for line in effects if line.step not in operation.steps()]
    if effects or outcome.fate != "unknown":
        missing = sorted(operation.steps() - {line.step for line in effects})
        wrong += [f"{name}: step {step} never happened" for step in missing]
    wrong += _check_chains(name, operation, history)
    wrong += _check_repeats(name, effects)
    wrong += _check_after_durable(name, history)
    wrong += _check_after_answer(operation, history)
    return wrong


def _check_chains(name: str, operation: Operation, history: History) -> list[str]:
    wrong = []
    for chain in operation.chains:
        for earlier, later in pairwise(chain):
            before, after = history.positions(earlier), history.positions(later)
            if after and (not before or before[0] > after[0]):
                wrong.append(f"{name}: step {later} came before {earlier}")
            elif after and before[-1] > after[0]:
                wrong.append(f"{name}: step {earlier} was repeated although its result was durable")
    return wrong


def _check_repeats(name: str, effects: Sequence[Line]) -> list[str]:
    wrong = []
    boots: dict[str, list[int]] = defaultdict(list)
    invocations: dict[str, set[str]] = defaultdict(set)
    data: dict[str, set[str]] = defaultdict(set)
    for line in effects:
        boots[line.step].append(line.boot)
        invocations[line.step].add(line.invocation)
        data[line.step].add(line.data)
    for step, seen in boots.items():
        if len(set(seen)) != len(seen):
            wrong.append(f"{name}: step {step} ran twice in one process (boots {seen})")
        if len(invocations[step]) > 1:
            wrong.append(f"{name}: step {step} ran in several invocations: {sorted(invocations[step])}")
        if len(data[step]) > 1:
            wrong.append(f"{name}: step {step} told the world different things: {sorted(data[step])}")
    return wrong


def _check_after_durable(name: str, history: History) -> list[str]:
    durable: set[str] = set()
    wrong = []
    for line in history.lines:
        if line.kind == "durable":
            durable.add(line.step)
        elif line.kind == "effect" and line.step in durable:
            wrong.append(f"{name}: step {line.step} ran again although its result was in the file")
    return wrong


def _check_after_answer(operation: Operation, history: History) -> list[str]:
    """What an operation sends, and does not wait for, may happen after its answer; nothing else may."""
    answers = [index for index, line in enumerate(history.lines) if line.kind == "answer"]
    if not answers:
        return []
    sent = {chain[-1] for chain in operation.chains} if operation.path.endswith("/scatter") else set()
    return [
        f"{operation.name}: step {line.step} ran after the answer"
        for line in history.lines[answers[0] :]
        if line.kind == "effect" and line.step not in sent
    ]


def check_state(expected: Expected, actual: Expected) -> list[str]:
    """Compare the state of every key."""
    wrong = []
    for account, (balance, count) in expected.accounts.items():
        if actual.accounts[account] != (balance, count):
            wrong.append(f"{account}: balance and count are {actual.accounts[account]} instead of {(balance, count)}")
    for key, taken in expected.seats.items():
        if actual.seats[key] != taken:
            wrong.append(f"{key}: {actual.seats[key]} seats are taken instead of {taken}")
    return wrong


def repeat_count(lines: Iterable[Line]) -> int:
    """Count effects that were repeated (legally, if `check` finds nothing): what the kills cost."""
    effects = [(line.operation, line.step) for line in lines if line.kind == "effect"]
    return len(effects) - len(set(effects))
