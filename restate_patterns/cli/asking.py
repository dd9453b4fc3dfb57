"""Commands that are ordinary calls of the ingress, so they are the same on each backend."""

from __future__ import annotations

import asyncio
import os
from argparse import Namespace
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

from restate_patterns.admin import AdminError, EngineError
from restate_patterns.cli.admin import command_error
from restate_patterns.cli.exits import CommandError, Exit
from restate_patterns.cli.tokens import INGRESS_TOKEN, add_token
from restate_patterns.client import Client
from restate_patterns.client.errors import ClientError, ServerUnavailable
from restate_patterns.errors import TerminalError

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction  # pyright: ignore[reportPrivateUsage] - a public result

AskingCommand: TypeAlias = Callable[[Namespace, Client], Coroutine[Any, Any, None]]

_NOT_FOUND = 404


def add_asking(
    verbs: _SubParsersAction[ArgumentParser],
    name: str,
    run: AskingCommand,
    text: str,
    *,
    unknown: tuple[type[TerminalError], ...],
    not_hosted: str,
) -> ArgumentParser:
    """Add a command that asks the ingress.

    Args:
        verbs: Where to.
        name: What is typed.
        run: What it does.
        text: What the help says of it.
        unknown: The errors that say that there is no such thing.
        not_hosted: What to say where the app there does not host what is asked.
    """
    sub = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    sub.add_argument(
        "--ingress-url",
        default=os.environ.get("RESTATE_INGRESS_URL", "http://127.0.0.1:8080"),
        metavar="URL",
        help="the ingress (RESTATE_INGRESS_URL, or %(default)s)",
    )
    sub.add_argument("--json", action="store_true", help="print JSON")
    add_token(sub, INGRESS_TOKEN)

    def ask(arguments: Namespace) -> None:
        asyncio.run(_ask(arguments, run, unknown, not_hosted))

    defaults: dict[str, Any] = {"run": ask}
    sub.set_defaults(**defaults)
    return sub


async def _ask(
    arguments: Namespace, run: AskingCommand, unknown: tuple[type[TerminalError], ...], not_hosted: str
) -> None:
    try:
        client = Client(arguments.ingress_url, token=arguments.token)
    except ValueError as error:
        raise CommandError(Exit.USAGE, str(error)) from None
    async with client:
        try:
            await run(arguments, client)
        except unknown as error:
            raise CommandError(Exit.NOT_FOUND, str(error)) from None
        except TerminalError as error:
            if error.code != _NOT_FOUND:
                raise CommandError(Exit.FAILED, f"failed with {error.code}: {error.message}") from None
            raise CommandError(Exit.NOT_FOUND, f"{not_hosted} ({error.message})") from None
        except (AdminError, EngineError) as error:
            raise command_error(error) from None
        except ClientError as error:
            code = Exit.REFUSED if isinstance(error, ServerUnavailable) else Exit.NO_SERVER
            raise CommandError(code, str(error)) from None
