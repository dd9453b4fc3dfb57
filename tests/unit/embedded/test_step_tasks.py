"""Actions that never wait share a task; what a task promises to an action holds for each of them."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
import pytest
from typing_extensions import override

from restate_patterns.embedded.step_tasks import Job, StepTasks
from restate_patterns.seam import ValueOrFailure

DONE = ValueOrFailure(b"done", None)
_name = contextvars.ContextVar("name", default="nobody")


class OneJob(Job):
    """A job around a coroutine function; `over` is set when it has ended."""

    def __init__(self, action: Callable[[], Awaitable[None]], name: str = "somebody") -> None:
        self.action = action
        self.task: asyncio.Task[None] | None = None
        self.result: ValueOrFailure | None = None
        self.error: BaseException | None = None
        self.over = asyncio.Event()
        self.wanted = True
        self.context = contextvars.copy_context()
        self.context.run(_name.set, name)

    @override
    def begin(self, task: asyncio.Task[None]) -> tuple[Coroutine[Any, Any, ValueOrFailure], contextvars.Context] | None:
        self.task = task
        return (self._run(), self.context) if self.wanted else None

    async def _run(self) -> ValueOrFailure:
        await self.action()
        return DONE

    @override
    def ended(self, result: ValueOrFailure | None, error: BaseException | None) -> None:
        self.result, self.error = result, error
        self.over.set()


async def run(*jobs: OneJob) -> None:
    """Run jobs to their end."""
    tasks = StepTasks(asyncio.get_running_loop())
    for job in jobs:
        tasks.start(job)
    async with asyncio.timeout(5):
        for job in jobs:
            await job.over.wait()


async def nothing() -> None:
    """End without waiting."""


def test_what_never_waits_shares_a_task_and_what_waits_keeps_its_own() -> None:
    """Three that do not wait around one that does: the first two in its task, the last in another."""

    async def main() -> None:
        gate = asyncio.Event()
        seen: list[object] = []

        async def wait() -> None:
            seen.append(asyncio.current_task())
            await gate.wait()
            seen.append(asyncio.current_task())

        first, waiting, last = OneJob(nothing), OneJob(wait), OneJob(nothing)

        async def open_gate() -> None:
            await last.over.wait()
            assert not waiting.over.is_set()
            gate.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(run(first, waiting, last))
            group.create_task(open_gate())
        assert first.task is waiting.task is seen[0] is seen[1]
        assert last.task is not waiting.task

    asyncio.run(main())


def test_each_runs_in_its_own_context() -> None:
    """Also after it has waited, and what one sets no other sees."""

    async def main() -> None:
        names: list[str] = []

        async def note() -> None:
            names.append(_name.get())
            _name.set("changed")

        async def note_twice() -> None:
            await note()
            await asyncio.sleep(0)
            names.append(_name.get())

        await run(OneJob(note, "ann"), OneJob(note_twice, "bob"), OneJob(note, "cid"))
        assert sorted(names) == ["ann", "bob", "changed", "cid"]

    asyncio.run(main())


@pytest.mark.parametrize("anyio_scope", [False, True])
def test_timeouts_of_an_action_are_its_own(anyio_scope: bool) -> None:
    """A deadline in an action that comes after others in the same task ends that action alone."""

    async def main() -> None:
        async def hang() -> None:
            if anyio_scope:
                with anyio.fail_after(0.01):
                    await asyncio.Event().wait()
            else:
                async with asyncio.timeout(0.01):
                    await asyncio.Event().wait()

        async def quick() -> None:
            async with asyncio.timeout(10):
                with anyio.fail_after(10):
                    await nothing()

        jobs = [OneJob(quick), OneJob(hang), OneJob(quick), OneJob(hang)]
        await run(*jobs)
        assert [type(job.error) for job in jobs] == [type(None), TimeoutError, type(None), TimeoutError]
        assert [job.result for job in jobs] == [DONE, None, DONE, None]

    asyncio.run(main())


@pytest.mark.parametrize("uncancel", [False, True])
def test_an_action_that_cancels_its_own_task_cancels_no_other(uncancel: bool) -> None:
    """The next job gets another task, on which no cancellation is pending."""

    async def main() -> None:
        async def cancel_itself() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            if uncancel:
                task.uncancel()

        async def wait() -> None:
            await asyncio.sleep(0)

        jobs = [OneJob(cancel_itself), OneJob(wait), OneJob(nothing)]
        await run(*jobs)
        assert [job.result for job in jobs] == [DONE, DONE, DONE]

    asyncio.run(main())


def test_a_cancellation_reaches_the_action_that_waits() -> None:
    """Cancelling the task of one that waits raises in its action, and in no other."""

    async def main() -> None:
        first, hanging, last = OneJob(nothing), OneJob(asyncio.Event().wait), OneJob(nothing)  # type: ignore[arg-type]

        async def cancel() -> None:
            await last.over.wait()
            assert hanging.task is not None
            hanging.task.cancel()

        async with asyncio.TaskGroup() as group:
            group.create_task(run(first, hanging, last))
            group.create_task(cancel())
        assert isinstance(hanging.error, asyncio.CancelledError)
        assert (first.error, last.error) == (None, None)

    asyncio.run(main())


def test_what_breaks_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    """Neither an action that raises, nor one that is not wanted, nor an `ended` that breaks."""

    async def main() -> None:
        async def fail() -> None:
            raise ValueError("broken")

        class Rude(OneJob):
            @override
            def ended(self, result: ValueOrFailure | None, error: BaseException | None) -> None:
                super().ended(result, error)
                raise RuntimeError("rude")

        failing, unwanted, rude, last = OneJob(fail), OneJob(nothing), Rude(nothing), OneJob(nothing)
        unwanted.wanted = False
        unwanted.over.set()
        await run(failing, unwanted, rude, last)
        assert isinstance(failing.error, ValueError)
        assert unwanted.result is None
        assert (rude.result, last.result) == (DONE, DONE)

    asyncio.run(main())
    assert "rude" in caplog.text
