"""When what failed is tried again: by the policy, its chance and its classes of errors, or as the error asks."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from restate_patterns import DefinitionError, RetryableError, RetryPolicy
from restate_patterns.text.durations import DELAY_MS_MAX, retry_after_ms

NOW = datetime(2026, 11, 29, 12, 0, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
TEN_SECONDS = RetryPolicy(initial=timedelta(seconds=10), maximum=timedelta(seconds=30))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"initial": 5}, r"initial must be a timedelta, not 5 \(int\): write timedelta\(seconds=5\)"),
        ({"maximum": 0.5}, r"maximum must be a timedelta, not 0.5 \(float\): write timedelta\(seconds=0.5\)"),
        ({"initial": "5s"}, r"initial must be a timedelta, not '5s' \(str\)$"),
        ({"jitter": 2}, r"jitter=2 \(int\) must be a number from 0 to 1"),
        ({"jitter": float("nan")}, r"jitter=nan \(float\) must be a number from 0 to 1"),
        ({"jitter": True}, r"jitter=True \(bool\) must be a number from 0 to 1"),
        ({"retry_on": ["ValueError"]}, r"retry_on must be classes of errors, as in \[ConnectionError\]"),
        ({"give_up_on": [ValueError()]}, "give_up_on must be classes of errors"),
        ({"give_up_on": [int]}, "give_up_on must be classes of errors"),
        ({"give_up_on": "ValueError"}, "give_up_on must be classes of errors"),
        ({"give_up_on": None}, "give_up_on must be classes of errors"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_fix(options: dict[str, Any], says: str) -> None:
    with pytest.raises(DefinitionError, match=says):
        RetryPolicy(**options)


@pytest.mark.parametrize(("drawn", "wait_ms"), [(0.0, 10_000), (0.5, 7_500), (1.0, 5_000)])
def test_chance_cuts_off_a_part_of_the_wait(drawn: float, wait_ms: int) -> None:
    policy = RetryPolicy(initial=timedelta(seconds=10), maximum=timedelta(seconds=30), jitter=0.5)
    assert policy.delay_ms(1, draw=lambda: drawn) == wait_ms
    assert policy.delay_ms(9, draw=lambda: drawn) == 3 * wait_ms


def test_without_jitter_nothing_is_drawn() -> None:
    def draw() -> float:
        raise AssertionError("drawn")

    assert TEN_SECONDS.delay_ms(1, ValueError(), draw) == 10_000


def test_classes_of_errors() -> None:
    policy = RetryPolicy(retry_on=[OSError, TimeoutError], give_up_on=[FileNotFoundError])
    assert not policy.gives_up_on(ConnectionError())
    assert policy.gives_up_on(FileNotFoundError())
    assert policy.gives_up_on(ValueError())
    assert policy.gives_up_on(ExceptionGroup("g", [OSError(), ExceptionGroup("h", [ValueError()])]))
    assert not policy.gives_up_on(ExceptionGroup("g", [OSError(), TimeoutError()]))
    assert policy.delay_ms(1, ValueError()) is None
    assert policy.delay_ms(1) == 50


def test_by_default_all_is_tried_again() -> None:
    assert not RetryPolicy().gives_up_on(SystemExit())
    assert not RetryPolicy().gives_up_on(KeyboardInterrupt())


def test_a_policy_stays_what_it_was() -> None:
    classes: list[type[BaseException]] = [ValueError]
    policy = RetryPolicy(give_up_on=classes)
    classes.clear()
    assert policy.gives_up_on(ValueError())
    assert copy.deepcopy(policy) == policy == RetryPolicy(give_up_on=(ValueError,))
    assert hash(policy) == hash(RetryPolicy(give_up_on=(ValueError,)))
    assert pickle.loads(pickle.dumps(policy)) == policy


def test_an_error_says_when() -> None:
    busy = RetryableError("busy", retry_after=timedelta(minutes=2))
    assert TEN_SECONDS.delay_ms(1, busy) == 120_000
    assert TEN_SECONDS.delay_ms(1, RetryableError("busy")) == 10_000
    assert TEN_SECONDS.delay_ms(1, RetryableError(retry_after=timedelta(0))) == 0
    group = ExceptionGroup("g", [busy, RetryableError(retry_after=timedelta(seconds=1)), ValueError()])
    assert TEN_SECONDS.delay_ms(1, group) == 120_000
    assert RetryPolicy(max_attempts=3).delay_ms(3, busy) is None
    assert RetryPolicy(give_up_on=[RetryableError]).delay_ms(1, busy) is None


def test_a_wait_that_makes_no_sense() -> None:
    with pytest.raises(TypeError, match="must be a timedelta, not 5"):
        RetryableError("busy", retry_after=5)  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(ValueError, match="must not be below 0"):
        RetryableError("busy", retry_after=timedelta(seconds=-1))


@pytest.mark.parametrize(
    ("header", "wait_ms"),
    [
        ("120", 120_000),
        (" 0 ", 0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90_000),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0),
        ("9" * 400, DELAY_MS_MAX),
        ("soon", None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("Fri, 99 Foo 2026 99:99:99 GMT", None),
    ],
)
def test_retry_after_of_http(header: str, wait_ms: int | None) -> None:
    assert retry_after_ms(header, NOW_MS) == wait_ms


def test_a_response_says_when() -> None:
    error = RetryableError.after(httpx.Response(429, headers={"Retry-After": "7"}), "the provider is busy")
    assert (str(error), error.retry_after) == ("the provider is busy", timedelta(seconds=7))
    assert RetryableError.after(httpx.Response(503)).retry_after is None


def test_a_response_never_says_at_once() -> None:
    """Else a provider that is busy, or whose clock is wrong, is asked again thousands of times a second."""
    past = format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True)
    for said in ("0", past):
        error = RetryableError.after(httpx.Response(429, headers={"Retry-After": said}))
        assert TEN_SECONDS.delay_ms(1, error) == 10_000


def test_a_wait_has_an_end() -> None:
    assert TEN_SECONDS.delay_ms(1, RetryableError(retry_after=timedelta.max)) == DELAY_MS_MAX
