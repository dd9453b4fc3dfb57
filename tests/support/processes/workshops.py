"""The workshop on a server of either kind, and the command run against it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

from tests.support.bounds import PATIENCE_S
from tests.support.processes.dev_server import Done, run_here, run_process


@dataclass(frozen=True, slots=True)
class Workshop:
    """A server that hosts the services of the workshop."""

    kind: str
    """`embedded` or `restate`."""
    ingress_url: str
    admin_url: str

    def command(self, *arguments: str) -> Done:
        """Run the command against this server, in this process."""
        return run_here(*arguments, environment=self._environment)

    def command_process(self, *arguments: str, stdin: str = "") -> Done:
        """Run the command against this server as a process of its own."""
        return run_process(*arguments, stdin=stdin, environment=self._environment)

    def until_status(self, invocation_id: str, status: str) -> Mapping[str, object]:
        """Wait until an invocation has a status; gives what `describe --json` says of it."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            done = self.command("invocations", "describe", invocation_id, "--json")
            found: Mapping[str, object] = json.loads(done.stdout)["invocation"] if done.code == 0 else {}
            if found.get("status") == status:
                return found
            assert time.monotonic() < deadline, f"{invocation_id} never was {status}: {found or done.stderr}"
            time.sleep(0.02)

    @property
    def _environment(self) -> Mapping[str, str]:
        return {"RESTATE_ADMIN_URL": self.admin_url, "RESTATE_INGRESS_URL": self.ingress_url}
