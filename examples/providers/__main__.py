"""Run providers from the command line: `python -m examples.providers [NAME] [--port N] [--file FILE]`."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from examples.processes import leave_with_parent
from examples.providers.provider import Provider
from examples.providers.server import ProviderServer

USUAL_PORTS = {"flights": 9101, "cars": 9102, "payments": 9103, "mail": 9104}


def main() -> None:
    """Serve until told to stop; a line `NAME ready at URL` per provider says when it can be called."""
    arguments = _parse()
    names = [arguments.name] if arguments.name else list(USUAL_PORTS)
    for name in names:
        port = USUAL_PORTS[name] if arguments.port is None else arguments.port
        server = _open(Provider(name, arguments.file), port)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"{name} ready at {server.url}", flush=True)
    if arguments.with_parent:
        leave_with_parent()
    signal.sigwait({signal.SIGINT, signal.SIGTERM})


def _open(provider: Provider, port: int) -> ProviderServer:
    try:
        return ProviderServer(provider, port)
    except OSError as error:
        sys.exit(f"{provider.name}: port {port} cannot be used ({error.strerror}); choose another with --port")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.providers", description=__doc__)
    parser.add_argument("name", nargs="?", choices=USUAL_PORTS, help="the provider; all four when left out")
    parser.add_argument("--port", type=int, help="0 lets the system choose; only with a name")
    parser.add_argument("--file", type=Path, help="where it keeps its ledger; only with a name")
    parser.add_argument(
        "--with-parent",
        action="store_true",
        help="leave when standard input is closed: whoever started it is gone",
    )
    arguments = parser.parse_args()
    if arguments.name is None and (arguments.port is not None or arguments.file is not None):
        parser.error("--port and --file need the name of one provider")
    return arguments


if __name__ == "__main__":
    # Blocked before any thread starts, so that the signal waits for `sigwait` instead of killing.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    main()
