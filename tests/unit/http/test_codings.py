"""Bodies that come compressed."""

from __future__ import annotations

import gzip

import httpx
import pytest

from restate_patterns.http.codings import decoded
from restate_patterns.http.problems import Problem
from restate_patterns.limits import BODY_BYTES_MAX
from restate_patterns.seam import Request
from tests.support.http.fake_engine import FakeEngine

pytestmark = pytest.mark.anyio
JSON = {"content-type": "application/json"}
GZIPPED = {**JSON, "content-encoding": "gzip"}


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip", "identity, gzip", "gzip,"])
@pytest.mark.parametrize("path", ["/Counter/k/add", "/Counter/k/add/send"])
async def test_a_handler_gets_what_was_packed(
    ingress: httpx.AsyncClient, engine: FakeEngine, coding: str, path: str
) -> None:
    packed = gzip.compress(b"1") + gzip.compress(b"7")
    answer = await ingress.post(path, content=packed, headers={**JSON, "content-encoding": coding, "x-own": "kept"})
    assert answer.status_code in (200, 202)
    (request,) = engine.requests
    assert request.body == b"17"
    assert not {"content-encoding", "content-length"} & set(request.headers)
    assert request.headers["x-own"] == "kept"


async def test_what_is_not_packed_comes_as_before(ingress: httpx.AsyncClient, engine: FakeEngine) -> None:
    await ingress.post("/Counter/k/add", content=b"17", headers={**JSON, "content-encoding": "identity"})
    await ingress.post("/Counter/k/add", content=b"17", headers=JSON)
    assert [request.body for request in engine.requests] == [b"17", b"17"]


async def test_an_awakeable_is_resolved_with_what_was_packed(ingress: httpx.AsyncClient, engine: FakeEngine) -> None:
    path = "/restate/awakeables/sign_1aw/resolve"
    assert (await ingress.post(path, content=gzip.compress(b'"x"'), headers=GZIPPED)).status_code == 202
    assert engine.awakeables["sign_1aw"].value == b'"x"'


@pytest.mark.parametrize(
    ("coding", "body", "status"),
    [
        ("br", b"1", 415),
        ("deflate", b"1", 415),
        ("gzip, gzip", b"1", 415),
        ("gzip, br", b"1", 415),
        ("gzip", b"1", 400),
        pytest.param("gzip", gzip.compress(b"1")[:-3], 400, id="cut off"),
        pytest.param("gzip", gzip.compress(b"1") + b"more", 400, id="something behind it"),
        pytest.param("gzip", gzip.compress(b"") * 500_000, 400, id="empty without end"),
        pytest.param("gzip", gzip.compress(bytes(BODY_BYTES_MAX + 1)), 413, id="too large"),
        pytest.param("gzip", gzip.compress(bytes(BODY_BYTES_MAX)) + gzip.compress(b"1"), 413, id="too large in two"),
    ],
)
async def test_what_can_not_be_unpacked_is_refused(
    ingress: httpx.AsyncClient, engine: FakeEngine, coding: str, body: bytes, status: int
) -> None:
    answer = await ingress.post("/Counter/k/add", content=body, headers={**JSON, "content-encoding": coding})
    assert answer.status_code == status
    assert engine.requests == list[Request]()
    assert status != 415 or answer.headers["accept-encoding"] == "gzip, identity"


def test_as_much_as_a_body_may_have_is_unpacked() -> None:
    assert len(decoded(gzip.compress(bytes(BODY_BYTES_MAX)), ["gzip"])) == BODY_BYTES_MAX
    with pytest.raises(Problem, match="unpacks to more than"):
        decoded(gzip.compress(bytes(4 * BODY_BYTES_MAX)), ["gzip"])
