"""Finds invocations that can never go on because all they wait for waits for them.

Pure: the wait graph is given as a function. An invocation is dead only if *all* it waits for is dead;
timers, steps, promises and awakeables never are, so an invocation that waits for one of those is alive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from restate_patterns.limits import DEADLOCK_NODES_MAX

WaitsOf = Callable[[int], "Sequence[int] | None"]


def find_cycle(start: int, waits_of: WaitsOf) -> list[int] | None:
    """Give a cycle of dead invocations that `start` leads to, `start` itself being dead; else None.

    Args:
        start: The invocation that has just gone idle.
        waits_of: Gives the invocations that one waits for, or None when it is alive whatever they do.
    """
    edges = _reachable(start, waits_of)
    if edges is None or start in _alive(edges):
        return None
    path: list[int] = []
    node = start
    while node not in path:
        path.append(node)
        targets = edges[node]
        assert targets, "a dead invocation waits for something"
        node = targets[-1]
    return path[path.index(node) :]


def _reachable(start: int, waits_of: WaitsOf) -> dict[int, Sequence[int] | None] | None:
    """Give the edges of all that `start` leads to; None when it is alive at a glance or the graph too large."""
    first = waits_of(start)
    if not first:
        return None
    edges: dict[int, Sequence[int] | None] = {start: first}
    to_visit = list(first)
    while to_visit:
        node = to_visit.pop()
        if node in edges:
            continue
        targets = edges[node] = waits_of(node)
        if not targets and node in first:
            return None
        if len(edges) > DEADLOCK_NODES_MAX:
            return None
        to_visit.extend(targets or ())
    return edges


def _alive(edges: Mapping[int, Sequence[int] | None]) -> set[int]:
    """Give the nodes from which one that is alive can be reached."""
    waited_by: dict[int, list[int]] = {}
    for node, targets in edges.items():
        for target in targets or ():
            waited_by.setdefault(target, []).append(node)
    alive: set[int] = set()
    to_visit = [node for node, targets in edges.items() if not targets]
    while to_visit:
        node = to_visit.pop()
        if node not in alive:
            alive.add(node)
            to_visit.extend(waited_by.get(node, ()))
    return alive
