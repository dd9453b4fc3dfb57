"""How guarantees are checked: what fails, what must fail, and what the catalogue holds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from typing_extensions import override

from restate_patterns.api.definition_reader import read_definition
from restate_patterns.testing.contract import ALL, Guarantee, Stage, check
from restate_patterns.testing.contract import guarantee as module
from restate_patterns.testing.contract.catalogue import SUBJECTS, definitions
from restate_patterns.testing.contract.expect import equal, raised, true
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recorder
from tests.support.engines.contract_hosts import HOSTS, EmbeddedHost

KNOWN = ALL[0]


class DifferentHost(EmbeddedHost):
    """Says that it differs."""

    def __init__(self, *names: str) -> None:
        super().__init__("a test's", ":memory:")
        self._differences = dict.fromkeys(names, "says the test")

    @property
    @override
    def differences(self) -> Mapping[str, str]:
        return self._differences


def standing_in(check_: Guarantee) -> Guarantee:
    """Give a guarantee by a name that a host may declare."""
    return Guarantee(KNOWN.subject, KNOWN.title, check_.sentence, check_.body)


@guarantee
async def broken(stage: Stage) -> None:
    """One is two."""
    equal(1, 2)


@guarantee
async def raising(stage: Stage) -> None:
    """Nothing is raised."""
    raise LookupError("no such thing")


@guarantee
async def endless(stage: Stage) -> None:
    """It ends."""
    await asyncio.Event().wait()


def test_what_holds_passes_and_what_is_broken_fails() -> None:
    asyncio.run(check(KNOWN, EmbeddedHost("a test's")))
    with pytest.raises(AssertionError, match="found: 1, expected 2"):
        asyncio.run(check(broken, EmbeddedHost("a test's")))
    with pytest.raises(AssertionError, match=r"raised LookupError\('no such thing'\): Nothing is raised\."):
        asyncio.run(check(raising, EmbeddedHost("a test's")))


def test_a_check_without_end_fails_with_its_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECK_TIMEOUT_S", 0.05)
    with pytest.raises(AssertionError, match=r"test_guarantees\.endless: not over after 0\.05 s: It ends\."):
        asyncio.run(check(endless, EmbeddedHost("a test's")))


def test_a_declared_difference_must_fail() -> None:
    """A difference that is gone goes from the list."""
    asyncio.run(check(standing_in(broken), DifferentHost(KNOWN.name)))
    with pytest.raises(AssertionError, match=f"{KNOWN.name} holds on .*says the test.*: delete it"):
        asyncio.run(check(KNOWN, DifferentHost(KNOWN.name)))


def test_a_difference_from_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"that there are not: \['calls\.magic'\]"):
        asyncio.run(check(KNOWN, DifferentHost("calls.magic")))


@pytest.mark.parametrize("host", HOSTS)
def test_the_differences_of_our_backends_have_reasons(host: str) -> None:
    differences = HOSTS[host](Path("unused")).differences
    assert set(differences) <= {each.name for each in ALL}
    assert [name for name, reason in differences.items() if not reason.strip()] == []


def test_the_catalogue() -> None:
    """Each guarantee has a name of its own and a sentence; each subject has some, and says what it is about."""
    assert len({each.name for each in ALL}) == len(ALL) >= 200
    assert [each.name for each in ALL if not each.sentence.endswith(".")] == []
    assert {each.subject for each in ALL} == {subject.__name__.rpartition(".")[2] for subject in SUBJECTS}
    assert [subject for subject in SUBJECTS if not subject.__doc__] == []


def test_wire_names_say_where_they_are_from() -> None:
    names = [read_definition(type(each)).name for each in definitions(Recorder())]
    assert [name for name in names if not name.startswith("Contract")] == ["FanOutPages"]


@pytest.mark.anyio
async def test_expectations_say_what_is_wrong() -> None:
    """Values are compared with their types, errors by their class."""
    equal(1, 1)
    for found, expected in ((1, 2), (1, True), ((1,), [1])):
        with pytest.raises(AssertionError):
            equal(found, expected)
    with pytest.raises(AssertionError, match="it is not so"):
        true(False, "it is not so")

    async def fail(error: Exception | None) -> None:
        if error is not None:
            raise error

    assert str(await raised(KeyError, fail(KeyError(1)))) == "1"
    for wrong in (KeyError(), ValueError(), None):
        with pytest.raises(AssertionError):
            await raised(LookupError, fail(wrong))
