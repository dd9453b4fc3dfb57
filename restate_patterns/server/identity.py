"""The public key of a server that signs its requests, as services are told it.

Only that: the server itself signs. The arithmetic is that of RFC 8032, section 5.1, without secrets of anybody else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path
from typing import Final

_PREFIX: Final = "publickeyv1_"
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_PKCS8_ED25519: Final = bytes.fromhex("302e020100300506032b657004220420")
_SEED_BYTES: Final = 32

_P: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, _P - 2, _P) % _P
_BASE_Y: Final = 4 * pow(5, _P - 2, _P) % _P
_BASE_X: Final = 15112221349535400772501151409588531511454012693041857206046113283949847762202
_Point = tuple[int, int]


def public_key(file: Path) -> str:
    """Return the public key (`publickeyv1_...`) that belongs to a private one.

    Args:
        file: The private key: PEM, Ed25519, as `openssl genpkey -algorithm ed25519` writes it.

    Raises:
        ValueError: It cannot be read, or is another kind of key.
    """
    try:
        lines = file.read_text(encoding="ascii").splitlines()
        written = base64.b64decode("".join(line for line in lines if not line.startswith("-----")), validate=True)
    except (OSError, UnicodeDecodeError, binascii.Error) as error:
        raise ValueError(f"the private key {file} cannot be read ({error}): {_FIX}") from None
    seed = written.removeprefix(_PKCS8_ED25519)
    if len(seed) != _SEED_BYTES or seed == written:
        raise ValueError(f"{file} is no private key of Ed25519 in PEM: {_FIX}")
    return _PREFIX + _base58(_public_bytes(seed))


_FIX: Final = "make one with `openssl genpkey -algorithm ed25519 -out FILE`"


def _public_bytes(seed: bytes) -> bytes:
    digest = bytearray(hashlib.sha512(seed).digest()[:_SEED_BYTES])
    digest[0] &= 248
    digest[31] = digest[31] & 63 | 64
    x, y = _times(int.from_bytes(digest, "little"), (_BASE_X, _BASE_Y))
    return (y | (x & 1) << 255).to_bytes(_SEED_BYTES, "little")


def _times(count: int, point: _Point) -> _Point:
    total: _Point = (0, 1)
    while count:
        if count & 1:
            total = _plus(total, point)
        point = _plus(point, point)
        count >>= 1
    return total


def _plus(one: _Point, other: _Point) -> _Point:
    (x1, y1), (x2, y2) = one, other
    both = _D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + both, _P - 2, _P)
    y = (y1 * y2 + x1 * x2) * pow(1 - both, _P - 2, _P)
    return x % _P, y % _P


def _base58(data: bytes) -> str:
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, len(_BASE58))
        text = _BASE58[digit] + text
    return _BASE58[0] * (len(data) - len(data.lstrip(b"\0"))) + text
