"""Ids that leave the process: made, checked and read here only.

An id carries the number of its invocation, the boot epoch in which it was made, and a code keyed with
a secret of the file. The epoch keeps an id from a lost tail of the log from naming somebody else's
invocation after a restart; the code keeps ids from being guessed.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
from typing import Final, NamedTuple

from restate_patterns.engine.errors import MalformedId
from restate_patterns.seam import OperationHandle

_INVOCATION_PREFIX: Final = "inv_1"
_AWAKEABLE_PREFIX: Final = "sign_1"
_INVOCATION = struct.Struct(">QI")
_AWAKEABLE = struct.Struct(">QII")
_CODE_BYTES: Final = 8


def new_secret() -> bytes:
    """Give a secret for a new file."""
    return secrets.token_bytes(32)


class InvocationIdentity(NamedTuple):
    """What an invocation id says."""

    num: int
    epoch: int


class AwakeableIdentity(NamedTuple):
    """What an awakeable id says."""

    num: int
    epoch: int
    handle: OperationHandle


class Ids:
    """Makes and reads ids with the secret of one file."""

    def __init__(self, secret: bytes) -> None:
        # Copied for each id: hashing the key again each time would double the cost.
        self._keyed = hashlib.blake2b(digest_size=_CODE_BYTES, key=secret)

    def invocation(self, num: int, epoch: int) -> str:
        """Give the id of an invocation."""
        return _INVOCATION_PREFIX + self._sealed(_INVOCATION.pack(num, epoch))

    def awakeable(self, num: int, epoch: int, handle: OperationHandle) -> str:
        """Give the id of an awakeable."""
        return _AWAKEABLE_PREFIX + self._sealed(_AWAKEABLE.pack(num, epoch, handle))

    def read_invocation(self, text: str) -> InvocationIdentity | None:
        """Read an invocation id; None when its code is wrong.

        Raises:
            MalformedId: It is no invocation id at all.
        """
        packed = self._opened(text, _INVOCATION_PREFIX, _INVOCATION.size, "invocation")
        return None if packed is None else InvocationIdentity(*_INVOCATION.unpack(packed))

    def read_awakeable(self, text: str) -> AwakeableIdentity | None:
        """Read an awakeable id; None when its code is wrong.

        Raises:
            MalformedId: It is no awakeable id at all.
        """
        packed = self._opened(text, _AWAKEABLE_PREFIX, _AWAKEABLE.size, "awakeable")
        return None if packed is None else AwakeableIdentity(*_AWAKEABLE.unpack(packed))

    def random_seed(self, num: int, epoch: int) -> int:
        """Give the seed of an invocation's random numbers: the same on each attempt."""
        return int.from_bytes(self._code(b"seed" + _INVOCATION.pack(num, epoch)), "big")

    def _sealed(self, packed: bytes) -> str:
        return (packed + self._code(packed)).hex()

    def _code(self, packed: bytes) -> bytes:
        code = self._keyed.copy()
        code.update(packed)
        return code.digest()

    def _opened(self, text: str, prefix: str, size: int, what: str) -> bytes | None:
        body = text.removeprefix(prefix)
        try:
            sealed = bytes.fromhex(body)
        except ValueError:
            raise MalformedId(text, what) from None
        if body == text or len(sealed) != size + _CODE_BYTES or body != sealed.hex():
            raise MalformedId(text, what)
        packed = sealed[:size]
        return packed if text == prefix + self._sealed(packed) else None
