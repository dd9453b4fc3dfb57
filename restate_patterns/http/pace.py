"""Whether bytes that are waited for come too slowly: in a silence, or by their average."""

from __future__ import annotations

from typing import Final

from restate_patterns.limits import BODY_IDLE_S, BODY_RATE_BYTES_S_MIN

LOOK_S: Final = 1.0
"""How often a pace is looked at; a look that comes late counts no more, for a loop that was held up is not the sender's
fault."""

TOO_SLOW: Final = (
    f"the body comes too slowly, so nothing was accepted: send a byte at least every {BODY_IDLE_S:g} s (limit "
    f"BODY_IDLE_S), and {BODY_RATE_BYTES_S_MIN} bytes a second on the average (limit BODY_RATE_BYTES_S_MIN)"
)


class Pace:
    """How quickly one body comes; it knows no clock."""

    __slots__ = ("_idle_s", "_open_s", "_seen_bytes")

    def __init__(self) -> None:
        self._idle_s = 0.0
        self._open_s = 0.0
        self._seen_bytes = 0

    def is_too_slow(self, size_bytes: int, passed_s: float) -> bool:
        """Tell whether to wait no longer.

        Args:
            size_bytes: What has come until now.
            passed_s: Time since this was asked last, in seconds.
        """
        self._open_s += passed_s
        self._idle_s = 0.0 if size_bytes > self._seen_bytes else self._idle_s + passed_s
        self._seen_bytes = size_bytes
        return self._idle_s >= BODY_IDLE_S or self._open_s >= BODY_IDLE_S + size_bytes / BODY_RATE_BYTES_S_MIN
