"""The garbage collector while an app serves, and after it."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from restate_patterns import App, Context, Service, handler
from restate_patterns.system import collector


class Idle(Service):
    """Does nothing."""

    @handler
    async def noop(self, ctx: Context) -> None:
        """Do nothing."""


class Node:
    """Something that can be part of a cycle."""

    def __init__(self) -> None:
        self.itself = self


def test_it_looks_less_often_while_serving_and_as_before_afterwards() -> None:
    """What was set before is set again, whatever ends the block."""
    before = gc.get_threshold()
    with pytest.raises(ValueError, match="over"), collector.serving():
        assert gc.get_threshold() == collector.SERVING
        assert gc.get_freeze_count() > 0
        raise ValueError("over")
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_cycles_are_still_collected() -> None:
    """A cycle made while serving goes; it is only looked for less often."""
    with collector.serving():
        cycle = weakref.ref(Node())
        for _ in range(4 * collector.SERVING[0]):
            if cycle() is None:
                break
            _keep.append([])
        assert cycle() is None
    _keep.clear()


_keep: list[object] = []


@pytest.mark.parametrize(
    ("before", "while_running"),
    [
        ((700, 10, 10), (collector.YOUNGEST, 10, 10)),
        ((700, 5, 7), (collector.YOUNGEST, 5, 7)),
        ((50_000, 10, 10), (50_000, 10, 10)),
        ((0, 10, 10), (0, 10, 10)),
    ],
)
def test_start_changes_the_youngest_alone_and_only_what_nobody_chose(
    before: tuple[int, int, int], while_running: tuple[int, int, int]
) -> None:
    """A collector that is off or looks seldom stays so; afterwards all is as before."""
    own = gc.get_threshold()
    gc.set_threshold(*before)
    try:

        async def main() -> None:
            async with App([Idle()]).start():
                assert gc.get_threshold() == while_running

        asyncio.run(main())
        assert gc.get_threshold() == before
    finally:
        gc.set_threshold(*own)


def test_serve_does_it() -> None:
    """An app that serves sets it before anything of its backend runs."""

    class Seen:
        thresholds: tuple[int, int, int] | None = None

        def start(self, *_: object) -> None:
            raise NotImplementedError

        async def serve(self, *_: object) -> None:
            Seen.thresholds = gc.get_threshold()

    App(list[Service]()).serve(Seen())  # type: ignore[arg-type]  # no more of a backend than is needed
    assert Seen.thresholds == collector.SERVING
