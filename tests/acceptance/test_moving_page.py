"""The transcripts of the page on moving, typed on a real Restate server."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path

import pytest

from examples.sagas.tickets import app
from examples.sagas.tickets.cart import Cart
from restate_patterns import Embedded
from tests.support.pages import ROOT, Page
from tests.support.processes.dev_server import COMMAND, clean_environment
from tests.support.restate.restate_server import own_server
from tests.support.restate.service_process import services_of
from tests.support.transcripts import commands

pytestmark = [pytest.mark.slow, pytest.mark.restate]

PAGE = Page(ROOT / "docs" / "guide" / "moving.md")


async def shop(file: Path) -> None:
    """Put two seats into a cart."""
    async with app.start(Embedded(file)) as client:
        for seat in ("seat2B", "seat2C"):
            assert await client.object_client(Cart, "Mary").add_ticket(seat)


def test_the_transcripts(tmp_path: Path) -> None:
    """Each command that the page types says what the page says."""
    asyncio.run(shop(tmp_path / "tickets.db"))
    with own_server() as server, services_of("examples.sagas.tickets:app", server, tmp_path):
        environment = {
            **clean_environment(),
            "RESTATE_INGRESS_URL": server.ingress_url,
            "RESTATE_ADMIN_URL": server.admin_url,
        }
        typed_count = 0
        for block in PAGE.blocks():
            if block.title != "Terminal":
                continue
            for command in commands(block):
                typed = command.typed.replace("http://127.0.0.1:9070", server.admin_url).split()
                assert typed[0] == "restate-patterns"
                done = subprocess.run(
                    [*COMMAND, *typed[1:]], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
                )
                said = (done.stdout or done.stderr).replace(server.admin_url, "http://127.0.0.1:9070").strip()
                said = re.sub(r"due in 1[0-4]m", "due in 14m", said)  # a busy machine gets here minutes later
                pattern = ".*".join(re.escape(part) for part in command.expected.strip().split("..."))
                assert re.fullmatch(pattern, said, re.DOTALL), f"{PAGE.name}:{command.line}\n{done.stdout}{done.stderr}"
                typed_count += 1
        assert typed_count >= 6
