"""Calls over HTTP: paths, methods, success and error answers."""

from __future__ import annotations

import httpx
import pytest

from restate_patterns.errors import Failure
from restate_patterns.limits import BODY_BYTES_MAX
from restate_patterns.seam import Request, Target, ValueOrFailure
from tests.support.http.fake_engine import FakeEngine

pytestmark = pytest.mark.anyio


def fail_with(failure: Failure) -> object:
    return lambda request: ValueOrFailure(None, failure)


@pytest.mark.parametrize("prefix", ["", "/restate/call"])
@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/Greeter/greet", Target("Greeter", "greet")),
        ("/Counter/k/add", Target("Counter", "add", "k")),
        ("/Counter/a%2Fb/add", Target("Counter", "add", "a/b")),
        ("/Counter/a%20b%C3%A9/add", Target("Counter", "add", "a bé")),
        ("/Counter/a+b/add", Target("Counter", "add", "a+b")),
        ("/Counter/%252F/add", Target("Counter", "add", "%2F")),
        ("/Greeter/send", Target("Greeter", "send")),
        ("/Signup/ann/verify", Target("Signup", "verify", "ann")),
    ],
)
async def test_call_reaches_target(
    ingress: httpx.AsyncClient, engine: FakeEngine, prefix: str, path: str, target: Target
) -> None:
    answer = await ingress.post(prefix + path, json="x")
    assert answer.status_code == 200, answer.text
    assert engine.requests[0].target == target
    assert engine.requests[0].body == b'"x"'


async def test_a_path_that_came_before_means_what_it_meant(ingress: httpx.AsyncClient, engine: FakeEngine) -> None:
    """Calls, sends and unknown paths, each twice; the second of each is not read again."""
    for _ in range(2):
        assert (await ingress.post("/Greeter/greet", json="x")).status_code == 200
        assert (await ingress.post("/Greeter/greet/send", json="x")).status_code == 202
        assert (await ingress.post("/Counter/k/add", json="x")).status_code == 200
        assert (await ingress.post("/Greeter/nothing", json="x")).status_code == 404
        assert (await ingress.put("/Greeter/greet", json="x")).status_code == 405
    assert [request.target.handler for request in engine.requests] == ["greet", "greet", "add"] * 2


async def test_success(ingress: httpx.AsyncClient) -> None:
    answer = await ingress.post("/Greeter/greet", json={"a": [1]})
    assert answer.json() == {"a": [1]}
    assert answer.headers["x-restate-id"] == "inv_1"
    assert answer.headers["content-type"] == "application/json"
    assert "idempotency-expires" not in answer.headers


async def test_output_has_the_handlers_content_type(ingress: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/octet-stream"}
    answer = await ingress.post("/Greeter/blob", content=b"\xff\x00", headers=headers)
    assert answer.content == b"\xff\x00"
    assert answer.headers["content-type"] == "application/octet-stream"


async def test_no_output(ingress: httpx.AsyncClient) -> None:
    answer = await ingress.post("/Greeter/ping")
    assert answer.status_code == 200
    assert answer.headers["content-length"] == "0"
    assert "content-type" not in answer.headers


async def test_get_invokes(ingress: httpx.AsyncClient, engine: FakeEngine) -> None:
    assert (await ingress.get("/Greeter/ping")).status_code == 200
    assert len(engine.requests) == 1


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "HEAD"])
async def test_other_methods_are_405(ingress: httpx.AsyncClient, engine: FakeEngine, method: str) -> None:
    answer = await ingress.request(method, "/Greeter/ping")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST, GET, OPTIONS"
    assert engine.requests == []


async def test_handlers_see_headers(ingress: httpx.AsyncClient, engine: FakeEngine) -> None:
    headers = [("X-Trace", "1"), ("x-trace", "2"), ("Idempotency-Key", "i"), ("Connection", "close")]
    await ingress.post("/Greeter/greet", json=1, headers=headers)
    seen = engine.requests[0].headers
    assert seen["x-trace"] == "1, 2"
    assert seen["content-type"] == "application/json"
    assert not {"host", "connection", "idempotency-key"} & set(seen)


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/Nobody/greet", 404, "service 'Nobody' not found, "),
        ("/Greeter/nope", 404, "the service 'Greeter' exists, but the handler 'nope' was not found"),
        ("/Greeter", 400, "bad path, expected either /:service-name/:handler or "),
        ("/", 400, "bad path, expected either"),
        ("/Counter/add", 400, "bad path, expected either"),
        ("/Greeter/greet/send/more", 400, "bad path, expected either"),
        ("/Greeter/key/greet", 400, "bad path, expected either"),
        ("/Counter//add", 400, "bad path, expected either"),
        ("/Counter/%FF/add", 400, "bad path: it is not valid UTF-8"),
        ("/restate/nothing", 404, "not found: no such path below /restate"),
        ("/Greeter/secret", 400, "the invoked service is not public"),
        ("/restate/send/Greeter/secret", 400, "the invoked service is not public"),
        ("/Greeter/greet?delay=1s", 400, "a call cannot be delayed: send it"),
    ],
)
async def test_refused(ingress: httpx.AsyncClient, engine: FakeEngine, path: str, status: int, message: str) -> None:
    answer = await ingress.post(path, json="x")
    assert answer.status_code == status
    body = answer.json()
    assert body["code"] == status
    assert body["message"].startswith(message)
    assert body["source"] == "ingress"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-restate-error-source"] == "ingress"
    assert "x-restate-id" not in answer.headers
    assert engine.requests == []


