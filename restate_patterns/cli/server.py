"""`server install` and `server run`: a real Restate server on this machine, one node or a cluster."""

from __future__ import annotations

import asyncio
import os
import tomllib
from argparse import Namespace
from pathlib import Path

from restate_patterns.cli.exits import CommandError, Exit
from restate_patterns.cli.output import say, tell_lines
from restate_patterns.http.signals import stop_signals
from restate_patterns.server import (
    DEFAULT_DIRECTORY,
    VERSION,
    Node,
    RunningServer,
    ServerConfig,
    ServerError,
    Setting,
    install,
    installed,
    public_key,
    running_server,
)


def install_server(arguments: Namespace) -> None:
    """Put the server into a folder and print where its program is."""
    try:
        binary = install(Path(arguments.dir), tell=tell_lines)
    except ServerError as error:
        raise _cannot_start(error) from None
    tell_lines(f"restate-server {VERSION} is installed; `restate-patterns server run` starts it")
    say(str(binary))


def run_server(arguments: Namespace) -> None:
    """Run the server until SIGTERM or SIGINT, or until no node of it is left."""
    try:
        asyncio.run(_until_signal(_config(arguments)))
    except ServerError as error:
        raise _cannot_start(error) from None


def _cannot_start(error: ServerError) -> CommandError:
    message, _, output = str(error).partition("\n")
    return CommandError(Exit.CANNOT_START, message, output=output)


def _config(arguments: Namespace) -> ServerConfig:
    key: str | None = arguments.request_identity_key
    try:
        if key is not None:
            public_key(Path(key))
        return ServerConfig(
            binary=installed(Path(arguments.server_dir)),
            nodes=arguments.nodes,
            replication=arguments.replication,
            ingress_port=arguments.ingress_port,
            admin_port=arguments.admin_port,
            base_dir=Path(arguments.dir or DEFAULT_DIRECTORY / f"data-{arguments.nodes}"),
            inactivity_timeout=arguments.inactivity_timeout,
            abort_timeout=arguments.abort_timeout,
            settings=dict(map(_setting, arguments.set)),
            request_identity_key=None if key is None else Path(key),
        )
    except ValueError as error:
        raise CommandError(Exit.USAGE, str(error)) from None


def _setting(text: str) -> tuple[str, Setting]:
    """Read `NAME=VALUE`; the value is TOML where it can be, and else text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--set {text} must be NAME=VALUE, as in worker.invoker.inactivity-timeout=1m")
    try:
        found: Setting = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        found = value
    return name.strip(), found


async def _until_signal(config: ServerConfig) -> None:
    async with stop_signals() as signals:
        serving = asyncio.ensure_future(_serve(config))
        signal = asyncio.ensure_future(signals.next())
        await asyncio.wait([serving, signal], return_when=asyncio.FIRST_COMPLETED)
        if signal.done() and not serving.done():
            tell_lines(f"{signal.result().name}: stopping, {config.stop_timeout_s:.0f} s at most")
            serving.cancel()
            await asyncio.wait([serving])
        signal.cancel()
        if not serving.cancelled():
            serving.result()


async def _serve(config: ServerConfig) -> None:
    """Run the server; ends only with an error, or when it is cancelled."""
    tell_lines(f"starting restate-server {VERSION}, {_count(config.nodes)}")
    async with running_server(config) as server:
        tell_lines(welcome(server))
        async with asyncio.TaskGroup() as group:
            for node in server.nodes:
                group.create_task(_announce_death(node, server))
    raise CommandError(Exit.CANNOT_START, "no node is left; the data are kept, so the same command goes on with them")


async def _announce_death(node: Node, server: RunningServer) -> None:
    code = await node.ended()
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    left = sum(other.is_running for other in server.nodes)
    dead, bearable = len(server.nodes) - left, server.config.failures_tolerated
    if dead <= bearable:
        what = "the rest goes on"
    else:
        what = f"that is more than the {bearable} that it can do without" if bearable else "its data are kept"
    tell_lines(
        f"{node.name} (process {node.process_id}) died, {how}; {left} left: {what}\n{node.log}:{node.log_tail()}"
    )


def welcome(server: RunningServer) -> str:
    """Say what runs, where it is, and what to type next."""
    config = server.config
    lines = [f"ready; data and logs are in {_shown(server.directory)}"]
    if config.nodes > 1:
        lines.append(
            f"each record is on {config.copies} of {config.nodes} nodes; "
            f"it goes on while no more than {config.failures_tolerated} are dead"
        )
    lines += [
        f"{node.name}  ingress {node.ingress_url}  admin {node.admin_url}  process {node.process_id}"
        for node in server.nodes
    ]
    if config.request_identity_key is not None:
        key = public_key(config.request_identity_key)
        lines.append(f"its requests are signed, which your services check with --identity-key {key}")
    json = "-H 'content-type: application/json' -d"
    lines += [
        "next, tell it where your services are, and call them:",
        f"""  curl {server.admin_url}/deployments {json} '{{"uri": "http://127.0.0.1:9080"}}'""",
        f"""  curl {server.ingress_url}/Service/handler {json} '"input"'""",
        f"what runs: {server.admin_url}/ui    stop: Ctrl-C",
    ]
    return "\n".join(lines)


def _count(nodes: int) -> str:
    return "1 node" if nodes == 1 else f"{nodes} nodes"


def _shown(directory: Path) -> str:
    return os.path.relpath(directory) if directory.is_relative_to(Path.cwd()) else str(directory)
