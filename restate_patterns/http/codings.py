"""Bodies that come compressed: gzip, and no more of it than a body may have."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

from restate_patterns.http.asgi import Scope
from restate_patterns.http.problems import Problem
from restate_patterns.limits import BODY_BYTES_MAX, GZIP_MEMBERS_MAX

_GZIP: Final = frozenset({"gzip", "x-gzip"})
_GZIP_WBITS: Final = 16 + zlib.MAX_WBITS


def codings_of(scope: Scope) -> Sequence[str]:
    """Give how a body was compressed, in the order in which that was done.

    Raises:
        Problem: 415, in a way that is not known here.
    """
    given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"content-encoding"]
    codings = [coding.strip().lower() for value in given for coding in value.split(",")]
    codings = [coding for coding in codings if coding not in ("", "identity")]
    if any(coding not in _GZIP for coding in codings) or len(codings) > 1:
        raise Problem(
            415,
            f"the content encoding '{', '.join(given)}' is not known here: send the body as it is, or with gzip alone",
            headers=((b"accept-encoding", b"gzip, identity"),),
        )
    return codings


def decoded(body: bytes, codings: Sequence[str]) -> bytes:
    """Give a body as it was before it was compressed.

    Raises:
        Problem: 400, it is not what its encoding says; 413, it would be larger than `BODY_BYTES_MAX`.
    """
    return _unzipped(body) if codings and body else body


def _unzipped(body: bytes) -> bytes:
    parts: list[bytes] = []
    left_bytes = BODY_BYTES_MAX
    for _ in range(GZIP_MEMBERS_MAX):  # one may follow another; each look copies the rest
        member = zlib.decompressobj(_GZIP_WBITS)
        try:
            parts.append(member.decompress(body, left_bytes + 1))
        except zlib.error as error:
            raise Problem(400, f"the body is not gzip, as its content encoding says: {error}") from None
        left_bytes -= len(parts[-1])
        if left_bytes < 0:
            raise Problem(413, f"the body unpacks to more than {BODY_BYTES_MAX} bytes (limit BODY_BYTES_MAX)")
        if not member.eof:
            raise Problem(400, "the gzip of the body is cut off, so nothing was accepted: send it again, whole")
        body = member.unused_data
        if not body:
            return b"".join(parts)
    raise Problem(400, f"the gzip of the body has more than {GZIP_MEMBERS_MAX} members: compress it as one")