@pytest.mark.parametrize(
    ("path", "content", "content_type", "message"),
    [
        ("/Greeter/greet", b"x", "text/plain", "Content-type 'text/plain' does not match 'application/json'"),
        ("/Greeter/greet", b'"x"', None, "the body has no content type"),
        ("/Greeter/any", b"x", None, "the body has no content type, add the header 'content-type: application/octet-"),
        ("/Greeter/greet", b"", "application/json", "the content type 'application/json' comes with an empty"),
        ("/Greeter/greet", b"", None, "the handler 'greet' needs a body"),
        ("/Greeter/ping", b'"x"', "application/json", "the handler 'ping' takes no input"),
        ("/Greeter/ping", b'"x"', None, "the handler 'ping' takes no input"),
        ("/Greeter/ping", b"", "application/json", "the handler 'ping' takes no input"),
    ],
)
async def test_input_is_validated(
    ingress: httpx.AsyncClient,
    engine: FakeEngine,
    path: str,
    content: bytes,
    content_type: str | None,
    message: str,
) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    answer = await ingress.post(path, content=content, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(f"input validation error: {message}")
    assert engine.requests == []


@pytest.mark.parametrize(
    ("path", "content", "content_type"),
    [
        ("/Greeter/greet", b"1", "application/json; charset=utf-8"),
        ("/Greeter/greet", b"1", "Application/JSON"),
        ("/Greeter/optional", b"", None),
        ("/Greeter/optional", b"1", "application/json"),
        ("/Greeter/blob", b"", "application/octet-stream"),
        ("/Greeter/any", b"hello", "text/plain"),
    ],
)
async def test_input_is_accepted(
    ingress: httpx.AsyncClient, path: str, content: bytes, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    answer = await ingress.post(path, content=content, headers=headers)
    assert answer.status_code == 200, answer.text


async def test_oversized_body_is_413(ingress: httpx.AsyncClient, engine: FakeEngine) -> None:
    headers = {"content-type": "application/json"}
    answer = await ingress.post("/Greeter/greet", content=b"1" * (BODY_BYTES_MAX + 1), headers=headers)
    assert answer.status_code == 413
    assert "BODY_BYTES_MAX" in answer.json()["message"]
    assert str(BODY_BYTES_MAX) in answer.json()["message"]
    assert engine.requests == []


async def test_largest_body_is_taken(ingress: httpx.AsyncClient, engine: FakeEngine) -> None:
    headers = {"content-type": "application/json"}
    answer = await ingress.post("/Greeter/greet", content=b"1" * BODY_BYTES_MAX, headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("code", "status"), [(402, 402), (409, 409), (200, 200), (999, 999), (199, 500), (1000, 500), (7, 500)]
)
async def test_terminal_error(ingress: httpx.AsyncClient, engine: FakeEngine, code: int, status: int) -> None:
    failure = Failure(code, "declined", {"reason": '"limit"'})
    engine.behaviours["Greeter/greet"] = lambda request: ValueOrFailure(None, failure)
    answer = await ingress.post("/Greeter/greet", json="x")
    assert answer.status_code == status
    assert answer.json() == {
        "code": code,
        "message": "declined",
        "metadata": {"reason": '"limit"'},
        "source": "invocation",
    }
    assert answer.headers["x-restate-error-source"] == "invocation"
    assert answer.headers["x-restate-id"] == "inv_1"


async def test_no_metadata_is_left_out(ingress: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.behaviours["Greeter/greet"] = lambda request: ValueOrFailure(None, Failure(500, "no"))
    assert "metadata" not in (await ingress.post("/Greeter/greet", json="x")).json()


async def test_full_disk_is_503(ingress: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.accepts = False
    answer = await ingress.post("/Greeter/greet", json="x")
    assert answer.status_code == 503
    assert answer.json()["message"] == "no new work is accepted: the disk is full"
    assert answer.headers["retry-after"] == "1"


async def test_bug_is_500_and_logged(
    ingress: httpx.AsyncClient, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    def bug(request: Request) -> ValueOrFailure:
        raise ZeroDivisionError("secret")

    engine.behaviours["Greeter/greet"] = bug
    answer = await ingress.post("/Greeter/greet", json="x")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "ZeroDivisionError" in caplog.text


async def test_health(ingress: httpx.AsyncClient) -> None:
    answer = await ingress.get("/restate/health")
    assert answer.status_code == 200
    assert answer.json() == {"services": ["Counter", "Greeter", "Signup"]}
    head = await ingress.head("/restate/health")
    assert (head.status_code, head.content) == (200, b"")
    assert (await ingress.post("/restate/health")).status_code == 405
