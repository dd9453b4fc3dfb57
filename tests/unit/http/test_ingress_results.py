"""Attach, output and awakeables over HTTP."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from restate_patterns.engine.errors import InvocationPaused
from restate_patterns.errors import Failure
from restate_patterns.seam import ValueOrFailure
from restate_patterns.values.failures import failure_text
from tests.support.http.fake_engine import FakeEngine

pytestmark = pytest.mark.anyio

REFS = [
    ("/Greeter/greet/send", "/restate/invocation/inv_1"),
    ("/Greeter/greet/send", "/restate/invocation/Greeter/greet/i"),
    ("/Counter/a%2Fb/add/send", "/restate/invocation/Counter/a%2Fb/add/i"),
    ("/Signup/ann/run/send", "/restate/workflow/Signup/ann"),
]


async def send(ingress: httpx.AsyncClient, engine: FakeEngine, path: str) -> None:
    for target in ("Greeter/greet", "Counter/add", "Signup/run"):
        engine.behaviours[target] = lambda request: None
    headers = {} if "/run/" in path else {"idempotency-key": "i"}
    assert (await ingress.post(path, json="x", headers=headers)).status_code == 202


@pytest.mark.parametrize(("sent", "ref"), REFS)
async def test_output_not_ready_is_470(ingress: httpx.AsyncClient, engine: FakeEngine, sent: str, ref: str) -> None:
    await send(ingress, engine, sent)
    answer = await ingress.get(f"{ref}/output")
    assert answer.status_code == 470
    assert answer.json()["message"] == "the invocation exists but has not completed yet"
    assert answer.json()["code"] == 470


@pytest.mark.parametrize(("sent", "ref"), REFS)
async def test_attach_blocks_then_gives_the_result(
    ingress: httpx.AsyncClient, engine: FakeEngine, sent: str, ref: str
) -> None:
    await send(ingress, engine, sent)
    attached = asyncio.ensure_future(ingress.get(f"{ref}/attach"))
    await engine.until_waiting(1)
    assert not attached.done()
    engine.invocations["inv_1"].done.set_result(ValueOrFailure(b"42", None))
    answer = await attached
    assert (answer.status_code, answer.json()) == (200, 42)
    assert answer.headers["x-restate-id"] == "inv_1"
    output = await ingress.get(f"{ref}/output")
    assert (output.status_code, output.json()) == (200, 42)


@pytest.mark.parametrize(("sent", "ref"), REFS)
async def test_attach_to_one_that_pauses_says_so(
    ingress: httpx.AsyncClient, engine: FakeEngine, sent: str, ref: str
) -> None:
    await send(ingress, engine, sent)
    attached = asyncio.ensure_future(ingress.get(f"{ref}/attach"))
    await engine.until_waiting(1)
    engine.invocations["inv_1"].done.set_exception(InvocationPaused("inv_1", "weather"))
    answer = await attached
    assert (answer.status_code, answer.headers["x-restate-id"]) == (470, "inv_1")
    body = answer.json()
    assert (body["code"], body["source"], body["pausedBecause"]) == (470, "ingress", "weather")
    assert "invocations resume" in body["message"]


async def test_attach_gives_the_type_of_the_handler(ingress: httpx.AsyncClient) -> None:
    sent = await ingress.post(
        "/Greeter/blob/send", content=b"\xff", headers={"content-type": "application/octet-stream"}
    )
    answer = await ingress.get(f"/restate/invocation/{sent.json()['invocationId']}/attach")
    assert answer.content == b"\xff"
    assert answer.headers["content-type"] == "application/octet-stream"


async def test_output_of_a_failure(ingress: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.behaviours["Greeter/greet"] = lambda request: ValueOrFailure(None, Failure(402, "declined"))
    await ingress.post("/Greeter/greet/send", json="x")
    answer = await ingress.get("/restate/invocation/inv_1/output")
    assert answer.status_code == 402
    assert answer.json()["source"] == "invocation"


@pytest.mark.parametrize("look", ["attach", "output"])
@pytest.mark.parametrize(
    ("ref", "status"),
    [
        ("/restate/invocation/inv_9", 404),
        ("/restate/invocation/garbage", 400),
        ("/restate/invocation/Greeter/greet/unknown", 404),
        ("/restate/invocation/Nobody/greet/i", 404),
        ("/restate/invocation/Greeter/nope/i", 404),
        ("/restate/invocation/Counter/add/i", 400),
        ("/restate/invocation/a/b", 400),
        ("/restate/workflow/Signup/nobody", 404),
        ("/restate/workflow/Nobody/ann", 404),
        ("/restate/workflow/Counter/ann", 400),
    ],
)
async def test_unknown_and_malformed(ingress: httpx.AsyncClient, look: str, ref: str, status: int) -> None:
    answer = await ingress.get(f"{ref}/{look}")
    assert answer.status_code == status, answer.text
    assert answer.json()["source"] == "ingress"


async def test_look_is_get_only(ingress: httpx.AsyncClient) -> None:
    answer = await ingress.post("/restate/invocation/inv_1/attach")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, OPTIONS"


@pytest.mark.parametrize("path", ["/restate/awakeables", "/restate/a"])
async def test_awakeables(ingress: httpx.AsyncClient, engine: FakeEngine, path: str) -> None:
    for _ in range(2):
        resolved = await ingress.post(f"{path}/sign_1/resolve", json={"ok": True})
        assert resolved.status_code == 202
    rejected = await ingress.post(f"{path}/sign_2/reject", content="no budgét")
    assert rejected.status_code == 202
    assert engine.awakeables == {
        "sign_1": ValueOrFailure(b'{"ok":true}', None),
        "sign_2": ValueOrFailure(None, Failure(500, "no budgét")),
    }


async def test_bad_awakeable_id_is_400(ingress: httpx.AsyncClient) -> None:
    for verb in ("resolve", "reject"):
        answer = await ingress.post(f"/restate/awakeables/garbage/{verb}")
        assert answer.status_code == 400
        assert answer.json()["message"].startswith("bad awakeable id 'garbage'")


async def test_awakeables_are_post_only(ingress: httpx.AsyncClient) -> None:
    assert (await ingress.get("/restate/awakeables/sign_1/resolve")).status_code == 405


async def test_reject_with_a_whole_error(ingress: httpx.AsyncClient, engine: FakeEngine) -> None:
    failure = Failure(402, "declined", {"reason": '"limit"'})
    await ingress.post("/restate/a/sign_1/reject", content=failure_text(failure).encode())
    assert engine.awakeables["sign_1"].failure == failure


async def test_reject_that_is_not_utf8_is_400(ingress: httpx.AsyncClient) -> None:
    assert (await ingress.post("/restate/a/sign_1/reject", content=b"\xff")).status_code == 400
