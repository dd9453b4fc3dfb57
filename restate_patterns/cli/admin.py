"""Runs a command on an admin API; every trouble is a sentence with an exit code."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from restate_patterns.admin import AdminClient, AdminError, EngineError, NotAnAdminApi, NotFound, UnsupportedServer
from restate_patterns.cli.exits import CommandError, Exit
from restate_patterns.client.errors import ClientError, ServerUnavailable, ServerUnreachable
from restate_patterns.errors import InvocationNotFound, TerminalError

AdminCommand: TypeAlias = Callable[[Namespace, AdminClient], Awaitable[None]]


def run_admin(command: AdminCommand, arguments: Namespace) -> None:
    """Run a command on the server that its arguments name.

    Raises:
        CommandError: No server, no such thing, or refused.
    """
    try:
        asyncio.run(_run(command, arguments))
    except (AdminError, ClientError, EngineError, TerminalError) as error:
        raise command_error(error) from None


def command_error(
    error: AdminError | ClientError | EngineError | TerminalError, *, option: str = "--admin-url"
) -> CommandError:
    """Give the sentence and the exit code that an error ends the command with.

    Args:
        error: What went wrong.
        option: By which the server's URL is given.
    """
    if isinstance(error, ServerUnreachable):
        return CommandError(Exit.NO_SERVER, f"{error} with {option}")
    if isinstance(error, (InvocationNotFound, NotFound)):
        return CommandError(Exit.NOT_FOUND, str(error))
    if isinstance(error, (NotAnAdminApi, UnsupportedServer)):
        return CommandError(Exit.NO_SERVER, str(error))
    if isinstance(error, ClientError) and not isinstance(error, ServerUnavailable):
        return CommandError(Exit.NO_SERVER, str(error))
    return CommandError(Exit.REFUSED, str(error))


async def _run(command: AdminCommand, arguments: Namespace) -> None:
    try:
        admin = AdminClient(arguments.admin_url, token=arguments.token)
    except ValueError as error:
        raise CommandError(Exit.USAGE, str(error)) from None
    async with admin:
        await command(arguments, admin)
