"""The command line: what can be typed, and how it ends."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from restate_patterns.cli import (
    calls,
    completion,
    deployments,
    dev,
    embedded,
    invocations,
    kv,
    logs,
    migrate,
    sagas,
    schedules,
    serve,
    server,
    services,
    streams,
)
from restate_patterns.cli.admin import AdminCommand, run_admin
from restate_patterns.cli.durations import duration
from restate_patterns.cli.exits import CommandError, Exit
from restate_patterns.cli.loading import add_app
from restate_patterns.cli.output import complain
from restate_patterns.cli.parsing import Parser
from restate_patterns.cli.tokens import ADMIN_TOKEN, INGRESS_TOKEN, add_token
from restate_patterns.engine.interface import InvocationStatus
from restate_patterns.limits import LIST_LIMIT_MAX
from restate_patterns.server import DEFAULT_DIRECTORY, VERSION

if TYPE_CHECKING:
    from argparse import _SubParsersAction  # pyright: ignore[reportPrivateUsage] - the type of a public result

    Subparsers = _SubParsersAction[ArgumentParser]

_EXITS: Final = """\
exit codes:
  0  done
  1  the called handler ended with a terminal error
  2  the command line, or the app it names, is wrong
  3  no server answers there, or none of ours
  4  there is no such invocation, service, handler, key or deployment
  5  the server refuses, or a file cannot be carried whole
  6  a server cannot start or died: port taken, file not usable, not installed
  7  it was done, and what it has to say cannot be written: the disk is full
  8  the call goes on: its --timeout ran out, or it is paused
"""

_ID_HELP: Final = "the invocation id; its beginning is enough, or what a table shows of it, if no other has the same"

_INTERNAL_HELP: Final = "the framework's own services, too"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit code."""
    streams.open_closed()
    try:
        try:
            parsed = parser().parse_args(arguments)
            parsed.run(parsed)
        finally:
            streams.flush()
    except CommandError as error:
        complain(str(error), error.output)
        return error.code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        streams.drop_output()
    return Exit.DONE


def parser() -> ArgumentParser:
    """Give the parser of the whole command line."""
    root = _root()
    root.add_argument("--version", action="version", version=f"%(prog)s {version('restate-patterns')}")
    commands = root.add_subparsers(metavar="COMMAND", required=True)
    _add_dev(commands)
    serve.add_to(commands)
    _add_call(commands, "call", calls.call, "call a handler and print its output")
    _add_call(commands, "send", calls.send, "send to a handler and print the invocation id")
    _add_invocations(commands)
    _add_services(commands)
    _add_deployments(commands)
    _add_kv(commands)
    sagas.add_to(commands)
    schedules.add_to(commands)
    _add_server(commands)
    migrate.add_to(commands)
    _add_completion(commands, root)
    return root


def _root() -> ArgumentParser:
    return Parser(
        prog="restate-patterns",
        description="Durable services on a SQLite file or a Restate server: serve them, call them, see what they do.",
        epilog=_EXITS,
        formatter_class=RawDescriptionHelpFormatter,
    )


def _add_completion(commands: Subparsers, root: ArgumentParser) -> None:
    text = "print what a shell needs to complete this command"
    sub = commands.add_parser("completion", help=text, description=f"{text[0].upper()}{text[1:]}.")
    sub.add_argument("shell", choices=completion.SHELLS, help="bash, zsh or fish")
    sub.set_defaults(run=partial(completion.complete, root=root))


def _add_dev(commands: Subparsers) -> None:
    sub = commands.add_parser(
        "dev", help="serve an app, again after each change of its code", description="Serve an app."
    )
    add_app(sub)
    logs.add_level(sub, default="info")
    embedded.add_options(sub)
    sub.add_argument("--no-reload", dest="reload", action="store_false", help="keep serving the old code")
    sub.set_defaults(run=dev.dev)


