"""Durable time while an engine runs: the later of the wall clock and of what the monotonic clock counted.

The wall clock alone goes back when it is set; the monotonic one alone stands still while the machine sleeps.
"""

from __future__ import annotations

from restate_patterns.limits import CLOCK_GAP_WARNING_MS, CLOCK_MOVED_MS
from restate_patterns.system.clock import Clock
from restate_patterns.text.log_lines import logger_named

_logger = logger_named("restate_patterns.embedded")


class LiveTime:
    """Tells Unix milliseconds that never go back, not even over a restart.

    Args:
        clock: Both clocks.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall_ms = clock.wall_ms
        self._time_ms = 0
        self._anchor_ms = 0.0
        """What the monotonic clock's count is added to: time goes on from there while the wall clock is behind."""
        self._behind = False

    def start(self, last_durable_ms: int) -> None:
        """Anchor time to the later of the file's and the wall clock."""
        wall_ms = self._clock.wall_ms()
        gap_ms = last_durable_ms - wall_ms
        if gap_ms > CLOCK_GAP_WARNING_MS:
            _logger.warning(
                "the wall clock is %.1f s behind the file; time goes on from the file's. Check the machine's clock",
                gap_ms / 1000,
            )
        self._time_ms = max(last_durable_ms, wall_ms)
        self._anchor_ms = self._time_ms - self._clock.monotonic_ms()
        self._behind = gap_ms > 0

    def now_ms(self) -> int:
        """Give the time. It reads one clock unless the wall clock is behind."""
        wall_ms = self._wall_ms()
        if wall_ms >= self._time_ms and not self._behind:
            self._time_ms = wall_ms
            return wall_ms
        self.compare()
        return self._time_ms

    def compare(self) -> None:
        """Take the later of both clocks, and say so when they have moved apart."""
        wall_ms = self._clock.wall_ms()  # read first: a delay between the two must not count as time
        monotonic_ms = self._clock.monotonic_ms()
        counted_ms = self._anchor_ms + monotonic_ms
        gap_ms = wall_ms - counted_ms
        if gap_ms > CLOCK_GAP_WARNING_MS and not self._behind:
            _logger.warning(
                "time went on by %.1f s at once (the machine slept, or its clock was set): what was due meanwhile is "
                "done now",
                gap_ms / 1000,
            )
        elif -gap_ms > CLOCK_GAP_WARNING_MS and not self._behind:
            _logger.warning(
                "the wall clock went back by %.1f s; time goes on without it until it has caught up. "
                "Check the machine's clock",
                -gap_ms / 1000,
            )
        self._behind = -gap_ms > CLOCK_MOVED_MS
        self._anchor_ms = max(self._anchor_ms, wall_ms - monotonic_ms)
        self._time_ms = max(self._time_ms, wall_ms, int(counted_ms))
