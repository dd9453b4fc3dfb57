"""Serving an example: its app on either backend, with the providers it calls."""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
from collections.abc import Generator

from examples.processes import ROOT, leave_with_parent
from restate_patterns import App, Backend, Embedded, Restate


def serve_with_providers(app: App, *, default_db: str) -> None:
    """Serve `app` until it is told to stop, as the command line says.

    The providers run beside it on their usual ports, as processes of their own, unless
    `--no-providers` is given.
    """
    arguments = _parse(default_db)
    backend: Backend
    if arguments.restate is None:
        backend = Embedded(arguments.db, ingress_port=arguments.ingress_port, admin_port=arguments.admin_port)
    else:
        backend = Restate(admin_url=arguments.restate, ingress_url=arguments.ingress_url, bind=arguments.bind)
    if arguments.with_parent:
        leave_with_parent()
    with contextlib.nullcontext() if arguments.no_providers else _providers():
        app.serve(backend)


def _parse(default_db: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve this example.")
    parser.add_argument("--db", default=default_db, help="the file that makes it durable (%(default)s)")
    parser.add_argument("--ingress-port", type=int, default=8080, help="where to call it (%(default)s)")
    parser.add_argument("--admin-port", type=int, default=9070, help="where to manage it (%(default)s)")
    parser.add_argument("--restate", metavar="ADMIN_URL", help="serve it on the Restate server that is managed there")
    parser.add_argument("--ingress-url", default="http://127.0.0.1:8080", help="where that server is called")
    parser.add_argument("--bind", default="127.0.0.1:9080", help="where that server finds it (%(default)s)")
    parser.add_argument("--no-providers", action="store_true", help="call those that FLIGHTS_URL and the like name")
    parser.add_argument(
        "--with-parent", action="store_true", help="leave when standard input is closed: the parent is gone"
    )
    return parser.parse_args()


@contextlib.contextmanager
def _providers() -> Generator[None]:
    command = [sys.executable, "-m", "examples.providers", "--with-parent"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as process:
        try:
            yield
        finally:
            process.terminate()
