"""What is no JSON, no number, no path: 400 with the reason, never 500; and what comes out is JSON."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restate_patterns.http.server import HttpServer
from restate_patterns.text.durations import DELAY_MS_MAX, DURATION_PATTERN, parse_duration_ms
from restate_patterns.values.json_text import read_json, without_constants, write_json
from tests.support.http.odd_services import asked, check, served

DEEP = b"[" * 500 + b"]" * 500
TOO_LONG = "9" * 5000


async def _ask(
    server: HttpServer, method: str, target: str, body: bytes = b"", *, admin: bool = False
) -> tuple[int, Any]:
    """Ask, and give the status and what the JSON of the answer says."""
    head = f"{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {len(body)}\r\n"
    head += "content-type: application/json\r\n" if body else ""
    request = head.encode() + b"\r\n" + body
    status, headers, answer = await asked(server.admin_port if admin else server.ingress_port, request)
    check(request, status, headers, answer)
    return status, json.loads(answer or b"null")


@pytest.mark.parametrize(
    ("method", "target", "body", "status"),
    [
        ("GET", f"/embedded/invocations?limit={TOO_LONG}", b"", 400),
        ("GET", f"/embedded/invocations?limit=-{TOO_LONG}", b"", 400),
        ("GET", "/embedded/invocations?limit=%D9%A1", b"", 400),
        ("GET", "/embedded/invocations?limit=%C2%B2", b"", 400),
        ("GET", f"/embedded/invocations?limit={'0' * 3000}1", b"", 200),
        ("GET", "/embedded/invocations?limit=1&limit=2", b"", 400),
        ("GET", f"/embedded/invocations?after={TOO_LONG}", b"", 400),
        ("GET", f"/embedded/invocations?key={TOO_LONG}&service=%00", b"", 200),
        ("PATCH", "/embedded/services/Thing/state/k", b'{"a":' + DEEP + b"}", 400),
        ("PATCH", "/embedded/services/Thing/state/k", b"[" * 3_000, 400),
        ("PATCH", "/embedded/services/Thing/state/k", b'{"\\ud800":1}', 400),
        ("PATCH", "/embedded/services/Thing/state/k", b'{"a":"\\udfff"}', 400),
        ("PATCH", "/embedded/services/Thing/state/k", b'{"a":NaN}', 400),
        ("PATCH", "/embedded/services/Thing/state/k", b'{"a":1e999}', 400),
        ("PATCH", "/embedded/services/Thing/state/k", b'{"a":' + TOO_LONG.encode() + b"}", 400),
        ("PATCH", "/embedded/services/Thing/state/k%00%0A", b'{"a\\u0000":"\\u0000"}', 200),
        ("PATCH", "/embedded/services/Thing/state/%ED%A0%80", b'{"a":1}', 400),
        ("POST", "/services/Thing/state", b'{"object_key":"\\ud800","new_state":{}}', 400),
        ("POST", "/services/Thing/state", b'{"object_key":"k","new_state":{"\\ud800":[1]}}', 400),
        ("POST", "/services/Thing/state", b'{"object_key":"k","new_state":{"a":[1' + b"0" * 400 + b"]}}", 400),
        ("GET", "*", b"", 400),
        ("DELETE", "*", b"", 400),
        ("PROPFIND", "nothing", b"", 400),
    ],
    ids=lambda value: str(value)[:60],
)
def test_the_admin_api_says_what_is_wrong(method: str, target: str, body: bytes, status: int) -> None:
    async def run() -> None:
        async with served() as server:
            found, answer = await _ask(server, method, target, body, admin=True)
            assert found == status
            if status == 400:
                assert answer["message"]

    asyncio.run(run())


@pytest.mark.parametrize(
    "value", [DEEP, b"NaN", b"[1e999]", b'"\\ud800"', b"\xff", TOO_LONG.encode(), b"[" * 90 + b"]" * 90, b'"\\u2028"']
)
def test_any_state_is_read_back(value: bytes) -> None:
    async def run() -> None:
        async with served() as server:
            body = json.dumps({"object_key": "k", "new_state": {"a": list(value)}}).encode()
            assert (await _ask(server, "POST", "/services/Thing/state", body, admin=True))[0] == 202
            status, found = await _ask(server, "GET", "/embedded/services/Thing/state/k", admin=True)
            assert status == 200
            shown = found["state"]["a"]
            if isinstance(shown, dict):
                assert base64.b64decode(shown["$base64"]) == value
            else:
                assert shown == json.loads(value)
            again = json.dumps(found["state"]).encode()
            assert (await _ask(server, "PATCH", "/embedded/services/Thing/state/k", again, admin=True)) == (200, found)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("target", "body", "message"),
    [
        ("/Odd/count", b"nope", "Invalid JSON"),
        ("/Odd/count", b"1 2", "Invalid JSON"),
        ("/Odd/count", b"", None),
        ("/Odd/count", b"\xff", "Invalid JSON"),
        ("/Odd/count", b"[" * 3_000, "Invalid JSON"),
        ("/Odd/count", b'"x"', "valid integer"),
        ("/Odd/count", b"1", None),
        ("/Flow/k/run", b"{", "Invalid JSON"),
        ("/Flow/k/run", b"1", "valid string"),
        ("/Flow/k/run", b'"1"', None),
    ],
)
def test_a_send_is_refused_where_a_call_fails(target: str, body: bytes, message: str | None) -> None:
    async def run() -> None:
        async with served() as server:
            for path in (f"{target}/send", f"/restate/send{target}", f"{target}/send?delay=1h"):
                status, answer = await _ask(server, "POST", path, body)
                assert status == (202 if message is None else 400)
                assert message is None or message in answer["message"]
            listed = await _ask(server, "GET", "/embedded/invocations", admin=True)
            assert bool(listed[1]["invocations"]) == (message is None)
            if message is not None:
                assert (await _ask(server, "POST", target, body))[0] == 400

    asyncio.run(run())


@pytest.mark.parametrize(
    "query",
    ["delay=", "delay", "delay=1s&delay=2s", "%64elay=", "delay=1e3s", f"delay={TOO_LONG}s", "delay=P1Y", "delay=%FF"],
)
def test_a_delay_that_is_none(query: str) -> None:
    async def run() -> None:
        async with served() as server:
            status, answer = await _ask(server, "POST", f"/Odd/count/send?{query}", b"1")
            assert status == 400
            assert len(answer["message"]) < 300

    asyncio.run(run())


@given(st.from_regex(DURATION_PATTERN.removesuffix("$") + r"\Z"))
def test_what_the_document_allows_is_a_delay(text: str) -> None:
    assert 0 <= parse_duration_ms(text) <= DELAY_MS_MAX


def test_the_document_allows_the_usual_delays_and_no_empty_one() -> None:
    for text in ("10s", "500ms", "1 min", "1h 30m", "PT10S", "P1DT2H", "0.5s", "1 day, 2 hours"):
        assert re.search(DURATION_PATTERN, text), text
    for text in ("", " ", "10", "P", "PT", "P1Y", "s"):
        assert not re.search(DURATION_PATTERN, text), text


def test_floats_that_are_no_numbers_leave_as_text() -> None:
    async def run() -> None:
        async with served() as server:
            assert await _ask(server, "POST", "/Odd/numbers") == (200, ["NaN", "Infinity", "-Infinity", 1.5])
            assert await _ask(server, "POST", "/Odd/echo", b'"NaN, \\"Infinity"') == (200, 'NaN, "Infinity')

    asyncio.run(run())


@given(
    st.recursive(
        st.none() | st.text() | st.floats() | st.integers(),
        lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    )
)
def test_constants_leave_and_nothing_else_changes(value: object) -> None:
    text = json.dumps(value).encode()
    strings = {"NaN": "NaN", "Infinity": "Infinity", "-Infinity": "-Infinity"}
    found = json.loads(without_constants(text), parse_constant=lambda name: pytest.fail(name))
    assert found == json.loads(text, parse_constant=strings.__getitem__)


@given(
    st.recursive(
        st.text(st.characters()) | st.integers() | st.floats(),
        lambda each: st.lists(each) | st.dictionaries(st.text(st.characters()), each),
    )
)
def test_anything_is_written_as_json(value: object) -> None:
    read_json(write_json(value))


def test_a_failure_with_any_code_is_a_whole_answer() -> None:
    async def run() -> None:
        async with served() as server:
            for code in (*range(200, 600, 11), 204, 205, 304, 418, 599, 600, 999, 1000, 65_535):
                body = b"%d" % code
                request = b"POST /Odd/fail HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                request += b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(body), body)
                status, headers, answer = await asked(server.ingress_port, request)
                assert status == (code if code <= 999 else 500)
                if answer:
                    check(request, status, headers, answer)

    asyncio.run(run())
