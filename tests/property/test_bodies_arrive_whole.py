"""Uploads of every framing, size and pace through every door: the handler gets the whole body or is not called.

Varied at random, from a seed: door, framing, size, pieces (of the head too), pauses, where and how the client goes
away; always many at once. Longer: `DOOR_WAVES=100 DOOR_SEED=7`. Not varied: the network between (loopback only).
"""

from __future__ import annotations

import asyncio
import os
from random import Random

import pytest

from restate_patterns.limits import BODY_BYTES_MAX
from tests.support.http.doors import Door, open_doors, still_nothing
from tests.support.http.raw_http import Framing, Upload, cuts_of, exchange

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

WAVES = int(os.environ.get("DOOR_WAVES", "3"))
SEED = int(os.environ.get("DOOR_SEED", "1"))
AT_ONCE = 40
PIECES_MAX = 400
JSON_ROOM_BYTES = 64


def drawn(dice: Random, upload: Upload) -> Upload:
    """Draw how a body is sent."""
    pieces = [dice.choice([1, 7, 100, 5_000, 70_000]) for _ in range(dice.randint(1, 4))]
    smallest = len(upload.body) // PIECES_MAX + 1
    pauses = [dice.uniform(0, 1.2) for _ in range(dice.choice([0, 0, 2, 4]))]
    cut_at = dice.choice([None, None, dice.random(), 0.0, 0.999])
    if not upload.body and upload.framing is Framing.STREAM_LENGTH:
        cut_at = None  # its head says that it is whole
    return upload._replace(
        pieces_bytes=tuple(max(piece, smallest) for piece in pieces),
        pauses_s=tuple(pauses),
        cut_at=cut_at,
        cut=dice.choice(cuts_of(upload.framing)),
    )


def a_size(dice: Random) -> int:
    """Draw a size, up to the largest that a door takes: the admin's bodies grow by a third in base64."""
    most = (BODY_BYTES_MAX - JSON_ROOM_BYTES) * 3 // 4
    return dice.choice([0, 1, dice.randint(2, 100), dice.randint(100, 300_000), dice.randint(0, most)])


async def go_through(door: Door, dice: Random) -> None:
    """Send one upload, and check what came of it."""
    body, key = dice.randbytes(a_size(dice)), door.new_key()
    upload = drawn(dice, door.upload(key, body, dice.choice(list(Framing))))
    how = f"{len(body)} bytes, {upload._replace(body=b'')}"
    answer = await exchange(door.port, upload)
    if upload.cut_at is None:
        assert door.is_taken(answer, body), (how, answer)
        assert await door.came_through(key) == [body], how
    elif await still_nothing(door, key):
        assert not door.is_taken(answer, body), (how, answer)
    else:
        assert door.tells_its_end, how
        assert await door.came_through(key) == [body], how


@pytest.mark.parametrize("wave", range(WAVES))
async def test_the_whole_body_or_no_call(wave: int, anyio_backend: str) -> None:
    dice = Random(f"{SEED} {wave}")
    async with open_doors() as doors:
        await asyncio.gather(*(go_through(dice.choice(doors.all), dice) for _ in range(AT_ONCE)))
