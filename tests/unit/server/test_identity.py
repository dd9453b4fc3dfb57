"""The public key of a server is the one that services check its requests with."""

from __future__ import annotations

from pathlib import Path

import pytest

from restate_patterns.server import public_key
from tests.support.restate.identity_keys import PUBLIC_KEYS, private_key


@pytest.mark.parametrize("number", [0, 1])
def test_public_keys(number: int, tmp_path: Path) -> None:
    """As a server says of the same private keys."""
    assert public_key(private_key(number, tmp_path)) == PUBLIC_KEYS[number]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "is no private key of Ed25519"),
        ("not a key", "cannot be read"),
        ("schl\u00fcssel", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_key(text: str | None, sentence: str, tmp_path: Path) -> None:
    """The sentence says how one is made."""
    file = tmp_path / "key.pem"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ValueError, match=f"{sentence}.*openssl genpkey"):
        public_key(file)
