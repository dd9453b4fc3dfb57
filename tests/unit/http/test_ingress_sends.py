"""Sends, delays and idempotency over HTTP."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from restate_patterns.errors import Failure
from restate_patterns.seam import Target, ValueOrFailure
from tests.support.http.fake_engine import FakeEngine

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/Greeter/greet/send", Target("Greeter", "greet")),
        ("/Counter/k/add/send", Target("Counter", "add", "k")),
        ("/Greeter/send/send", Target("Greeter", "send")),
        ("/restate/send/Greeter/greet", Target("Greeter", "greet")),
        ("/restate/send/Counter/k/add", Target("Counter", "add", "k")),
    ],
)
async def test_send(ingress: httpx.AsyncClient, engine: FakeEngine, path: str, target: Target) -> None:
    engine.behaviours["Greeter/greet"] = lambda request: None
    answer = await ingress.post(path, json="x")
    assert answer.status_code == 202
    assert answer.json() == {"invocationId": "inv_1", "status": "Accepted"}
    assert answer.headers["x-restate-id"] == "inv_1"
    assert engine.requests[0].target == target
    assert engine.delays == [None]


async def test_key_named_send_is_a_call(ingress: httpx.AsyncClient, engine: FakeEngine) -> None:
    assert (await ingress.get("/Counter/k/send")).status_code == 200
    assert engine.requests[0].target == Target("Counter", "send", "k")


@pytest.mark.parametrize(
    ("delay", "delay_ms"),
    [
        ("PT10S", 10_000),
        ("PT0.5S", 500),
        ("PT1H2M3S", 3_723_000),
        ("P1D", 86_400_000),
        ("P1W", 604_800_000),
        ("P1DT1H", 90_000_000),
        ("pt10s", 10_000),
        ("500ms", 500),
        ("1s", 1000),
        ("0.3s", 300),
        ("1 sec", 1000),
        ("1%20sec", 1000),
        ("1+sec", 1000),
        ("2 minutes", 120_000),
        ("1h 30m", 5_400_000),
        ("1h30m", 5_400_000),
        ("1 day, 2 hours", 93_600_000),
        ("0s", 0),
        ("1us", 1),
    ],
)
async def test_delay(ingress: httpx.AsyncClient, engine: FakeEngine, delay: str, delay_ms: int) -> None:
    answer = await ingress.post(f"/Greeter/greet/send?delay={delay}", json="x")
    assert answer.status_code == 202, answer.text
    assert engine.delays == [delay_ms]


async def test_execution_time(ingress: httpx.AsyncClient) -> None:
    answer = await ingress.post("/Greeter/greet/send?delay=PT1S", json="x")
    assert answer.json()["executionTime"] == "2026-11-22T04:06:56.291000000Z"


@pytest.mark.parametrize(
    "delay",
    ["10", "", "x", "1 parsec", "PT", "P", "P1M", "P1Y", "-1s", "PT-1S", "1s x", "1s,", "999999999999d", "%FF"],
)
async def test_bad_delay(ingress: httpx.AsyncClient, engine: FakeEngine, delay: str) -> None:
    answer = await ingress.post(f"/Greeter/greet/send?delay={delay}", json="x")
    assert answer.status_code == 400, answer.text
    assert answer.json()["message"].startswith("bad ")
    assert engine.requests == []


async def test_other_query_parameters_are_ignored(ingress: httpx.AsyncClient, engine: FakeEngine) -> None:
    assert (await ingress.post("/Greeter/greet?mydelay=1", json="x")).status_code == 200


async def test_send_again_with_idempotency_key(ingress: httpx.AsyncClient, engine: FakeEngine) -> None:
    headers = {"idempotency-key": "i"}
    first = await ingress.post("/Counter/k/add/send", json=1, headers=headers)
    again = await ingress.post("/Counter/k/add/send?delay=1h", json=2, headers=headers)
    assert again.status_code == 202
    assert again.json() == {"invocationId": first.json()["invocationId"], "status": "PreviouslyAccepted"}
    assert [request.body for request in engine.requests] == [b"1"]


async def test_replay_of_an_idempotent_call(ingress: httpx.AsyncClient, engine: FakeEngine) -> None:
    headers = {"idempotency-key": "i"}
    first = await ingress.post("/Counter/k/add", json=1, headers=headers)
    again = await ingress.post("/Counter/k/add", json=2, headers=headers)
    assert "idempotency-expires" not in first.headers
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["x-restate-id"] == first.headers["x-restate-id"]
    assert again.headers["idempotency-expires"] == "2026-11-23T04:06:55.291000000Z"


async def test_failures_replay(ingress: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.behaviours["Counter/add"] = lambda request: ValueOrFailure(None, Failure(402, "declined"))
    headers = {"idempotency-key": "i"}
    answers = [await ingress.post("/Counter/k/add", json=1, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [402, 402]
    assert "idempotency-expires" in answers[1].headers


async def test_concurrent_calls_join(ingress: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.behaviours["Counter/add"] = lambda request: None
    headers = {"idempotency-key": "i"}
    calls = [asyncio.ensure_future(ingress.post("/Counter/k/add", json=1, headers=headers)) for _ in range(2)]
    await engine.until_waiting(2)
    engine.invocations["inv_1"].done.set_result(ValueOrFailure(b"7", None))
    answers = await asyncio.gather(*calls)
    assert [answer.json() for answer in answers] == [7, 7]


async def test_empty_idempotency_key_is_ignored(ingress: httpx.AsyncClient, engine: FakeEngine) -> None:
    for _ in range(2):
        await ingress.post("/Counter/k/add", json=1, headers={"idempotency-key": ""})
    assert [request.idempotency_key for request in engine.requests] == [None, None]


async def test_idempotency_key_on_a_run_is_400(ingress: httpx.AsyncClient, engine: FakeEngine) -> None:
    for path in ("/Signup/ann/run", "/Signup/ann/run/send"):
        answer = await ingress.post(path, json=1, headers={"idempotency-key": "i"})
        assert answer.status_code == 400
        assert "idempotency key" in answer.json()["message"]
    verify = await ingress.post("/Signup/ann/verify", json=1, headers={"idempotency-key": "i"})
    assert verify.status_code == 200


async def test_second_run_of_a_workflow(ingress: httpx.AsyncClient) -> None:
    first = await ingress.post("/Signup/ann/run", json=1)
    call = await ingress.post("/Signup/ann/run", json=1)
    assert call.status_code == 409
    assert call.json()["message"] == "the workflow method was already invoked"
    assert call.headers["x-restate-id"] == first.headers["x-restate-id"]
    send = await ingress.post("/Signup/ann/run/send", json=1)
    assert send.status_code == 202
    assert send.json() == {"invocationId": "inv_1", "status": "PreviouslyAccepted"}
