"""`App`: the one place where definitions, their dependencies and a backend come together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from functools import partial
from typing import TYPE_CHECKING

from restate_patterns.api.deployment import AppDeployment
from restate_patterns.backends.embedded import Embedded
from restate_patterns.backends.serving import run_serving
from restate_patterns.client import BlockingClient, Client
from restate_patterns.client.portals import LoopThread
from restate_patterns.errors import DefinitionError
from restate_patterns.limits import SCHEDULE_DECLARE_S
from restate_patterns.patterns.schedules.errors import ScheduleRefused
from restate_patterns.patterns.schedules.hosting import with_schedules
from restate_patterns.patterns.schedules.schedule import Schedule
from restate_patterns.system import collector
from restate_patterns.text.log_lines import logger_named

if TYPE_CHECKING:
    from restate_patterns.api.definitions import Definition
    from restate_patterns.api.typed_clients import Clients
    from restate_patterns.engine.backend import Backend

_logger = logger_named("restate_patterns")


class App:
    """The services of one program.

        app = App([Ticket(), Cart(), Checkout(payments=Stripe())])
        app.serve(Embedded("tickets.db"))

    Args:
        definitions: Instances of services, virtual objects and workflows, with their dependencies; and schedules, which
            it declares at each start.
        name: What logs and tools call it.

    Raises:
        DefinitionError: A definition is wrong, or a wire name or the name of a schedule is taken twice.
    """

    def __init__(self, definitions: Sequence[Definition | Schedule], /, *, name: str = "app") -> None:
        self.name = name
        schedules = [each for each in definitions if isinstance(each, Schedule)]
        services = [each for each in definitions if not isinstance(each, Schedule)]
        if schedules:
            services = with_schedules(services, schedules)
        self.schedules = tuple(schedules)
        """The schedules that it declares."""
        self._deployment = AppDeployment(services, [partial(_declare, schedule) for schedule in schedules])

    @property
    def deployment(self) -> AppDeployment:
        """The services as a backend hosts them."""
        return self._deployment

    def start(self, backend: Backend | None = None) -> AbstractAsyncContextManager[Client]:
        """Run the services in this process while the block lasts.

        Meanwhile the process's garbage collector looks at new objects after every 5,000 instead of 700, unless it
        was told otherwise before: it would find nothing in the invocations under way, at 8 % of their cost.

        Args:
            backend: What to run on. Default: the embedded engine, in memory.

        Returns:
            A client of the services.
        """
        return self._running(backend or Embedded())

    def start_blocking(self, backend: Backend | None = None) -> AbstractContextManager[BlockingClient]:
        """Run the services in this process while the block lasts, for a program that is not async.

            with app.start_blocking(Embedded("shop.db")) as client:
                client.wait(client.service_client(Orders).place("tea"))

        They run in an event loop in a thread of its own; all threads may use the client.

        Args:
            backend: What to run on. Default: the embedded engine, in memory.

        Returns:
            A client of the services.
        """
        return self._running_apart(backend or Embedded())

    def serve(self, backend: Backend | None = None) -> None:
        """Serve over HTTP until SIGTERM or SIGINT.

        Args:
            backend: What to run on. Default: the embedded engine, in memory.
        """
        with collector.serving():
            run_serving((backend or Embedded()).serve(self._deployment, lambda: None))

    @asynccontextmanager
    async def _running(self, backend: Backend) -> AsyncGenerator[Client]:
        with collector.running():
            async with backend.start(self._deployment) as caller:
                yield Client.over(caller)

    @contextmanager
    def _running_apart(self, backend: Backend) -> Generator[BlockingClient]:
        with LoopThread(f"restate-patterns {self.name}") as thread, thread.entered(self._running(backend)) as client:
            yield thread.portal().run(_blocking(client))


async def _declare(schedule: Schedule, via: Clients) -> None:
    try:
        async with asyncio.timeout(SCHEDULE_DECLARE_S):
            await schedule.declare(via)
    except ScheduleRefused as error:
        raise DefinitionError(error.message) from None
    except TimeoutError:
        _logger.error(
            "%s did not take its declaration within %s s, and stays as it was: an invocation of Schedules/%s is paused "
            "or stuck (restate-patterns invocations list --internal). The declaration is taken when that is over",
            schedule.label,
            SCHEDULE_DECLARE_S,
            schedule.name,
        )


async def _blocking(client: Client) -> BlockingClient:
    return client.blocking()