def _add_call(commands: Subparsers, name: str, run: Callable[[Namespace], None], text: str) -> None:
    sub = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    sub.add_argument("target", help="Service/handler, or Object/key/handler; a slash in a key is %%2F")
    sub.add_argument("body", nargs="?", help="the argument as JSON; @FILE reads a file, - standard input")
    sub.add_argument("--idempotency-key", metavar="KEY", help="requests with the same key happen once")
    sub.add_argument("--header", action="append", default=[], metavar="'NAME: VALUE'", help="may be repeated")
    if name == "call":
        sub.add_argument("--timeout", metavar="DURATION", help="the longest wait, as 10s or PT10S")
    else:
        sub.add_argument("--delay", metavar="DURATION", help="when to start, as 10s, 15m or PT10S")
    sub.add_argument(
        "--ingress-url",
        default=os.environ.get("RESTATE_INGRESS_URL", "http://127.0.0.1:8080"),
        metavar="URL",
        help="the ingress (RESTATE_INGRESS_URL, or %(default)s)",
    )
    _add_common(sub, INGRESS_TOKEN)
    sub.set_defaults(run=run)


def _add_invocations(commands: Subparsers) -> None:
    group = commands.add_parser("invocations", aliases=["inv"], help="see what runs and why it waits; act on it")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    listing = _admin_command(verbs, "list", invocations.list_invocations, "list invocations, newest first")
    listing.add_argument("--service", help="of this service")
    listing.add_argument("--handler", help="of this handler")
    listing.add_argument("--key", help="of this key")
    known = ",".join(status.value for status in InvocationStatus)
    listing.add_argument("--status", metavar="STATUS[,STATUS]", help=f"in one of these: {known}")
    listing.add_argument("--failed", action="store_true", help="those that have ended with an error")
    listing.add_argument("--all", action="store_true", help="completed ones too")
    listing.add_argument("--internal", action="store_true", help=_INTERNAL_HELP)
    listing.add_argument(
        "--watch",
        nargs="?",
        type=_seconds,
        const=2.0,
        metavar="SECONDS",
        help="list again each 2 seconds, or so many, until Ctrl-C",
    )
    listing.add_argument("--limit", type=int, default=50, metavar="N", help=f"at most {LIST_LIMIT_MAX} (%(default)s)")
    describe = _admin_command(verbs, "describe", invocations.describe, "show one invocation with its journal")
    describe.add_argument("id", help=_ID_HELP)
    for name, verb, text in (
        ("cancel", "cancel", "ask invocations to cancel; they may undo"),
        ("kill", "kill", "end invocations without running any of their code"),
        ("pause", "pause", "stop trying until they are resumed"),
        ("resume", "resume", "try again now"),
        ("restart", "restart-as-new", "start completed invocations again, as new ones"),
        ("purge", "purge", "forget completed invocations now"),
    ):
        sub = _admin_command(verbs, name, invocations.verb(verb), text)
        sub.add_argument("ids", nargs="+", metavar="ID", help=_ID_HELP)
        if name in ("kill", "restart"):
            sub.add_argument("--yes", "-y", action="store_true", help="do not ask")


def _add_services(commands: Subparsers) -> None:
    group = commands.add_parser("services", help="what the server hosts")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    listing = _admin_command(verbs, "list", services.list_services, "list services and their handlers")
    listing.add_argument("--internal", action="store_true", help=_INTERNAL_HELP)
    describe = _admin_command(verbs, "describe", services.describe, "show the handlers of a service")
    describe.add_argument("name", help="the service")
    document = _admin_command(verbs, "openapi", services.openapi, "print the OpenAPI document of a service")
    document.add_argument("name", help="the service")


def _add_kv(commands: Subparsers) -> None:
    group = commands.add_parser("kv", help="the state of an object or workflow")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    for name, run, text in (
        ("get", kv.get, "show the state of a key"),
        ("set", kv.set_value, "write one name, in the key's turn"),
        ("clear", kv.clear, "remove names, or all, in the key's turn"),
    ):
        sub = _admin_command(verbs, name, run, text)
        sub.add_argument("service", help="the object or workflow")
        sub.add_argument("key", help="its key")
        if name == "clear":
            sub.add_argument("names", nargs="*", metavar="NAME", help="which state (default: all)")
        else:
            sub.add_argument("name", nargs="?" if name == "get" else None, help="which state")
        if name == "set":
            sub.add_argument("value", help="the new value, as JSON")


