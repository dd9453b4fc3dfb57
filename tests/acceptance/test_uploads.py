"""Uploads at the edges: slow ones, large ones at once, an end at every byte, bad framing, and the request after."""

from __future__ import annotations

import asyncio

import pytest

from restate_patterns.http import pace
from restate_patterns.limits import BODY_BYTES_MAX
from tests.support.http.doors import Door, open_doors, still_nothing
from tests.support.http.raw_http import Answer, Cut, Framing, Upload, cuts_of, exchange, plain, wire_of

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

FRAMINGS = list(Framing)
DOORS = [0, 1, 2]
ENDS = [(framing, cut) for framing in FRAMINGS for cut in cuts_of(framing)]
BODY = bytes(range(256))


async def test_slow_uploads_arrive_whole(anyio_backend: str) -> None:
    """Half a megabyte at 100 to 400 kB a second, and ten pieces of four bytes 0.45 s apart, through every door."""
    large, small = bytes(500_000), BODY[:40]
    ways = [(large, (25_000,), (pause_s,) * 20) for pause_s in (0.25, 0.125, 0.0625)] + [(small, (4,), (0.45,) * 10)]

    async def go(door: Door, framing: Framing, way: tuple[bytes, tuple[int, ...], tuple[float, ...]]) -> None:
        body, pieces, pauses = way
        key = door.new_key()
        upload = door.upload(key, body, framing)._replace(pieces_bytes=pieces, pauses_s=pauses)
        answer = await exchange(door.port, upload)
        assert door.is_taken(answer, body), (framing, answer)
        assert await door.came_through(key) == [body]

    async with open_doors() as doors:
        await asyncio.gather(*(go(door, framing, way) for door in doors.all for framing in FRAMINGS for way in ways))


