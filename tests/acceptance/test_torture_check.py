"""The torture test's check finds what it is there to find: each kind of damage, done to a good history."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.torture.check import Outcome, check
from benchmarks.torture.effects import Line, Tail, append
from benchmarks.torture.plan import Expected, Operation, expected_state, operations

SEED = 7
COUNT = 60


def good_run() -> tuple[list[Outcome], list[Line], Expected]:
    """What a server without a fault leaves behind."""
    plan = list(itertools.islice(operations(SEED), COUNT))
    outcomes = [Outcome(each, "answered", each.status, each.result) for each in plan]
    return outcomes, [line for each in plan for line in good_lines(each)], expected_state(plan)


def good_lines(operation: Operation) -> list[Line]:
    steps = dict.fromkeys(step for chain in operation.chains for step in chain)
    effects = [Line("effect", operation.name, step, f"inv_{operation.name}", 0) for step in steps]
    return [*effects, Line("answer", operation.name)]


def line_of(lines: list[Line], path_end: str, outcomes: list[Outcome], step: int) -> int:
    """Say where the given step of the first operation on a path is."""
    name = next(each.operation.name for each in outcomes if each.operation.path.endswith(path_end))
    return next(index for index, line in enumerate(lines) if line.operation == name) + step


def test_a_line_that_a_kill_cut_short_is_none(tmp_path: Path) -> None:
    """Whatever is left of it, what was written before and after is read, also by one who reads as it grows."""
    file, (first, torn, last) = tmp_path / "effects", [Line("effect", f"op-{number}", "note") for number in range(3)]
    append(file, first)
    whole = file.read_bytes()
    tail = Tail(file)
    assert list(tail.read()) == [first]
    append(file, torn)
    for left in range(len(whole), file.stat().st_size - 2):
        with file.open("r+b") as cut:
            cut.truncate(left)
        seen_early = Tail(file)
        assert list(seen_early.read()) == [first]
        append(file, last)
        assert list(Tail(file).read()) == [first, last]
        assert list(seen_early.read()) == [last]
        with file.open("r+b") as cut:
            cut.truncate(len(whole))
        append(file, torn)


def test_a_good_run_passes() -> None:
    assert check(*good_run()) == []


def test_the_plan_has_every_shape_and_is_the_same_for_the_same_seed() -> None:
    first, second = (list(itertools.islice(operations(SEED), COUNT)) for _ in range(2))
    assert first == second
    assert {each.shape for each in first} == {"call", "send", "plain send", "workflow", "callback"}


def test_a_repeat_by_a_later_process_is_legal_before_the_next_step() -> None:
    outcomes, lines, state = good_run()
    index = line_of(lines, "/transfer", outcomes, 1)
    lines.insert(index + 1, replace(lines[index], boot=1))
    assert check(outcomes, lines, state) == []


def repeat_in_same_process(lines: list[Line], index: int) -> None:
    lines.insert(index + 1, lines[index])


def repeat_after_the_next_step(lines: list[Line], index: int) -> None:
    lines.insert(index + 2, replace(lines[index], boot=1))


def repeat_after_the_answer(lines: list[Line], index: int) -> None:
    answer = next(i for i in range(index, len(lines)) if lines[i].kind == "answer")
    lines.insert(answer + 1, replace(lines[answer - 1], boot=1))


def lose_a_step(lines: list[Line], index: int) -> None:
    del lines[index]


def swap_steps(lines: list[Line], index: int) -> None:
    lines[index], lines[index + 1] = lines[index + 1], lines[index]


def repeat_as_another_invocation(lines: list[Line], index: int) -> None:
    lines.insert(index + 1, replace(lines[index], invocation="inv_other", boot=1))


def tell_something_else(lines: list[Line], index: int) -> None:
    lines.insert(index + 1, replace(lines[index], data="another id", boot=1))


def repeat_a_durable_step(lines: list[Line], index: int) -> None:
    durable = replace(lines[index], kind="durable")
    lines[index + 1 : index + 1] = [durable, replace(lines[index], boot=1)]


def do_something_else(lines: list[Line], index: int) -> None:
    lines.insert(index + 1, replace(lines[index], step="surprise"))


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (repeat_in_same_process, "ran twice in one process"),
        (repeat_after_the_next_step, "was repeated although its result was durable"),
        (repeat_after_the_answer, "ran after the answer"),
        (lose_a_step, "never happened"),
        (swap_steps, "came before"),
        (repeat_as_another_invocation, "ran in several invocations"),
        (tell_something_else, "told the world different things"),
        (repeat_a_durable_step, "although its result was in the file"),
        (do_something_else, "unexpected step surprise"),
    ],
)
def test_damage_to_the_effects_is_found(damage: Callable[[list[Line], int], None], finding: str) -> None:
    outcomes, lines, state = good_run()
    damage(lines, line_of(lines, "/transfer", outcomes, 1))
    assert any(finding in sentence for sentence in check(outcomes, lines, state))


def test_an_answer_that_never_came_is_found() -> None:
    outcomes, lines, state = good_run()
    outcomes[0].fate = "open"
    assert any("was not answered" in sentence for sentence in check(outcomes, lines, state))


def test_a_wrong_answer_is_found() -> None:
    outcomes, lines, state = good_run()
    outcomes[0].result = "something else"
    assert any("something else" in sentence for sentence in check(outcomes, lines, state))


def test_swapped_branches_are_found() -> None:
    outcomes, lines, state = good_run()
    fork = next(each for each in outcomes if each.operation.path.endswith("/TortureForks/run"))
    fork.result = [fork.result[1], fork.result[0], fork.result[2]]
    assert any(fork.operation.name in sentence for sentence in check(outcomes, lines, state))


def test_a_lost_write_is_found() -> None:
    outcomes, lines, state = good_run()
    account, (balance, count) = next(iter(state.accounts.items()))
    damaged = replace(state, accounts={**state.accounts, account: (balance - 1, count)})
    assert any("balance and count" in sentence for sentence in check(outcomes, lines, damaged))


def test_a_send_of_unknown_fate_may_have_happened_or_not() -> None:
    outcomes, lines, _ = good_run()
    sends = [each for each in outcomes if each.operation.shape == "plain send"]
    for each in sends:
        each.fate = "unknown"
    name = sends[0].operation.name
    without = [line for line in lines if line.operation != name]
    happened = [each.operation for each in outcomes if each.operation.name != name]
    assert check(outcomes, without, expected_state(happened)) == []
    assert check(outcomes, lines, expected_state(happened)) != []
