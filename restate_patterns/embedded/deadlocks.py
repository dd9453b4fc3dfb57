"""Finds invocations that can never go on because all they wait for waits for them.

Pure: the wait graph is given as a function. An invocation is dead only if *all* it waits for is dead;
timers, steps, promises, awakeables and signals never are, so an invocation that waits for one of those is alive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from restate_patterns.limits import DEADLOCK_NODES_MAX

WaitsOf = Callable[[int], "Sequence[int] | None"]


def find_cycle(start: int, waits_of: WaitsOf) -> list[int] | None:
    """Give a cycle of dead invocations that `start` leads to, `start` itself being dead; else None.

    An invocation is alive if it leads to one that is alive, so the first that is found ends the search.

    Args:
        start: The invocation that has just gone idle.
        waits_of: Gives the invocations that one waits for, or None when it is alive whatever they do.
    """
    edges: dict[int, Sequence[int]] = {}
    to_visit = [start]
    while to_visit:
        node = to_visit.pop()
        if node in edges:
            continue
        targets = waits_of(node)
        if not targets or len(edges) > DEADLOCK_NODES_MAX:
            return None
        edges[node] = targets
        to_visit.extend(targets)
    path: list[int] = []
    node = start
    while node not in path:
        path.append(node)
        node = edges[node][-1]
    return path[path.index(node) :]