async def test_many_large_bodies_at_once(anyio_backend: str) -> None:
    async def go(door: Door, number: int) -> None:
        body = BODY * ((9 << 20) // 256) + bytes([number]) * (number % 2 << 20)
        key = door.new_key()
        assert door.is_taken(await exchange(door.port, door.upload(key, body, FRAMINGS[number // 2 % 4])), body)
        assert await door.came_through(key) == [body]

    async with open_doors() as doors:
        await asyncio.gather(*(go(doors.ingress, number) for number in range(24)))


async def test_the_largest_body_and_one_byte_more(anyio_backend: str) -> None:
    async with open_doors() as doors:
        for framing in FRAMINGS:
            for size, status in ((BODY_BYTES_MAX, 200), (BODY_BYTES_MAX + 1, 413)):
                key = doors.ingress.new_key()
                answer = await exchange(doors.ingress.port, doors.ingress.upload(key, bytes(size), framing))
                assert answer is not None
                assert answer.status == status, framing
                assert len(await doors.ingress.came_through(key)) == (status == 200)


@pytest.mark.parametrize(("framing", "cut"), ENDS)
async def test_an_end_at_every_byte_accepts_nothing(framing: Framing, cut: Cut, anyio_backend: str) -> None:
    async def go(door: Door, cut_at: float) -> None:
        key = door.new_key()
        upload = door.upload(key, b"0123456789", framing)._replace(cut_at=cut_at, cut=cut, pieces_bytes=(3,))
        answer = await exchange(door.port, upload)
        assert answer is None or answer.status == 400, answer
        assert await still_nothing(door, key), (upload, cut_at)

    async with open_doors() as doors:
        for door in (doors.ingress, doors.admin) if cut is Cut.CLOSE else (doors.ingress,):
            upload = door.upload("key", b"0123456789", framing)
            length = len(upload.body if framing.is_http2 else wire_of(upload._replace(pieces_bytes=(3,))))
            ends = [(byte + 0.5) / length for byte in range(length)]
            for start in range(0, length, 50):
                await asyncio.gather(*(go(door, end) for end in ends[start : start + 50]))


BAD_LENGTHS = ["+3", "-3", "3_0", "0x3", "3,4", "", "3 3", "9" * 30, "9" * 5000, "18446744073709551616", "\u0663"]
BAD_HEADS = [
    *(f"content-length: {length}" for length in BAD_LENGTHS),
    "content-length: 3\r\ncontent-length: 4",
    "transfer-encoding: identity\r\ncontent-length: 3",
    "transfer-encoding: chunked, identity",
    "transfer-encoding: gzip, chunked",
]


@pytest.mark.parametrize("number", DOORS)
async def test_bad_framing_is_refused(number: int, anyio_backend: str) -> None:
    async with open_doors() as doors:
        door = doors.all[number]
        for head in BAD_HEADS:
            key = door.new_key()
            upload = door.upload(key, b"abc", Framing.LENGTH)
            good = f"content-length: {len(upload.body)}"
            wire = wire_of(upload).replace(good.encode(), head.encode())
            async with plain(door.port) as line:
                await line.write(wire)
                answer = await line.answer()
            assert answer is None or 400 <= answer.status < 600, (head, answer)
            assert await door.came_through(key) == [], head


async def test_a_length_beside_chunks_does_not_count(anyio_backend: str) -> None:
    async with open_doors() as doors:
        for before in (True, False):
            key = doors.ingress.new_key()
            wire = wire_of(doors.ingress.upload(key, b"abcdef", Framing.CHUNKED))
            chunked = b"transfer-encoding: chunked\r\n"
            both = (b"content-length: 3\r\n" + chunked) if before else (chunked + b"content-length: 3\r\n")
            async with plain(doors.ingress.port) as line:
                await line.write(wire.replace(chunked, both))
                assert await line.answer() == Answer(200, b"6")
            assert await doors.ingress.came_through(key) == [b"abcdef"]


async def test_requests_in_one_write_are_answered_in_order(anyio_backend: str) -> None:
    async with open_doors() as doors:
        keys = [doors.ingress.new_key() for _ in range(20)]
        framings = [Framing.LENGTH, Framing.CHUNKED]
        bodies = [BODY * number for number in range(20)]
        wires = [
            wire_of(doors.ingress.upload(key, body, framings[number % 2]))
            for number, (key, body) in enumerate(zip(keys, bodies, strict=True))
        ]
        async with plain(doors.ingress.port) as line:
            await line.write(b"".join(wires))
            for key, body in zip(keys, bodies, strict=True):
                assert await line.answer() == Answer(200, str(len(body)).encode())
                assert await doors.ingress.came_through(key) == [body]


REFUSED = [("POST", "/Sink/none/at/all", 400), ("POST", "/Nobody/take", 404), ("DELETE", "/Sink/key/take", 405)]


@pytest.mark.parametrize("size", [3, 500_000, 5_000_000])
@pytest.mark.parametrize("framing", [Framing.LENGTH, Framing.CHUNKED])
async def test_after_a_refusal_the_next_request_is_answered(framing: Framing, size: int, anyio_backend: str) -> None:
    """Where the body of the first was never read, the connection is good for the next, or closed."""
    async with open_doors() as doors:
        for method, path, status in REFUSED:
            key = doors.ingress.new_key()
            refused = Upload(path, BODY * (size // 256 + 1), framing, method, pauses_s=(0.1,))
            async with plain(doors.ingress.port) as line:
                sending = asyncio.ensure_future(line.send(refused))
                answer = await line.answer()
                assert answer is not None
                assert answer.status == status, answer
                await sending
                await line.send(doors.ingress.upload(key, b"next", Framing.LENGTH))
                assert await line.answer() == Answer(200, b"4")
            assert await doors.ingress.came_through(key) == [b"next"]


async def test_leave_to_send_is_given_or_refused(anyio_backend: str) -> None:
    async with open_doors() as doors:
        key = doors.ingress.new_key()
        announced = (("content-type", "application/octet-stream"), ("expect", "100-continue"))
        upload = doors.ingress.upload(key, b"abc", Framing.LENGTH)._replace(headers=announced)
        wire = wire_of(upload)
        async with plain(doors.ingress.port) as line:
            await line.write(wire[:-3])
            await asyncio.sleep(0.2)
            await line.write(wire[-3:])
            assert await line.answer() == Answer(200, b"3")
        async with plain(doors.ingress.port) as line:
            await line.write(wire_of(upload._replace(path="/Nobody/take"))[:-3])
            answer = await line.answer()
            assert answer is not None
            assert answer.status == 404


async def test_a_body_that_stalls_is_a_408(anyio_backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In silence, and by a trickle that is slower than the rate; nothing is accepted."""
    monkeypatch.setattr(pace, "BODY_IDLE_S", 2.0)

    async def go(door: Door, framing: Framing, pauses_s: tuple[float, ...]) -> None:
        key = door.new_key()
        upload = door.upload(key, BODY, framing)
        head = () if framing.is_http2 else (len(wire_of(upload)) - len(upload.body),)
        pieces = (*head, *(len(upload.body) // 8,) * 9)
        answer = await exchange(door.port, upload._replace(pieces_bytes=pieces, pauses_s=pauses_s))
        assert answer is not None, (framing, pauses_s)
        assert (answer.status, b"BODY_IDLE_S" in answer.body) == (408, True), answer
        assert await still_nothing(door, key)

    async with open_doors() as doors:
        silence: tuple[float, ...] = (0.01, 5.0)
        trickle = (0.9,) * 7
        ways: list[tuple[Door, Framing, tuple[float, ...]]] = [
            (door, framing, silence) for door in doors.all for framing in FRAMINGS
        ]
        ways += [(door, framing, trickle) for door in (doors.ingress, doors.admin) for framing in FRAMINGS]
        await asyncio.gather(*(go(*way) for way in ways))
