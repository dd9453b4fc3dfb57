"""Fingerprints: the same for the same arguments in every process, another for others."""

from __future__ import annotations

import enum
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from decimal import Decimal
from functools import cached_property, partial
from typing import Any

import pytest
from pydantic import BaseModel, PrivateAttr
from typing_extensions import override

from restate_patterns.values.fingerprints import FINGERPRINT_BYTES, fingerprint
from tests.support.pages import ROOT


class Level(enum.Enum):
    LOW = 1
    HIGH = 2


class User(BaseModel):
    name: str
    friends: set[str] = set()


@dataclass
class Order:
    user: str
    tickets: list[str] = field(default_factory=list)


class Opaque:
    pass


class Basket(BaseModel):
    prices: list[int]
    _shown: int = PrivateAttr(default=0)

    @cached_property
    def total(self) -> int:
        return sum(self.prices)


class Noted(BaseModel, extra="allow"):
    name: str


@dataclass
class Parcel:
    weight: int
    label: str | None = field(default=None, compare=False)

    @cached_property
    def price(self) -> int:
        return 2 * self.weight


class Moon(tzinfo):
    """A time zone that shows its address."""

    @override
    def utcoffset(self, dt: datetime | None) -> timedelta:
        return timedelta(hours=1)

    @override
    def dst(self, dt: datetime | None) -> None:
        return None

    @override
    def tzname(self, dt: datetime | None) -> str:
        return "Moon"


DIFFERENT: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((), {}),
    ((None,), {}),
    (("a",), {}),
    ((b"a",), {}),
    ((1,), {}),
    ((1.0,), {}),
    ((True,), {}),
    (("1",), {}),
    ((), {"a": 1}),
    (("a", 1), {}),
    (("a1",), {}),
    (("a", "b"), {}),
    (("ab", ""), {}),
    ((["a", "b"],), {}),
    (([["a"], "b"],), {}),
    (({"a": 1},), {}),
    (({"a": {"b": 1}},), {}),
    (({"a"},), {}),
    ((Level.LOW,), {}),
    ((Level.HIGH,), {}),
    ((User(name="a"),), {}),
    ((User(name="b"),), {}),
    ((Order("a"),), {}),
    ((Order("a", ["x"]),), {}),
    ((Decimal("1.0"),), {}),
    ((Decimal("1.00"),), {}),
    ((datetime(2026, 1, 1, tzinfo=UTC),), {}),
    ((Opaque(),), {}),
    ((Opaque,), {}),
    ((partial(print, 1),), {}),
    ((partial(print, 2),), {}),
    (({"k": "a"}.values(),), {}),
    (({"k": "b"}.values(),), {}),
    ((Noted(name="a"),), {}),
    ((Noted.model_validate({"name": "a", "more": 1}),), {}),
    ((datetime(2026, 1, 1, tzinfo=Moon()),), {}),
    ((datetime(2026, 1, 2, tzinfo=Moon()),), {}),
]


def test_different_arguments_have_different_fingerprints() -> None:
    found = [fingerprint(*args, **kwargs) for args, kwargs in DIFFERENT]

    assert len(set(found)) == len(DIFFERENT)
    assert {len(each) for each in found} == {FINGERPRINT_BYTES}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([{"a": 1, "b": 2}], [{"b": 2, "a": 1}]),
        ([{"x", "y", "z"}], [{"z", "y", "x"}]),
        ([Opaque()], [Opaque()]),
        ([("a", "b")], [["a", "b"]]),
        ([bytearray(b"a")], [b"a"]),
        ([datetime(2026, 1, 1, tzinfo=Moon())], [datetime(2026, 1, 1, tzinfo=Moon())]),
        ([time(12, tzinfo=Moon())], [time(12, tzinfo=Moon())]),
        ([{"a": 1, "b": 2}.keys()], [{"b": 2, "a": 1}.keys()]),
        ([{"a": 1, "b": 2}.items()], [{"b": 2, "a": 1}.items()]),
    ],
)
def test_the_same_arguments_have_the_same(one: list[Any], other: list[Any]) -> None:
    assert fingerprint(*one) == fingerprint(*other)


def test_what_is_no_field_does_not_count() -> None:
    """A cached property that was read, a private attribute, a field that `==` leaves out."""
    basket, parcel = Basket(prices=[1, 2]), Parcel(3)
    before = fingerprint(basket, parcel)

    assert (basket.total, parcel.price) == (3, 6)
    basket._shown += 1
    parcel.label = "filled later"

    assert fingerprint(basket, parcel) == before
    basket.prices.append(3)
    assert fingerprint(basket, parcel) != before


def test_order_of_keywords_does_not_matter() -> None:
    assert fingerprint(a=1, b=2) == fingerprint(b=2, a=1)


def test_a_value_that_holds_itself_has_one() -> None:
    endless: list[Any] = []
    endless.append(endless)

    assert fingerprint(endless) == fingerprint(endless)


def test_another_process_agrees() -> None:
    program = (
        "from tests.unit.values.test_fingerprints import DIFFERENT, fingerprint\n"
        "print([fingerprint(*args, **kwargs).hex() for args, kwargs in DIFFERENT])"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(said) == 1
