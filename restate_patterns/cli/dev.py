"""`dev MODULE:APP`: serve an app from a file, and start again when its code changes.

One process: on a change it finishes like on SIGTERM, then replaces itself by a fresh interpreter. So
what kills the command kills the server, and nothing of the old code is left.
"""

from __future__ import annotations

import asyncio
import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import Final

from restate_patterns.app import App
from restate_patterns.backends.serving import run_serving
from restate_patterns.cli.changes import SourceWatch
from restate_patterns.cli.embedded import backend_of, file_of
from restate_patterns.cli.exits import CommandError, Exit
from restate_patterns.cli.loading import load_app
from restate_patterns.cli.logs import print_logs
from restate_patterns.cli.output import complain, tell
from restate_patterns.client.engine_caller import EngineCaller
from restate_patterns.embedded.file_errors import FileError
from restate_patterns.errors import DefinitionError
from restate_patterns.http.ports import PortError
from restate_patterns.http.signals import stop_signals
from restate_patterns.limits import ENGINE_GRACE_S, SHUTDOWN_GRACE_S
from restate_patterns.system.grace import Grace

_RELOADED: Final = "RESTATE_PATTERNS_RELOADED"
"""Set in a process that was started again: the ports to take, so that a free one stays the same."""
_RELOAD_GRACE_S: Final = 2.0 + ENGINE_GRACE_S
"""How long requests and steps may take to finish when the code has changed; their invocations go on after it."""


def dev(arguments: Namespace) -> None:
    """Serve until SIGTERM or SIGINT."""
    sources = SourceWatch(Path(arguments.app_dir).resolve())
    # A .pyc is taken for fresh by the whole second and the size of its source: an edit can be quicker than that.
    sys.dont_write_bytecode = arguments.reload
    try:
        app = load_app(arguments.app, Path(arguments.app_dir))
    except CommandError as error:
        if not arguments.reload or _RELOADED not in os.environ:
            raise
        complain(str(error))
        changed = asyncio.run(_wait_for_mending(sources))
    else:
        print_logs(arguments)
        changed = run_serving(_serve(app, arguments, sources))
    if changed is not None:
        _start_again(changed)


async def _serve(app: App, arguments: Namespace, sources: SourceWatch) -> Path | None:
    """Serve; gives the file whose change ended it, or None for a signal."""
    arguments.ingress_port, arguments.admin_port = _ports(arguments)
    try:
        backend = backend_of(arguments)
    except DefinitionError as error:
        raise CommandError(Exit.USAGE, str(error)) from None
    engine = backend.engine(app.deployment)
    server = backend.http_server(engine)
    try:
        await engine.start()
    except FileError as error:
        raise CommandError(Exit.CANNOT_START, str(error)) from None
    try:
        try:
            await app.deployment.started(EngineCaller(engine))
        except DefinitionError as error:
            raise CommandError(Exit.USAGE, str(error)) from None
        async with stop_signals() as signals:
            try:
                await server.start()
            except PortError as error:
                raise CommandError(Exit.CANNOT_START, str(error)) from None
            services = ", ".join(sorted(app.deployment.services))
            tell(f"serving {services} from {file_of(arguments)}, process {os.getpid()}")
            tell(f"ingress {server.ingress_url}, admin {server.admin_url}")
            signal = asyncio.ensure_future(signals.next())
            change = asyncio.ensure_future(sources.changed() if arguments.reload else _never())
            await asyncio.wait([signal, change], return_when=asyncio.FIRST_COMPLETED)
            changed = change.result() if change.done() else None
            for waiting in (signal, change):
                waiting.cancel()
            grace = Grace(SHUTDOWN_GRACE_S if changed is None else _RELOAD_GRACE_S, signals.next())
            await server.stop(grace.left_s(ENGINE_GRACE_S), hurry=grace.hurried())
            await engine.stop(grace)
            grace.close()
            os.environ[_RELOADED] = f"{server.ingress_port},{server.admin_port}"
            return changed
    finally:
        await engine.stop()


def _ports(arguments: Namespace) -> tuple[int, int]:
    before = os.environ.get(_RELOADED)
    if before is None:
        return arguments.ingress_port, arguments.admin_port
    ingress_port, admin_port = before.split(",")
    return int(ingress_port), int(admin_port)


async def _wait_for_mending(sources: SourceWatch) -> Path | None:
    async with stop_signals() as signals:
        tell("waiting for a change")
        signal = asyncio.ensure_future(signals.next())
        change = asyncio.ensure_future(sources.changed())
        await asyncio.wait([signal, change], return_when=asyncio.FIRST_COMPLETED)
        changed = change.result() if change.done() else None
        for waiting in (signal, change):
            waiting.cancel()
        return changed


async def _never() -> Path:
    await asyncio.Event().wait()
    raise AssertionError("nothing sets this event")


def _start_again(changed: Path) -> None:
    tell(f"{changed} changed: starting again")
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
