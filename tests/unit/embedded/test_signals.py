"""Signals in the engine and in its file: how long they stay, how they are shown, what costs whom."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from restate_patterns.embedded.inventory import ParkedFile
from restate_patterns.embedded.schema import APPLICATION_ID, MIGRATIONS, VERSION
from restate_patterns.engine.interface import InvocationStatus, JournalEntryView
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.seam import ValueOrFailure
from tests.support.engines.engines import Bench, Functions, bench
from tests.support.engines.small_handlers import drive

app = Functions()
YES = ValueOrFailure(b"yes", None)
NO = ValueOrFailure(b"no", None)


@app.exclusive("O/listen", retention=timedelta(seconds=1))
async def listen(a: DurableAttempt) -> bytes:
    go = await a.signal("go")
    return go + await a.signal("word")


@app.handler("S/tell")
async def tell(a: DurableAttempt) -> bytes:
    await a.complete_signal(a.invocation.body.decode(), "word", YES)
    return b""


def stored(b: Bench) -> list[str]:
    """Give the names of the signals in the file."""
    return [name for (name,) in b.store.read("SELECT name FROM signal ORDER BY name")]


def test_what_it_waits_for_and_what_was_sent_are_shown() -> None:
    async def test() -> None:
        async with bench(app, timeout_ms=0) as b:
            sent = await b.send("O/k/listen")
            await b.settle()
            assert (await b.engine.describe_invocation(sent)).view.waits_for == ["the signal go"]
            await b.engine.complete_signal(sent, "go", YES)
            await b.settle()
            detail = await b.engine.describe_invocation(sent)
            assert detail.view.waits_for == ["the signal word"]
            assert detail.journal == [
                JournalEntryView(0, "signal", "go", True, "yes"),
                JournalEntryView(1, "signal", "word", False, "open"),
            ]
            teller = await b.send("S/tell", sent.encode())
            assert (await b.engine.result(sent)).value == b"yesyes"
            (entry,) = (await b.engine.describe_invocation(teller)).journal
            assert entry == JournalEntryView(0, "complete-signal", f"word of {sent}", True, "")

    drive(test())


def test_what_came_stays_when_a_paused_invocation_restarts_in_its_place() -> None:
    async def test() -> None:
        async with bench(app) as b:
            sent = await b.send("O/k/listen")
            await b.settle()
            await b.engine.complete_signal(sent, "go", YES)
            await b.settle()
            await b.engine.pause(sent)
            assert await b.engine.restart_as_new(sent) == sent
            await b.engine.complete_signal(sent, "word", NO)
            assert (await b.engine.result(sent)).value == b"yesno"

    drive(test())


def test_a_completed_one_that_restarts_as_a_new_one_has_heard_nothing() -> None:
    async def test() -> None:
        async with bench(app) as b:
            sent = await b.send("O/k/listen")
            for name in ("go", "word"):
                await b.engine.complete_signal(sent, name, YES)
            await b.engine.result(sent)
            again = await b.engine.restart_as_new(sent)
            await b.settle()
            assert (await b.engine.describe_invocation(again)).view.waits_for == ["the signal go"]

    drive(test())


def test_signals_go_with_their_invocation() -> None:
    async def test() -> None:
        async with bench(app) as b:
            ended, other = await b.send("O/k/listen"), await b.send("O/other/listen")
            for name in ("unheard", "go", "word"):
                await b.engine.complete_signal(ended, name, YES)
            await b.engine.complete_signal(other, "unheard", YES)
            await b.engine.result(ended)
            await b.engine.complete_signal(ended, "late", YES)
            assert stored(b) == ["go", "unheard", "unheard", "word"]
            await b.engine.purge(ended)
            assert stored(b) == ["unheard"]
            scheduled = await b.send("O/k/listen", delay_ms=60_000)
            await b.engine.complete_signal(scheduled, "go", YES)
            await b.engine.cancel(scheduled)
            await b.settle()
            assert stored(b) == ["unheard"]

    drive(test())


def test_one_that_has_not_begun_hears_it_when_it_begins_and_stays_where_it_is(tmp_path: Path) -> None:
    async def test() -> None:
        async with bench(app, file=tmp_path / "a.db") as b:
            scheduled = await b.send("O/k/listen", delay_ms=60_000)
            await b.call("S/tell", scheduled.encode())
            await b.restart()
            assert (await b.engine.describe_invocation(scheduled)).view.status is InvocationStatus.SCHEDULED
        with ParkedFile(tmp_path / "a.db") as file:
            (pending,) = file.pending()
        assert (pending.begun, pending.signalled) == (False, True)
        async with bench(app, file=tmp_path / "a.db") as b:
            await b.advance(timedelta(minutes=1))
            await b.engine.complete_signal(scheduled, "go", NO)
            assert (await b.engine.result(scheduled)).value == b"noyes"

    drive(test())


def test_one_that_cannot_be_read_pauses_who_asks_for_it_until_it_is_mended(tmp_path: Path) -> None:
    async def test() -> None:
        file = tmp_path / "a.db"
        async with bench(app, file=file) as b:
            sent = await b.send("O/k/listen")
            await b.engine.complete_signal(sent, "word", YES)
            await b.settle()
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("UPDATE signal SET failure='{'")
            connection.commit()
        async with bench(app, file=file) as b:
            await b.engine.complete_signal(sent, "go", YES)
            await b.settle()
            view = (await b.engine.describe_invocation(sent)).view
            assert view.status is InvocationStatus.PAUSED
            assert "the stored answer of the signal 'word' can't be read" in (view.last_failure or "")
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("UPDATE signal SET failure=NULL")
            connection.commit()
        async with bench(app, file=file) as b:
            await b.engine.resume(sent)
            assert (await b.engine.result(sent)).value == b"yesyes"

    drive(test())


def test_a_file_of_the_version_before_signals_goes_on(tmp_path: Path) -> None:
    async def test() -> None:
        file = tmp_path / "a.db"
        with closing(sqlite3.connect(file)) as connection:
            connection.executescript(
                f"{MIGRATIONS[1]} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;"
            )
        async with bench(app, file=file) as b:
            sent = await b.send("O/k/listen")
            for name in ("go", "word"):
                await b.engine.complete_signal(sent, name, YES)
            assert (await b.engine.result(sent)).value == b"yesyes"
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)

    drive(test())
