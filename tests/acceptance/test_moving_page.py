"""The transcripts of the page on moving, typed on a real Restate server."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.sagas.tickets import CartObject, app
from restate_patterns import Embedded
from tests.support.pages import ROOT, Page

pytestmark = [pytest.mark.slow, pytest.mark.restate]

PAGE = Page(ROOT / "docs" / "guide" / "moving.md")


async def shop(file: Path) -> None:
    """Put two seats into a cart."""
    async with app.start(Embedded(file)) as client:
        for seat in ("seat2B", "seat2C"):
            assert await client.object_client(CartObject, "Mary").addTicket(seat)
