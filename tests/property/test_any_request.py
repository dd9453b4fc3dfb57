"""No request whatever is a 500 or breaks the server: requests by seeded dice over a raw socket, to both ports.

Every answer is whole, and JSON where it says so. Not varied here: framing and pace of bodies, HTTP/2, handlers that
wait.
"""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from tests.support.http.odd_services import asked, check, served

REQUESTS_COUNT = 400
AT_A_TIME = 8

DEEP = b"[" * 500 + b"]" * 500
VERBS = [b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"HEAD", b"OPTIONS", b"TRACE", b"PROPFIND", b"get", b"M-SEARCH"]
WORDS = [
    *(b"Odd Thing Flow echo count raw numbers fail put see run send restate call invocation workflow attach".split()),
    *(b"output awakeables a resolve reject health invocations services embedded deployments version query".split()),
    *(b"subscriptions state handlers openapi cancel kill pause resume restart-as-new purge dp_embedded".split()),
    *(b"k %00 %2F %FF %C3%A4 %ED%A0%80 %0A%1B[2J %zz % %2 . .. ~ * : @ \xc2\xa0 inv_ inv_1 prom_1".split()),
    b"",
    b"a" * 3000,
    b"%61" * 900,
]
ROUTES = [
    *(b"/Odd/echo /Odd/count /Odd/raw /Odd/numbers /Odd/fail /Thing/k/put /Thing/k/see /Flow/k/run".split()),
    *(b"/Odd/echo/send /Thing/k/put/send /Flow/k/run/send /restate/call/Odd/count /restate/send/Odd/count".split()),
    *(b"/restate/workflow/Flow/k/output /restate/invocation/Odd/echo/i/output /restate/a/prom_1/resolve".split()),
    *(b"/restate/awakeables/prom_1/reject /restate/health /health /version /query /subscriptions".split()),
    *(b"/embedded/invocations /embedded/invocations/resolve /embedded/invocations/inv_1 /invocations/inv_1".split()),
    *(b"/embedded/services/Thing/state/k /services/Thing/state /services /services/Odd /services/Odd/openapi".split()),
    *(b"/services/Odd/handlers /services/Odd/handlers/echo /deployments /deployments/dp_embedded".split()),
    *(b"* http://127.0.0.1 http://127.0.0.1/Odd/count //Odd/count /Odd//count /Odd/count/ /%2e%2e/x".split()),
]
NAMES = b"delay limit after status key service handler idempotency_key mode name %FF x".split()
VALUES = [
    *(b"1 0 -1 10s PT 1e9s 0.0000001ns running cancel kill k inv_1 Odd Flow Thing + %20 %00 %FF %ED%A0%80".split()),
    *(b"99999999999999999999999999999999s 1y P1Y \xc2\xb5s %D9%A1s NaN true null [] {}".split()),
    b"",
    b"9" * 5000,
    b"1s," * 300,
    b"1" * 3000 + b"s",
    b"P" + b"1" * 3000 + b"D",
]
BODIES = [
    *(b"1 -1 1.5 1e400 NaN Infinity true null {} [] nope {'a':1} { [1, {\"a\":} \xff\xfe \x00 1,2 01".split()),
    *(b'"x" "\\ud800" "\\ud800\\udc00" "\\u0000" {"a":1,"a":2} {"\\ud800":1} {"a":"\\ud800"} {"":1}'.split(b" ")),
    b"",
    b" ",
    DEEP,
    b'{"a":' * 500 + b"1" + b"}" * 500,
    b"[" * 3_000,
    b"9" * 5000,
    b'{"n":' + b"9" * 5000 + b"}",
    b'{"a":{"$base64":"?"}}',
    b'{"a":{"$base64":"MQ=="}}',
    b'{"a":{"$base64":1}}',
    '{"ü":"\u2028\x7f\x9b"}'.encode(),
    b'{"query":"SELECT 1"}',
    b'{"object_key":"k","new_state":{"a":[49]}}',
    b'{"object_key":"\\ud800","new_state":{}}',
    b'{"object_key":"k","new_state":{"\\ud800":[1]}}',
    b'{"object_key":"k\\u0000","new_state":{"a\\u0000":[1]}}',
    b'{"object_key":"k","new_state":{"a":[256]}}',
    b'{"object_key":"k","new_state":{"a":[' + b"9" * 400 + b"]}}",
    b'{"object_key":"k","new_state":{"a":[1.5,true,null,"x"]}}',
    b'{"object_key":1,"new_state":[]}',
    b'{"object_key":"k","new_state":{"value":' + json.dumps(list(DEEP)).encode() + b"}}",
    b'{"object_key":"k","new_state":{"value":' + json.dumps(list(b"NaN")).encode() + b"}}",
    b'{"object_key":"k","new_state":{"value":' + json.dumps(list(b"1e400")).encode() + b"}}",
    b'{"object_key":"k","new_state":{"value":' + json.dumps(list(b'"\\ud800"')).encode() + b"}}",
    b'{"object_key":"k","new_state":{"value":' + json.dumps(list(b"9" * 5000)).encode() + b"}}",
]
TYPES = [
    b"application/json",
    b"application/json",
    b"application/json; charset=utf-16",
    b"text/plain",
    b"application/octet-stream",
    b"*/*",
    b";",
    b"\xff",
    b"a" * 2000,
]
HEADERS = [
    b"idempotency-key: i",
    b"idempotency-key: \xff\xe9\xf0\x9f\x98\x80",
    b"idempotency-key: " + b"k" * 3000,
    b"idempotency-key:",
    b"x-odd: \xff\xfe",
    b"x-odd: " + b"v" * 3000,
    b"authorization: Basic \xff",
    b"accept: text/html;q=\xff",
    b"expect: 100-continue",
    b"host: 127.0.0.1",
    b"origin: \xff",
    b"origin: null",
    b"sec-fetch-site: \xff",
    b"referer: \xff",
    b"user-agent: Mozilla/5.0 \xff",
    b"upgrade: websocket\r\nconnection: upgrade",
    b"upgrade: h2c",
    b"te: trailers",
    b"range: bytes=0-",
    b"cookie: \xff=\xff",
]


