"""A provider that runs as its own process, from the outside: start it, make it fail, read its history."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx

from examples.processes import Program
from examples.providers.faults import Fault, FaultKind
from examples.providers.ledger import Entry, Ledger, Record


class RunningProvider:
    """A provider's process and its controls.

    Args:
        name: `flights`, `cars`, `payments` or `mail`.
        url: Where it answers.
    """

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.url = url

    def fail(self, operation: str, kind: FaultKind, *, times: int | None = 1, delay_s: float = 0.0) -> None:
        """Let the next `times` requests of `operation` go wrong; None for all of them."""
        fault = Fault(operation=operation, kind=kind, times=times, delay_s=delay_s)
        self._request("POST", "/faults", fault)

    def behave(self) -> None:
        """Take back the faults that are not used up."""
        self._request("DELETE", "/faults")

    @property
    def history(self) -> list[Entry]:
        """Every request it got, in order of arrival."""
        return self._ledger("history").history

    @property
    def records(self) -> dict[str, Record]:
        """Its bookings, payments or messages, by id."""
        return self._ledger("records").records

    def _ledger(self, part: str) -> Ledger:
        return Ledger.model_validate_json(self._request("GET", f"/{part}"))

    def _request(self, method: str, path: str, body: Fault | None = None) -> bytes:
        content = body.model_dump_json() if body else None
        response = httpx.request(method, f"{self.url}{path}", content=content, trust_env=False, verify=False)
        return response.raise_for_status().content


@contextmanager
def running_provider(name: str, folder: Path, port: int = 0) -> Generator[RunningProvider]:
    """Run a provider for the length of the block; its log goes to `folder`."""
    log = folder / f"{name}.log"
    arguments = ["examples.providers", name, "--port", str(port), "--with-parent"]
    with Program(arguments, log=log) as program:
        marker = f"{name} ready at "
        program.wait_until(lambda: marker in program.output, f"{name} ready")
        url = program.output.split(marker, 1)[1].split()[0]
        yield RunningProvider(name, url)
