"""How the tests run side by side: how many at once, and in which order.

A file stays with one process, for what its tests share. Half of the time they wait, for processes of their own and for
clocks, so there is one more than there are processors. What takes longest begins first: it must not be alone at the
end.
"""

from __future__ import annotations

import os
from collections import defaultdict

import pytest

MORE_THAN_PROCESSORS = 1


def pytest_xdist_auto_num_workers() -> int:
    """Give the number of processes of `-n auto`."""
    return len(os.sched_getaffinity(0)) + MORE_THAN_PROCESSORS


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files whose tests may take longest first, then those with the most slow tests."""
    weights: defaultdict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
    for item in items:
        timeout = item.get_closest_marker("timeout")
        may_take_s = float(timeout.args[0] if timeout is not None else item.config.getini("timeout"))
        longest_s, slow_count = weights[_file_of(item)]
        is_slow = item.get_closest_marker("slow") is not None
        weights[_file_of(item)] = max(longest_s, may_take_s), slow_count + is_slow
    items.sort(key=lambda item: weights[_file_of(item)], reverse=True)


def _file_of(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]
