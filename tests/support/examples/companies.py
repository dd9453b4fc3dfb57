"""The examples on the engine in memory, with their companies in the same process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from examples.providers.faults import Fault, FaultKind
from examples.providers.ledger import Entry
from examples.providers.provider import Provider
from examples.sagas import booking, registration, tickets
from restate_patterns import App, InvocationHandle, Service
from restate_patterns.engine.errors import InvocationCompleted
from restate_patterns.testing import TestEnvironment
from restate_patterns.testing.crashes import Crashes, after_commits
from restate_patterns.testing.environment import environment
from tests.support.examples.providers import api_of

T = TypeVar("T")
R = TypeVar("R")
_TURNS_MAX = 200
_COMMITS_MAX = 500


class Companies:
    """Providers in memory, made anew with each app, and what they saw."""

    def __init__(self) -> None:
        self.providers: dict[str, Provider] = {}

    def booking_app(self) -> App:
        """Give the trip booking with companies that know nothing yet."""
        self._open("flights", "cars", "payments")
        apis = {name: api_of(provider) for name, provider in self.providers.items()}
        return App(booking.definitions(flights=apis["flights"], cars=apis["cars"], payments=apis["payments"]))

    def tickets_app(self, *others: Service) -> App:
        """Give the ticket reservation with companies that know nothing yet; a seat is held 15 minutes.

        Args:
            others: What the test adds.
        """
        self._open("payments", "mail")
        apis = {name: api_of(provider) for name, provider in self.providers.items()}
        hold = timedelta(minutes=15)
        return App([*tickets.definitions(payments=apis["payments"], mail=apis["mail"], hold=hold), *others])

    def registration_app(self, patience: timedelta = timedelta(days=3)) -> App:
        """Give the registration with a mail provider that has sent nothing yet."""
        self._open("mail")
        return App(registration.definitions(mail=api_of(self.providers["mail"]), patience=patience))

    def _open(self, *names: str) -> None:
        self.providers = {name: Provider(name) for name in names}

    def fail(self, provider: str, operation: str, kind: FaultKind, times: int | None = 1, delay_s: float = 0.0) -> None:
        """Let the next `times` requests of `operation` go wrong; None for all of them."""
        fault = Fault(operation=operation, kind=kind, times=times, delay_s=delay_s)
        self.providers[provider].faults.order(fault)

    def seen(self) -> list[tuple[str, str]]:
        """Give who was asked for what, in the order of arrival."""
        found: list[tuple[Entry, str]] = [
            (entry, name) for name, provider in self.providers.items() for entry in provider.history
        ]
        return [(name, entry.operation) for entry, name in sorted(found, key=lambda pair: pair[0].at_ns)]

    def states(self, provider: str) -> list[str]:
        """Give the states of all that a provider has booked."""
        return [record.state for record in self.providers[provider].records.values()]


async def finish(env: TestEnvironment, call: Coroutine[Any, Any, T], step: timedelta = timedelta(seconds=30)) -> T:
    """Let time pass in steps until `call` is done: retries wait for the test's clock."""
    task = asyncio.ensure_future(call)
    for _ in range(_TURNS_MAX):
        await env.advance(step)
        if task.done():
            return task.result()
    task.cancel()
    raise AssertionError("the call does not end")


def cancelled_after_each_commit(
    app: Callable[[], App],
    send: Callable[[TestEnvironment], Coroutine[Any, Any, InvocationHandle[T]]],
    check: Callable[[TestEnvironment, T | BaseException], Coroutine[Any, Any, R]],
    *,
    replay_always: bool = False,
) -> list[R]:
    """Cancel what `send` started after commit 1, then anew after commit 2, and so on until it was faster.

    Each time `check` gets how it ended, once all is quiet; what it gives is collected.
    """
    checked: list[R] = []
    for commit in range(1, _COMMITS_MAX):
        try:
            result, cancelled = asyncio.run(_cancelled_after(commit, app, send, check, replay_always=replay_always))
        except BaseException as error:
            error.add_note(f"cancelled after commit {commit}")
            raise
        checked.append(result)
        if not cancelled:
            return checked
    raise AssertionError(f"not over after {_COMMITS_MAX} commits")


async def _cancelled_after(
    commit: int,
    app: Callable[[], App],
    send: Callable[[TestEnvironment], Coroutine[Any, Any, InvocationHandle[T]]],
    check: Callable[[TestEnvironment, T | BaseException], Coroutine[Any, Any, R]],
    *,
    replay_always: bool,
) -> tuple[R, bool]:
    loop = asyncio.get_running_loop()
    reached = asyncio.Event()

    def watch(number: int) -> bool:
        if number == commit:
            loop.call_soon_threadsafe(reached.set)
        return False

    crashes = Crashes(after_commits(watch))
    async with environment(app(), replay_always=replay_always, crashes=crashes) as env:
        handle = await send(env)
        result = asyncio.create_task(finish(env, handle.result()))
        moment = asyncio.create_task(reached.wait())
        await asyncio.wait([result, moment], return_when=asyncio.FIRST_COMPLETED)
        cancelled = moment.done() and not result.done()
        if cancelled:
            with contextlib.suppress(InvocationCompleted):
                await handle.cancel()
        moment.cancel()
        (outcome,) = await asyncio.gather(result, return_exceptions=True)
        await env.settle()
        return await check(env, outcome), cancelled
