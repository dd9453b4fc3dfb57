"""Paths of handlers, and of other ports."""

from __future__ import annotations

import httpx
import pytest

from restate_patterns import BlockingClient, Client
from restate_patterns.client.urls import on_port, target_path
from restate_patterns.seam import Target


@pytest.mark.parametrize(
    ("key", "path"),
    [("a/b", "/O/a%2Fb/h"), ("ü", "/O/%C3%BC/h"), (".", "/O/%2E/h"), ("..", "/O/%2E%2E/h"), ("a.b", "/O/a.b/h")],
)
def test_keys_in_paths(key: str, path: str) -> None:
    """A key is one part of the path, whatever it looks like, also after the HTTP client has read it."""
    assert target_path(Target("O", "h", key)) == path
    assert httpx.URL(f"http://127.0.0.1{path}").raw_path == path.encode()


@pytest.mark.parametrize("make", [Client, BlockingClient])
def test_a_url_that_is_none_is_named_by_its_argument(make: type[Client] | type[BlockingClient]) -> None:
    with pytest.raises(ValueError, match=r"^ingress_url='shop' is no URL .* write it as http://127\.0\.0\.1:8080$"):
        make("shop")
    with pytest.raises(ValueError, match=r"^admin_url='shop:9070' is no URL .* write it as http://127\.0\.0\.1:9070$"):
        make("http://shop", admin_url="shop:9070")


def test_another_port() -> None:
    assert on_port("https://host:9070", 8080) == "https://host:8080"
