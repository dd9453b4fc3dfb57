"""The headers of what is carried."""

from __future__ import annotations

import pytest

from restate_patterns.admin.services import HandlerView
from restate_patterns.moving.checks import headers_of

JSON = HandlerView(name="h", kind=None, input_description="JSON string")
STORED = {"x-a": "1", "content-length": "9", "host": "h", "content-type": "text/plain", "authorization": "theirs"}


def test_headers_of_a_connection_stay_behind() -> None:
    assert headers_of(STORED, JSON, has_body=True, token=False) == {
        "x-a": "1",
        "content-type": "text/plain",
        "authorization": "theirs",
    }
    assert headers_of(STORED, JSON, has_body=False, token=True) == {"x-a": "1"}


@pytest.mark.parametrize(
    ("description", "found"),
    [
        ("JSON string", "application/json"),
        ("value of content-type 'application/x-thing+json'", "application/x-thing+json"),
        ("application/octet-stream", "application/octet-stream"),
        ("value of content-type '*/*'", "application/octet-stream"),
    ],
)
def test_a_body_without_a_type_gets_that_of_the_handler(description: str, found: str) -> None:
    handler = HandlerView(name="h", kind=None, input_description=description)
    assert headers_of({}, handler, has_body=True, token=False) == {"content-type": found}
