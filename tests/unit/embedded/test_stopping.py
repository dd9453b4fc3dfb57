"""Rule 11 over stops and starts: what ends in time is recorded, nothing runs twice, and a stop is bounded."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from pathlib import Path

import pytest

from restate_patterns.embedded.engine import Engine
from restate_patterns.embedded.store import Store
from restate_patterns.errors import TerminalError
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.execution.steps import in_thread
from restate_patterns.options import Step
from restate_patterns.system.grace import Grace
from tests.support.engines.engines import Functions, bench, bounded, request, until

app = Functions()


class Effects:
    """What actions do: how many run at once, how often they began, and when they may end."""

    def __init__(self) -> None:
        self.begun = 0
        self.at_once = 0
        self.at_once_max = 0
        self.may_end = threading.Event()
        self.action: Callable[[], Awaitable[bytes]] = self.blocking

    @contextlib.contextmanager
    def _counted(self) -> Generator[None]:
        self.begun += 1
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        try:
            yield
        finally:
            self.at_once -= 1

    async def blocking(self) -> bytes:
        """A thread, which nobody can stop."""

        def act() -> bytes:
            with self._counted():
                assert self.may_end.wait(20)
            return b"outcome"

        return await in_thread(act)

    async def stubborn(self) -> bytes:
        """A coroutine that ignores its cancellation."""
        with self._counted():
            while not self.may_end.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.01)
        return b"outcome"

    async def refusing(self) -> bytes:
        """A coroutine that answers its cancellation with a terminal error."""
        with self._counted():
            try:
                await asyncio.sleep(20)
            except asyncio.CancelledError:
                raise TerminalError("no") from None
        return b""

    async def obedient(self) -> bytes:
        """A coroutine that stops when it is asked to, and ends at its second try."""
        with self._counted():
            if self.begun == 1:
                await asyncio.sleep(20)
        return b"outcome"


effects = Effects()


@app.handler("S/act")
async def act(a: DurableAttempt) -> bytes:
    return await a.run(Step("act"), b"", lambda: effects.action())


@pytest.fixture(autouse=True)
def fresh_effects() -> Iterator[None]:
    effects.__init__()  # type: ignore[misc]  # the same object, as handlers know it
    yield
    effects.may_end.set()


async def _begun(engine: Engine) -> str:
    sent = await engine.submit(request("S/act"), None)
    await until(lambda: effects.at_once == 1)
    return sent.invocation_id


async def _output(engine: Engine, invocation_id: str) -> bytes | None:
    return (await bounded(engine.result(invocation_id))).value


@pytest.mark.parametrize("kind", ["blocking", "stubborn"])
def test_what_ends_before_the_stop_does_is_recorded(tmp_path: Path, kind: str) -> None:
    async def test() -> None:
        effects.action = getattr(effects, kind)
        engine = Engine(app, Store(tmp_path / "e.db"))
        await engine.start()
        invocation_id = await _begun(engine)
        stopping = asyncio.ensure_future(engine.stop())
        await asyncio.sleep(0.1)
        effects.may_end.set()
        await bounded(stopping)
        async with bench(app, file=tmp_path / "e.db") as b:
            assert await _output(b.engine, invocation_id) == b"outcome"
        assert effects.begun == 1, "it is never done again"

    asyncio.run(bounded(test()))


def test_a_failure_that_comes_before_the_stop_ends_is_recorded(tmp_path: Path) -> None:
    async def test() -> None:
        effects.action = effects.refusing
        engine = Engine(app, Store(tmp_path / "e.db"))
        await engine.start()
        invocation_id = await _begun(engine)
        await bounded(engine.stop())
        async with bench(app, file=tmp_path / "e.db") as b:
            result = await bounded(b.engine.result(invocation_id))
            assert result.failure is not None
            assert result.failure.message == "no"
        assert effects.begun == 1

    asyncio.run(bounded(test()))


def test_what_only_stopped_runs_again_at_the_next_start(tmp_path: Path) -> None:
    async def test() -> None:
        effects.action = effects.obedient
        engine = Engine(app, Store(tmp_path / "e.db"))
        await engine.start()
        invocation_id = await _begun(engine)
        await bounded(engine.stop())
        async with bench(app, file=tmp_path / "e.db") as b:
            assert await _output(b.engine, invocation_id) == b"outcome"
        assert (effects.begun, effects.at_once_max) == (2, 1)

    asyncio.run(bounded(test()))


@pytest.mark.parametrize("kind", ["blocking", "stubborn"])
@pytest.mark.parametrize("starts", [1, 3])
def test_an_action_that_outlives_its_engine_is_adopted_by_the_next(tmp_path: Path, kind: str, starts: int) -> None:
    """Also by the third, when the second had to stop meanwhile."""

    async def test() -> None:
        effects.action = getattr(effects, kind)
        engine = Engine(app, Store(tmp_path / "e.db"))
        await engine.start()
        invocation_id = await _begun(engine)
        await bounded(engine.stop(Grace(0.1)))
        for _ in range(starts - 1):
            between = Engine(app, Store(tmp_path / "e.db"))
            await between.start()
            await asyncio.sleep(0.1)
            await bounded(between.stop(Grace(0.1)))
        async with bench(app, file=tmp_path / "e.db") as b:
            await asyncio.sleep(0.2)
            assert (effects.begun, effects.at_once) == (1, 1), "it was not started a second time"
            effects.may_end.set()
            assert await _output(b.engine, invocation_id) == b"outcome"
        assert effects.begun == 1

    asyncio.run(bounded(test()))


def test_an_action_in_a_thread_outlives_its_loop_and_is_waited_for_in_the_next(tmp_path: Path) -> None:
    """What it came to nobody can tell any more; so it is done again, after its end."""
    loop = asyncio.new_event_loop()

    async def first() -> str:
        engine = Engine(app, Store(tmp_path / "e.db"))
        await engine.start()
        invocation_id = await _begun(engine)
        await bounded(engine.stop(Grace(0.1)))
        return invocation_id

    async def second(invocation_id: str) -> None:
        async with bench(app, file=tmp_path / "e.db") as b:
            await asyncio.sleep(0.3)
            assert (effects.begun, effects.at_once) == (1, 1)
            effects.may_end.set()
            assert await _output(b.engine, invocation_id) == b"outcome"

    invocation_id = loop.run_until_complete(first())
    asyncio.run(bounded(second(invocation_id)))
    assert effects.at_once_max == 1
    left = asyncio.all_tasks(loop)
    loop.run_until_complete(asyncio.wait(left))
    loop.close()


def test_a_loop_in_another_thread_has_the_action_that_is_waited_for(tmp_path: Path) -> None:
    effects.action = effects.stubborn
    loop = asyncio.new_event_loop()
    running = threading.Thread(target=loop.run_forever)
    running.start()

    async def first() -> str:
        engine = Engine(app, Store(tmp_path / "e.db"))
        await engine.start()
        invocation_id = await _begun(engine)
        await engine.stop(Grace(0.1))
        return invocation_id

    async def second(invocation_id: str) -> None:
        async with bench(app, file=tmp_path / "e.db") as b:
            await asyncio.sleep(0.2)
            assert (effects.begun, effects.at_once) == (1, 1)
            effects.may_end.set()
            assert await _output(b.engine, invocation_id) == b"outcome"
        assert effects.begun == 1

    invocation_id = asyncio.run_coroutine_threadsafe(first(), loop).result(20)
    asyncio.run(bounded(second(invocation_id)))
    loop.call_soon_threadsafe(loop.stop)
    running.join()
    loop.close()


def test_a_cancel_reaches_the_action_that_outlived_its_engine(tmp_path: Path) -> None:
    async def test() -> None:
        effects.action = effects.stubborn
        engine = Engine(app, Store(tmp_path / "e.db"))
        await engine.start()
        invocation_id = await _begun(engine)
        await bounded(engine.stop(Grace(0.1)))
        async with bench(app, file=tmp_path / "e.db") as b:
            await asyncio.sleep(0.1)
            await b.engine.cancel(invocation_id)
            await asyncio.sleep(0.1)
            assert await b.engine.output(invocation_id) is None, "the wait ends only when the action has"
            effects.may_end.set()
            result = await bounded(b.engine.result(invocation_id))
            assert result.failure is not None
            assert result.failure.code == 409
        assert effects.begun == 1

    asyncio.run(bounded(test()))


def test_the_stop_has_one_deadline_for_all_of_it(tmp_path: Path) -> None:
    """Steps that go on and a disk that is full, together."""

    async def test() -> None:
        engine = Engine(app, Store(tmp_path / "e.db"))
        await engine.start()
        await _begun(engine)
        began = time.monotonic()
        await engine.stop(Grace(2.0))
        assert 0.8 < time.monotonic() - began < 2.5

    asyncio.run(bounded(test()))


def test_a_hurry_cuts_the_wait_for_steps(tmp_path: Path) -> None:
    async def test() -> None:
        engine = Engine(app, Store(tmp_path / "e.db"))
        await engine.start()
        await _begun(engine)
        hurry = asyncio.Event()
        asyncio.get_running_loop().call_later(0.3, hurry.set)
        began = time.monotonic()
        await engine.stop(Grace(15.0, hurry.wait()))
        assert time.monotonic() - began < 5

    asyncio.run(bounded(test()))


def test_two_stops_at_once_end_together_and_a_third_does_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        engine = Engine(app, Store(tmp_path / "e.db"))
        await engine.start()
        await _begun(engine)
        stops = [asyncio.ensure_future(engine.stop(Grace(2.0))) for _ in range(2)]
        await asyncio.sleep(0.1)
        assert not any(stop.done() for stop in stops)
        effects.may_end.set()
        await bounded(asyncio.gather(*stops))
        Store(tmp_path / "e.db").open()
        await engine.stop()

    asyncio.run(bounded(test()))


def test_a_stop_whose_caller_is_cancelled_goes_on(tmp_path: Path) -> None:
    async def test() -> None:
        engine = Engine(app, Store(tmp_path / "e.db"))
        await engine.start()
        await _begun(engine)
        stop = asyncio.ensure_future(engine.stop())
        await asyncio.sleep(0.05)
        stop.cancel()
        effects.may_end.set()
        await bounded(engine.stop())
        store = Store(tmp_path / "e.db")
        store.open()
        store.close()

    asyncio.run(bounded(test()))


def test_an_engine_that_runs_is_not_started_again(tmp_path: Path) -> None:
    async def test() -> None:
        engine = Engine(app, Store(tmp_path / "e.db"))
        await engine.start()
        with pytest.raises(RuntimeError, match="runs already"):
            await engine.start()
        await engine.stop()
        await engine.start()
        await engine.stop()

    asyncio.run(bounded(test()))
