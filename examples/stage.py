"""Where a demonstration plays: the providers, a server of one example, and what they were seen doing.

Everything runs in processes of its own, on free ports of the loopback interface, with its files in
one folder. Leaving the `with` block ends every process.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from typing_extensions import override

from examples.processes import Program, free_ports
from examples.providers.remote_control import RunningProvider, running_provider


@dataclass(frozen=True, slots=True)
class Seen:
    """One request that a provider got."""

    provider: str
    operation: str
    subject: str
    status: int | None
    """What it answered; None when the caller was gone, or the answer lost."""

    @override
    def __str__(self) -> str:
        answer = "no answer" if self.status is None else str(self.status)
        return f"{self.provider:<9} {self.operation:<8} {self.subject:<37} {answer}"


def own_server(module: str) -> list[str]:
    """Give the command that serves an example without its providers, and leaves with us."""
    return [module, "--no-providers", "--with-parent"]


@dataclass(frozen=True, slots=True)
class RestateUrls:
    """Where a Restate server is called and managed."""

    ingress_url: str
    admin_url: str


class Stage:
    """The providers by name, and the server of an example that can be killed and started again.

    Args:
        command: What serves the example, after `python -m`; see `own_server`.
        providers: The names of the providers it calls.
        folder: Where logs and the database go.
        environment: Variables for the example, beside the addresses of the providers.
        restate: The Restate server to serve the example on. Default: on a file, embedded.
    """

    def __init__(
        self,
        command: Sequence[str],
        providers: Sequence[str],
        folder: Path,
        environment: dict[str, str] | None = None,
        restate: RestateUrls | None = None,
    ) -> None:
        self.db = folder / "example.db"
        self.providers: dict[str, RunningProvider] = {}
        self._command = command
        self._names = providers
        self._folder = folder
        self._environment = environment or {}
        self._restate = restate
        self._ports = free_ports(2)
        self._starts_count = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for name in self._names:
                self.providers[name] = stack.enter_context(running_provider(name, self._folder))
            self._server = stack.enter_context(self._program())
            self.ingress = stack.enter_context(
                httpx.Client(base_url=self.ingress_url, timeout=30, trust_env=False, verify=False)
            )
            self._await_ready()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def ingress_url(self) -> str:
        """Where the example is called."""
        return f"http://127.0.0.1:{self._ports[0]}" if self._restate is None else self._restate.ingress_url

    @property
    def ingress_port(self) -> int:
        """The port of `ingress_url`."""
        return int(self.ingress_url.rpartition(":")[2])

    @property
    def admin_url(self) -> str:
        """Where its invocations are managed."""
        return f"http://127.0.0.1:{self._ports[1]}" if self._restate is None else self._restate.admin_url

    @property
    def server_log(self) -> str:
        """All that the server has written."""
        return self._server.output

    @property
    def server_pid(self) -> int:
        """The id of the server's process."""
        return self._server.pid

    def kill_server(self) -> None:
        """End the server with SIGKILL: it gets no chance to save anything."""
        self._server.kill()

    def start_server(self) -> None:
        """Start the server again, on the same file and ports."""
        self._server.start()
        self._await_ready()

    def wait_for_request(self, provider: str, operation: str, after: int = 0) -> None:
        """Wait until `provider` has got a request for `operation` among those after the first `after`."""

        def arrived() -> bool:
            history = self.providers[provider].history[after:]
            return any(entry.operation == operation for entry in history)

        self._server.wait_until(arrived, f"{provider} gets {operation}")

    def mark(self) -> dict[str, int]:
        """Remember how much was seen, for `seen_since`."""
        return {name: len(provider.history) for name, provider in self.providers.items()}

    def seen_since(self, mark: dict[str, int]) -> list[Seen]:
        """Give the requests to all providers since `mark`, in the order they arrived."""
        arrived = [
            (entry.at_ns, Seen(name, entry.operation, entry.subject, entry.status))
            for name, provider in self.providers.items()
            for entry in provider.history[mark[name] :]
        ]
        return [seen for _, seen in sorted(arrived, key=lambda pair: pair[0])]

    def _program(self) -> Program:
        ingress_port, admin_port = map(str, self._ports)
        if self._restate is None:
            where = ["--db", str(self.db), "--ingress-port", ingress_port, "--admin-port", admin_port]
        else:
            where = ["--restate", self._restate.admin_url, "--ingress-url", self._restate.ingress_url]
            where += ["--bind", f"127.0.0.1:{ingress_port}"]
        addresses = {f"{name.upper()}_URL": provider.url for name, provider in self.providers.items()}
        return Program(
            [*self._command, *where],
            log=self._folder / "server.log",
            environment={**addresses, **self._environment},
        )

    def _await_ready(self) -> None:
        self._starts_count += 1
        self._server.wait_until(self._is_healthy, "the server is ready")

    def _is_healthy(self) -> bool:
        if self._server.output.count("serving ") < self._starts_count:
            return False
        try:
            return self.ingress.get("/restate/health").is_success
        except httpx.TransportError:
            return False