def target_by(dice: random.Random) -> bytes:
    """Give a path that is a route, almost one, or none, and a query."""
    path = dice.choice(ROUTES)
    if dice.random() < 0.5:
        segments = path.split(b"/")
        for _ in range(dice.randint(1, 2)):
            place = dice.randrange(len(segments))
            segments[place : place + dice.randint(0, 1)] = [dice.choice(WORDS)]
        path = b"/".join(segments)
    if dice.random() < 0.1:
        path = b"/" + b"/".join(dice.choices(WORDS, k=dice.randint(0, 5)))
    if dice.random() < 0.5:
        query = [dice.choice(NAMES) + b"=" + dice.choice(VALUES) for _ in range(dice.randint(1, 3))]
        path += b"?" + dice.choice([b"&", b"&", b";", b"&&"]).join(query)
    return path


def request_by(dice: random.Random) -> bytes:
    """Give a whole request."""
    body = dice.choice(BODIES)
    lines = [dice.choice(VERBS[:5] if dice.random() < 0.8 else VERBS) + b" " + target_by(dice) + b" HTTP/1.1"]
    lines += [b"host: localhost", b"connection: close", b"content-length: %d" % len(body)]
    if dice.random() < 0.8:
        lines.append(b"content-type: " + dice.choice(TYPES))
    if dice.random() < 0.3:
        lines += dice.choices(HEADERS, k=dice.randint(1, 2))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@pytest.mark.parametrize("seed", range(4))
def test_any_request_gets_an_answer_that_was_meant(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> set[int]:
        dice = random.Random(seed)
        statuses: set[int] = set()
        slots = asyncio.Semaphore(AT_A_TIME)

        async def one(port: int, request: bytes) -> None:
            async with slots:
                status, headers, body = await asked(port, request)
            check(request, status, headers, body)
            statuses.add(status)

        async with served() as server, asyncio.TaskGroup() as group:
            for _ in range(REQUESTS_COUNT):
                group.create_task(one(dice.choice((server.ingress_port, server.admin_port)), request_by(dice)))
        return statuses

    statuses = asyncio.run(run())
    assert {200, 400, 404, 405} <= statuses
    assert [record for record in caplog.records if record.name.startswith("restate_patterns.http")] == []
