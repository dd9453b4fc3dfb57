"""Which authorities connections trust, and that they are read once."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from restate_patterns.admin import AdminClient
from restate_patterns.client import Client
from restate_patterns.system.tls import trusted_for


def test_nobody_is_trusted_where_nothing_is_encrypted() -> None:
    assert trusted_for("http://127.0.0.1:8080", "http://127.0.0.1:9070").get_ca_certs() == []


@pytest.mark.parametrize("urls", [("https://restate.example",), ("http://127.0.0.1:8080", "https://restate.example")])
def test_the_authorities_of_the_machine_are_trusted_for_https(urls: tuple[str, ...]) -> None:
    assert len(trusted_for(*urls).get_ca_certs()) > 0
    assert trusted_for(*urls) is trusted_for("https://another.example")


def test_clients_read_no_authorities_for_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("the authorities were read")

    async def main() -> None:
        async with Client("http://127.0.0.1:8080"), AdminClient("http://127.0.0.1:9070"):
            pass

    monkeypatch.setattr(httpx, "create_ssl_context", read)
    monkeypatch.setattr("ssl.create_default_context", read)
    asyncio.run(main())
