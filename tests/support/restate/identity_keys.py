"""Two identities of Restate servers: private keys as files, and the public keys that belong to them."""

from __future__ import annotations

import base64
from pathlib import Path

PUBLIC_KEYS = (
    "publickeyv1_AKnL4NNf3DGWZJS6cPknBuEGnVsV4A4m5tgebLHaRSZ9",
    "publickeyv1_9hSR6S7WPtxmTojgo6GG3k4yDPecgJY292j7xrsUGWBu",
)

_PKCS8_ED25519 = bytes.fromhex("302e020100300506032b657004220420")
_SEEDS = (bytes([1]) * 32, bytes([2]) * 32)
_LABEL = "PRIVATE KEY"


def private_key(number: int, folder: Path) -> Path:
    """Write the private key of an identity, as `request_identity_key` takes it."""
    file = folder / f"key-{number}.pem"
    body = base64.b64encode(_PKCS8_ED25519 + _SEEDS[number]).decode()
    file.write_text(f"-----BEGIN {_LABEL}-----\n{body}\n-----END {_LABEL}-----\n")
    return file