def _add_server(commands: Subparsers) -> None:
    group = commands.add_parser("server", help="a real Restate server on this machine")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    text = f"download restate-server {VERSION} with npm"
    sub = verbs.add_parser("install", help=text, description=f"{text[0].upper()}{text[1:]}.")
    sub.add_argument("--dir", default=str(DEFAULT_DIRECTORY), metavar="DIR", help="where to (default: %(default)s)")
    sub.set_defaults(run=server.install_server)

    text = "run a server, or a cluster, on loopback"
    sub = verbs.add_parser("run", help=text, description=f"{text[0].upper()}{text[1:]}.")
    sub.add_argument("--nodes", type=int, default=1, metavar="N", help="three go on when one dies (%(default)s)")
    sub.add_argument("--replication", type=int, metavar="N", help="nodes that have each record (default: a majority)")
    sub.add_argument("--dir", metavar="DIR", help=f"where data and logs stay ({DEFAULT_DIRECTORY}/data-NODES)")
    following = "of the first node; others take the next ones, 0 free ones (%(default)s)"
    sub.add_argument("--ingress-port", type=int, default=8080, metavar="N", help=f"the ingress {following}")
    sub.add_argument("--admin-port", type=int, default=9070, metavar="N", help=f"the admin API {following}")
    sub.add_argument("--inactivity-timeout", type=duration, metavar="DURATION", help="suspend what is idle so long")
    sub.add_argument("--abort-timeout", type=duration, metavar="DURATION", help="then cut off what goes on so long")
    sub.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of its configuration, as worker.invoker.inactivity-timeout=1m; may be repeated",
    )
    sub.add_argument("--request-identity-key", metavar="FILE", help="the private key (PEM) that signs its requests")
    sub.add_argument("--server-dir", default=str(DEFAULT_DIRECTORY), metavar="DIR", help="where it is installed")
    sub.set_defaults(run=server.run_server)


def _add_deployments(commands: Subparsers) -> None:
    group = commands.add_parser("deployments", aliases=["dp"], help="the endpoints that a Restate server calls")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    _admin_command(verbs, "list", deployments.list_deployments, "list what is registered")
    register = _admin_command(verbs, "register", deployments.register, "make the services of an endpoint known")
    register.add_argument("url", metavar="URL", help="where it is, as the server reaches it; the ARN of a function")
    register.add_argument("--force", action="store_true", help="take what is at a registered URL now (development)")
    register.add_argument("--breaking", action="store_true", help="services may change kind or lose handlers")
    register.add_argument("--http1", action="store_true", help="it speaks HTTP/1.1 only, and suspends at every wait")
    register.add_argument("--assume-role", metavar="ARN", help="the role in which the server invokes the function")
    remove = _admin_command(verbs, "remove", deployments.remove, "forget a deployment, also with work in flight")
    remove.add_argument("id", metavar="ID", help="the deployment id")


def _admin_command(verbs: Subparsers, name: str, run: AdminCommand, text: str) -> ArgumentParser:
    sub = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    sub.add_argument(
        "--admin-url",
        default=os.environ.get("RESTATE_ADMIN_URL", "http://127.0.0.1:9070"),
        metavar="URL",
        help="the admin API (RESTATE_ADMIN_URL, or %(default)s)",
    )
    _add_common(sub, ADMIN_TOKEN)

    defaults: dict[str, Any] = {"run": partial(run_admin, run)}
    sub.set_defaults(**defaults)
    return sub


def _add_common(sub: ArgumentParser, token_variable: str) -> None:
    sub.add_argument("--json", action="store_true", help="print JSON")
    add_token(sub, token_variable)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise ValueError
    return seconds
