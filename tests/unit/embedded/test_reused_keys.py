"""An idempotency key that comes again: what is the same request, and what is another one under its key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from restate_patterns import (
    App,
    Client,
    Context,
    Embedded,
    IdempotencyKeyReused,
    IngressApp,
    Service,
    Workflow,
    WorkflowContext,
    handler,
)
from restate_patterns.client.http_caller import HttpCaller
from restate_patterns.limits import JSON_COMPARED_BYTES_MAX
from restate_patterns.values.json_text import same_json

pytestmark = pytest.mark.anyio


class Taker(Service):
    @handler
    async def take(self, ctx: Context, value: object = "nothing") -> str:
        return repr(value)

    @handler
    async def raw(self, ctx: Context, value: bytes) -> int:
        return len(value)


class Once(Workflow):
    @handler
    async def run(self, ctx: WorkflowContext, value: int) -> int:
        return value


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.db"


@pytest.fixture
async def ingress(file: Path, anyio_backend: str) -> AsyncIterator[IngressApp]:
    ingress = Embedded(file).asgi_app(App([Taker(), Once()]))
    async with ingress.running():
        yield ingress


@pytest.fixture
async def http(ingress: IngressApp) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(ingress), base_url="http://127.0.0.1") as client:
        yield client


async def take(http: httpx.AsyncClient, body: bytes | None, path: str = "/Taker/take") -> httpx.Response:
    kind = "application/octet-stream" if "raw" in path else "application/json"
    headers = {"idempotency-key": "k", **({} if body is None else {"content-type": kind})}
    return await http.post(path, content=body, headers=headers)


SAME = [
    (b"1", b" 1\n"),
    (b"1", b"1.0"),
    (b"100", b"1e2"),
    (b'{"a":1,"b":[2,{"c":3,"d":4}]}', b'{ "b": [2.0, {"d":4, "c":3}], "a": 1 }'),
    (b'"\\u00e9"', '"é"'.encode()),
    (None, None),
]
LARGE = b"[" + b"1," * JSON_COMPARED_BYTES_MAX + b"1]"
OTHER = [
    pytest.param(LARGE, LARGE + b" ", id="large: byte by byte"),
    (b"1", b"2"),
    (b"1", b"true"),
    (b"1", b'"1"'),
    (b"0", b"false"),
    (b"null", None),
    (None, b"null"),
    (b"[1,2]", b"[2,1]"),
    (b'{"a":1}', b'{"a":1,"b":null}'),
    (b"0.1", b"0.10000000000000001"),
]


@pytest.mark.parametrize(("first", "again"), SAME)
async def test_the_same_json_is_the_same_request(
    http: httpx.AsyncClient, first: bytes | None, again: bytes | None
) -> None:
    answer = await take(http, first)
    for path in ("/Taker/take", "/Taker/take/send"):
        repeated = await take(http, again, path)
        assert repeated.is_success, repeated.text
        assert repeated.headers["x-restate-id"] == answer.headers["x-restate-id"]


@pytest.mark.parametrize(("first", "again"), OTHER)
async def test_another_value_is_another_request(
    http: httpx.AsyncClient, first: bytes | None, again: bytes | None
) -> None:
    before = await take(http, first)
    for path in ("/Taker/take", "/Taker/take/send"):
        refused = await take(http, again, path)
        assert refused.status_code == 422
        said = refused.json()
        assert (said["code"], said["message"], said["source"]) == (422, IdempotencyKeyReused.message, "ingress")
    assert (await take(http, first)).content == before.content


async def test_bytes_are_compared_as_they_are(http: httpx.AsyncClient) -> None:
    assert (await take(http, b"1", "/Taker/raw")).json() == 1
    assert (await take(http, b"1", "/Taker/raw")).json() == 1
    assert (await take(http, b" 1", "/Taker/raw")).status_code == 422


async def test_a_key_counts_for_one_handler_and_the_run_of_a_workflow_has_none(http: httpx.AsyncClient) -> None:
    assert (await take(http, b"1")).is_success
    assert (await take(http, b"2", "/Taker/raw")).is_success
    for body in (1, 2):
        assert (await http.post("/Once/k/run/send", json=body)).status_code == 202


async def test_clients_get_the_class_over_http_and_in_process(ingress: IngressApp, http: httpx.AsyncClient) -> None:
    await take(http, b"1")
    over = HttpCaller("http://127.0.0.1", transport=httpx.ASGITransport(ingress))
    client = Client.over(over)
    with pytest.raises(IdempotencyKeyReused):
        await client.service_client(Taker).take.with_options(idempotency_key="k")(2)
    await over.aclose()


async def test_it_is_known_after_a_restart_and_while_the_first_one_waits(file: Path) -> None:
    app = App([Taker(), Once()])
    async with app.start(Embedded(file)) as client:
        take = client.service_client(Taker).take
        await take.with_options(idempotency_key="done")("a")
        sent = take.with_options(idempotency_key="waits")
        await sent.send("a")
        with pytest.raises(IdempotencyKeyReused):
            await sent.send("b")
    async with app.start(Embedded(file)) as client:
        for key in ("done", "waits"):
            keyed = client.service_client(Taker).take.with_options(idempotency_key=key)
            with pytest.raises(IdempotencyKeyReused):
                await keyed("b")
            assert await keyed("a") == "'a'"


async def test_numbers_may_be_as_long_as_they_like() -> None:
    assert same_json(b"9" * 5000, b"9" * 5000 + b".0")
    assert not same_json(b"9" * 5000, b"9" * 4999 + b"8")


@pytest.mark.parametrize(
    "text", [b"", b"{", pytest.param(b"[" * 100_000, id="deep"), b"1e99999999999999999999", b"\xff", b"NaN"]
)
async def test_what_is_no_json_is_the_same_as_nothing_else(text: bytes) -> None:
    assert not same_json(text, b"1")
    assert not same_json(b"1", text)
