"""Who may ask: pages of other origins may not, hosts that are none of ours are none, tokens are what opens."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx
import pytest

from restate_patterns.errors import DefinitionError
from restate_patterns.http.admin import Admin
from restate_patterns.http.door import Door
from restate_patterns.http.exposure import Exposure
from restate_patterns.http.hosts import Hosts, is_loopback
from restate_patterns.http.ingress import Ingress
from restate_patterns.http.server import HttpServer
from tests.support.bounds import PATIENCE_S
from tests.support.http import loopback
from tests.support.http.fake_engine import FakeEngine

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}
FIREFOX_OF_2017 = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:52.0) Gecko/20100101 Firefox/52.0"}
OURS, SHOP = "http://127.0.0.1:8080", "https://shop.example.com"


async def asked(
    exposure: Exposure,
    engine: FakeEngine,
    headers: Mapping[str, str],
    *,
    method: str = "POST",
    path: str = "/Greeter/ping",
    content: bytes = b"",
    admin: bool = False,
) -> httpx.Response:
    """Ask one of the two ports, as the client that sends these headers."""
    door = (
        Door(Admin(engine, ingress_url=OURS), exposure.admin_guard())
        if admin
        else Door(Ingress(engine), exposure.ingress_guard())
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url=OURS) as client:
        raw = [
            (name.encode(), value.encode("latin-1")) for name, value in {"user-agent": "curl/8.5", **headers}.items()
        ]
        return await client.request(method, path, content=content, headers=raw)


FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "http://127.0.0.1:3000"},
    {"origin": "http://localhost:8080"},
    {"origin": "http://127.0.0.1:8080.evil.example"},
    {"origin": "http://evil.example/?http://127.0.0.1:8080"},
    {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    {"origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-site"},
    {"origin": "https://evil.example", "sec-fetch-site": "none"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "what comes next"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
    {**FIREFOX_OF_2017, "referer": "https://evil.example/http://127.0.0.1:8080/"},
    {**FIREFOX_OF_2017, "content-type": "text/plain"},
    FIREFOX_OF_2017,
]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_a_page_of_another_origin_calls_nothing(engine: FakeEngine, headers: dict[str, str], method: str) -> None:
    for path in ("/Greeter/ping", "/Greeter/ping/send", "/restate/call/Greeter/ping", "/restate/a/prom_x/resolve"):
        answer = await asked(Exposure(), engine, headers, method=method, path=path)
        assert answer.status_code == 403, path
        assert "may not call" in answer.json()["message"]
        assert "access-control-allow-origin" not in answer.headers
    assert engine.requests == []
    answer = await asked(Exposure(), engine, headers, method="GET", path="/embedded/invocations", admin=True)
    assert answer.status_code == 403


async def test_health_is_for_all_that_name_a_host_of_ours(engine: FakeEngine) -> None:
    for headers in FOREIGN:
        answer = await asked(Exposure(ingress_token="t0p"), engine, headers, method="GET", path="/restate/health")
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers
    for path in ("/restate/health/", "/restate/health?x", "/restate//health", "/restate/%68ealth"):
        answer = await asked(Exposure(ingress_token="t0p"), engine, {}, method="GET", path=path)
        assert answer.status_code in (200, 401)
    assert engine.requests == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None])
async def test_simple_requests_of_a_page_send_no_body_either(engine: FakeEngine, kind: str | None) -> None:
    headers = {"origin": "https://evil.example"} | ({} if kind is None else {"content-type": kind})
    for path in ("/Greeter/greet", "/Greeter/any", "/Greeter/any/send"):
        assert (await asked(Exposure(), engine, headers, path=path, content=b'"x"')).status_code == 403
    assert engine.requests == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"user-agent": "python-httpx/0.28"},
        {"origin": OURS},
        {"origin": OURS, "sec-fetch-site": "same-origin"},
        {"origin": "https://proxied.example", "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"},
        {**FIREFOX_OF_2017, "referer": f"{OURS}/index.html"},
        {"referer": "https://evil.example/"},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_clients_and_pages_of_ours_call(engine: FakeEngine, headers: dict[str, str], method: str) -> None:
    assert (await asked(Exposure(), engine, headers, method=method)).status_code == 200
    assert len(engine.requests) == 1


async def test_an_old_browser_sends_json_only_with_leave(engine: FakeEngine) -> None:
    answer = await asked(Exposure(), engine, {**FIREFOX_OF_2017, **JSON}, path="/Greeter/greet", content=b"1")
    assert answer.status_code == 200


async def test_a_page_of_an_allowed_origin_calls_and_reads(engine: FakeEngine) -> None:
    exposure = Exposure(allowed_origins=["HTTPS://Shop.example.com:443/", "http://localhost:3000"])
    for path, status in (("/Greeter/ping", 200), ("/Nobody/x", 404)):
        answer = await asked(exposure, engine, {"origin": SHOP, "sec-fetch-site": "cross-site"}, path=path)
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == SHOP
        assert "origin" in answer.headers["vary"]
    assert (await asked(exposure, engine, {"origin": "http://localhost:3000"})).status_code == 200
    assert (await asked(exposure, engine, {"origin": "http://localhost:3001"})).status_code == 403
    assert (await asked(exposure, engine, {"origin": f"{SHOP}.evil.example"})).status_code == 403
    assert (await asked(exposure, engine, {"sec-fetch-site": "cross-site"}, method="GET")).status_code == 403
    without = await asked(exposure, engine, {})
    assert "access-control-allow-origin" not in without.headers
    assert without.headers["vary"] == "origin"


async def test_any_origin_must_be_asked_for(engine: FakeEngine) -> None:
    answer = await asked(Exposure(allowed_origins=["*"]), engine, {"origin": "null", "sec-fetch-site": "cross-site"})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"


PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}


async def test_preflights(engine: FakeEngine) -> None:
    exposure = Exposure(allowed_origins=[SHOP], ingress_token="t0p")
    answer = await asked(exposure, engine, {"origin": SHOP, **PREFLIGHT}, method="OPTIONS", path="/Greeter/greet")
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == SHOP
    assert answer.headers["access-control-allow-headers"] == "authorization,content-type"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert {"origin", "access-control-request-headers"} <= set(answer.headers["vary"].split(", "))
    refused = await asked(exposure, engine, {"origin": "https://evil.example", **PREFLIGHT}, method="OPTIONS")
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers
    assert engine.requests == []


async def test_the_admin_api_is_never_for_other_pages(engine: FakeEngine) -> None:
    exposure = Exposure(allowed_origins=["*"])
    answer = await asked(exposure, engine, {"origin": SHOP}, method="GET", path="/services", admin=True)
    assert answer.status_code == 403
    assert "admin API" in answer.json()["message"]
    answer = await asked(exposure, engine, {"origin": SHOP, **PREFLIGHT}, method="OPTIONS", path="/query", admin=True)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("bound", "names", "host", "inside"),
    [
        ("127.0.0.1", [], "127.0.0.1:8080", True),
        ("127.0.0.1", [], "127.0.0.1", True),
        ("127.0.0.1", [], "127.8.8.8:1", True),
        ("127.0.0.1", [], "LocalHost:8080", True),
        ("127.0.0.1", [], "localhost.:8080", True),
        ("127.0.0.1", [], "app.localhost", True),
        ("127.0.0.1", [], "[::1]:8080", True),
        ("127.0.0.1", [], "[::ffff:127.0.0.1]:8080", True),
        ("127.0.0.1", [], "[0:0:0:0:0:0:0:1]", True),
        ("127.0.0.1", [], "localhost:", True),
        ("127.0.0.1", [], "evil.example:8080", False),
        ("127.0.0.1", [], "localhost.evil.example", False),
        ("127.0.0.1", [], "127.0.0.1.evil.example", False),
        ("127.0.0.1", [], "evillocalhost", False),
        ("127.0.0.1", [], "192.168.1.5:8080", False),
        ("127.0.0.1", [], "0.0.0.0:8080", False),
        ("127.0.0.1", [], "[::]:8080", False),
        ("127.0.0.1", [], "evil.example@127.0.0.1", False),
        ("127.0.0.1", [], "localhost:8080@evil.example", False),
        ("127.0.0.1", [], "localhost, evil.example", False),
        ("127.0.0.1", [], "localhost/evil.example", False),
        ("127.0.0.1", [], "localhost:80x", False),
        ("127.0.0.1", [], "localhost\x00", False),
        ("127.0.0.1", [], "::1", False),
        ("127.0.0.1", [], "*", False),
        ("127.0.0.1", [], "ünser", False),
        ("127.0.0.1", ["shop.example.com"], "Shop.Example.com.:443", True),
        ("127.0.0.1", ["shop.example.com"], "a.shop.example.com", False),
        ("127.0.0.1", [".example.com"], "a.b.example.com", True),
        ("127.0.0.1", [".example.com"], "example.com", True),
        ("127.0.0.1", [".example.com"], "evilexample.com", False),
        ("127.0.0.1", ["*"], "anything", True),
        ("127.0.0.1", ["10.0.0.9"], "10.0.0.9:80", True),
        ("10.0.0.5", [], "10.0.0.5:8080", True),
        ("10.0.0.5", [], "localhost", True),
        ("10.0.0.5", [], "10.0.0.6", False),
        ("box.lan", [], "BOX.lan:8080", True),
        ("box.lan", [], "other.lan", False),
        ("0.0.0.0", [], "10.0.0.5:8080", True),
        ("0.0.0.0", [], "[fe80::1]:8080", True),
        ("0.0.0.0", [], "box.lan", False),
        ("0.0.0.0", ["box.lan"], "box.lan", True),
        ("::", [], "10.0.0.5", True),
        ("::", [], "box.lan", False),
        ("", [], "10.0.0.5", True),
        ("", [], "box.lan", False),
        ("fd00::5", [], "[FD00:0::5]:8080", True),
    ],
)
def test_hosts(bound: str, names: list[str], host: str, inside: bool) -> None:
    hosts = Hosts(bound, names)
    assert [host.encode("latin-1") in hosts for _ in range(2)] == [inside, inside]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /Greeter/ping HTTP/1.1\r\nHost: evil.example\r\n", 403),
        (b"POST /Greeter/ping HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n", 400),
        (b"POST /Greeter/ping HTTP/1.1\r\n", 400),
        (b"POST /Greeter/ping HTTP/1.1\r\nHost:\r\n", 400),
        (b"POST /Greeter/ping HTTP/1.0\r\nHost: evil.example\r\n", 403),
        (b"POST /Greeter/ping HTTP/1.0\r\n", 200),
        (b"POST /Greeter/ping HTTP/1.1\r\nhOST: LOCALHOST.:99\r\n", 200),
        (b"POST http://127.0.0.1/Greeter/ping HTTP/1.1\r\nHost: evil.example\r\n", 403),
    ],
)
async def test_the_host_on_the_wire(engine: FakeEngine, head: bytes, status: int) -> None:
    async with HttpServer(engine, ingress_port=0, admin_port=0) as server:
        for port in (server.ingress_port, server.admin_port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            if port == server.admin_port:
                head = head.replace(b"POST", b"GET").replace(b"/Greeter/ping", b"/health")
            writer.write(head + b"content-length: 0\r\nconnection: close\r\n\r\n")
            answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
            writer.close()
            assert int(answer.split(b" ", 2)[1]) == status, answer
    assert len(engine.requests) == (status == 200)


async def test_the_authority_of_http_2_is_a_host_too(engine: FakeEngine) -> None:
    async with (
        HttpServer(engine, ingress_port=0, admin_port=0) as server,
        loopback.async_client(http1=False, http2=True) as client,
    ):
        for host, status in (("evil.example", 403), ("localhost:1", 200)):
            answer = await client.post(f"{server.ingress_url}/Greeter/ping", headers={"host": host})
            assert answer.status_code == status


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer t0p"}, 200),
        ({"authorization": "bearer  t0p"}, 200),
        ({"authorization": "Bearer t0p2"}, 401),
        ({"authorization": "Bearer t0"}, 401),
        ({"authorization": "Bearer"}, 401),
        ({"authorization": "Basic t0p"}, 401),
        ({"authorization": "Bearer t0p\u00ff"}, 401),
    ],
    ids=str,
)
async def test_a_port_with_a_token(engine: FakeEngine, given: dict[str, str], status: int) -> None:
    exposure = Exposure(ingress_token="t0p", admin_token="t0p")
    for path, method, admin in (("/Greeter/greet", "POST", False), ("/services", "GET", True)):
        answer = await asked(exposure, engine, {**JSON, **given}, method=method, path=path, content=b"1", admin=admin)
        assert answer.status_code == status
        if status == 401:
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert "t0p" not in answer.text
    assert [request.headers.get("authorization") for request in engine.requests] == [None] * (status == 200)
    assert (await asked(exposure, engine, {}, method="GET", path="/restate/health")).status_code == 200
    assert (await asked(exposure, engine, {}, method="GET", path="/health", admin=True)).status_code == 200


async def test_without_a_token_the_header_is_the_handlers(engine: FakeEngine) -> None:
    await asked(Exposure(), engine, {"authorization": "Bearer of-the-app"})
    assert engine.requests[0].headers["authorization"] == "Bearer of-the-app"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"admin_host": "0.0.0.0"}, "the admin API on 0.0.0.0 would let anybody"),
        ({"admin_host": "::"}, "the admin API on :: would"),
        ({"admin_host": ""}, "the admin API on every address would"),
        ({"admin_host": "box.lan"}, "the admin API on box.lan would"),
        ({"admin_token": ""}, "admin_token is empty"),
        ({"ingress_token": "a b"}, "ingress_token has characters that a header can't carry"),
        ({"ingress_token": "a\n"}, "ingress_token has characters"),
        ({"allowed_origins": ["shop.example.com"]}, "'shop.example.com' must be scheme, host and port"),
        ({"allowed_origins": ["https://shop.example.com/path"]}, "must be scheme, host and port"),
        ({"allowed_origins": ["null"]}, "must be scheme, host and port"),
        ({"allowed_origins": ["http://a:b"]}, "must be scheme, host and port"),
        ({"allowed_origins": "https://shop.example.com"}, "must be a list"),
        ({"allowed_hosts": "shop.example.com"}, "must be a list"),
        ({"allowed_hosts": ["shop.example.com:80"]}, "must be a name or an address without a port"),
        ({"allowed_hosts": ["http://shop"]}, "must be a name or an address"),
        ({"allowed_hosts": [""]}, "must be a name or an address"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(DefinitionError, match=sentence.replace("[", r"\[")):
        Exposure(**options)  # type: ignore[arg-type]  # the keys are names of fields


def test_loopback_and_a_token_open_the_admin_api() -> None:
    for host in ("127.0.0.1", "127.0.0.2", "::1", "localhost", "LOCALHOST."):
        assert is_loopback(host)
        Exposure(admin_host=host)
    assert "s3cret" not in repr(Exposure(admin_host="0.0.0.0", admin_token="s3cret"))
