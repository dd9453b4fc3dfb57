"""What the attempts of one process share: the services, the steps that run, and the server to ask things."""

from __future__ import annotations

import functools

from restate_patterns.execution.failure_reports import FailureReports
from restate_patterns.restate.references import References, Server, pause
from restate_patterns.restate.steps import RunningSteps
from restate_patterns.seam import Deployment
from restate_patterns.system.clock import Clock, SystemClock


class Host:
    """Shared by attempts; may be made before the loop runs in which they do.

    Args:
        deployment: The services.
        server: Where invocations are looked up and paused; None when it is not known.
    """

    def __init__(self, deployment: Deployment, server: Server | None) -> None:
        self.deployment = deployment
        self.references = References(server)
        self._server = server

    @functools.cached_property
    def clock(self) -> Clock:
        """What durable time is read from."""
        return SystemClock()

    @functools.cached_property
    def steps(self) -> RunningSteps:
        """The steps that run in this process."""
        return RunningSteps(self.clock, self.reports)

    @functools.cached_property
    def reports(self) -> FailureReports:
        """Who tells of failures that are tried again."""
        return FailureReports(self.clock)

    async def pause(self, invocation_id: str) -> None:
        """Have the server pause an invocation once its attempt has ended."""
        if self._server is not None:
            await pause(self._server, invocation_id)
