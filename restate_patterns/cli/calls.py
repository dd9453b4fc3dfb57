"""`call` and `send` from the shell."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from argparse import Namespace
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from restate_patterns.cli.exits import CommandError, Exit
from restate_patterns.cli.meant import target_meant
from restate_patterns.cli.output import print_json, print_output, say
from restate_patterns.client.errors import ClientError, InvocationPaused, RequestRefused, ServerUnavailable
from restate_patterns.client.http_caller import HttpCaller
from restate_patterns.errors import TerminalError
from restate_patterns.seam import Request, Target
from restate_patterns.text.durations import parse_duration_ms
from restate_patterns.values.failures import to_failure

_NOT_FOUND: Final = 404


def call(arguments: Namespace) -> None:
    """Call a handler and print its output."""
    output = asyncio.run(_call(arguments))
    if output:
        print_output(output)


def send(arguments: Namespace) -> None:
    """Send to a handler and print the invocation id."""
    invocation_id = asyncio.run(_send(arguments))
    if arguments.json:
        print_json({"invocationId": invocation_id})
    else:
        say(invocation_id)


async def _call(arguments: Namespace) -> bytes:
    caller = _caller(arguments)
    try:
        timeout_s = None if arguments.timeout is None else _duration_ms(arguments.timeout) / 1000
        return await caller.call(_request(arguments), timeout_s)
    except TerminalError as error:
        raise await _failed(error, arguments) from None
    except TimeoutError as error:
        raise CommandError(Exit.NOT_ENDED, f"{error}; {_where_listed(arguments)}") from None
    except ClientError as error:
        raise _no_server(error) from None
    finally:
        await caller.aclose()


async def _send(arguments: Namespace) -> str:
    caller = _caller(arguments)
    try:
        delay_ms = 0 if arguments.delay is None else _duration_ms(arguments.delay)
        return await caller.send(_request(arguments), delay_ms)
    except TerminalError as error:
        raise await _failed(error, arguments) from None
    except ClientError as error:
        raise _no_server(error) from None
    finally:
        await caller.aclose()


def _caller(arguments: Namespace) -> HttpCaller:
    try:
        return HttpCaller(arguments.ingress_url, token=arguments.token)
    except ValueError as error:
        raise CommandError(Exit.USAGE, str(error)) from None


def _request(arguments: Namespace) -> Request:
    body = _body(arguments.body)
    headers: dict[str, str] = {}
    for header in arguments.header:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise CommandError(Exit.USAGE, f"the header {header!r} must be written as 'name: value'")
        headers[name.strip().lower()] = value.strip()
    if body and headers.setdefault("content-type", "application/json") == "application/json":
        try:
            json.loads(body)
        except (ValueError, RecursionError) as error:
            raise CommandError(
                Exit.USAGE,
                f"the body is not JSON ({error}); write text with its quotes, as in '\"text\"', or give "
                "another type with --header 'content-type: ...'",
            ) from None
    return Request(_target(arguments.target), body, headers, arguments.idempotency_key)


def _target(text: str) -> Target:
    parts = [unquote(part) for part in text.strip("/").split("/")]
    if len(parts) == 2 and all(parts):
        return Target(parts[0], parts[1])
    if len(parts) == 3 and all(parts):
        return Target(parts[0], parts[2], parts[1])
    raise CommandError(
        Exit.USAGE,
        f"the target {text!r} must be Service/handler or Object/key/handler; a slash in a key is %2F",
    )


def _body(text: str | None) -> bytes:
    if text is None:
        return b""
    if text == "-":
        return sys.stdin.buffer.read()
    if text.startswith("@"):
        try:
            return Path(text[1:]).read_bytes()
        except OSError as error:
            raise CommandError(Exit.USAGE, f"cannot read the body from {text[1:]}: {error.strerror}") from None
    return text.encode()


def _duration_ms(text: str) -> int:
    try:
        return parse_duration_ms(text)
    except ValueError as error:
        raise CommandError(Exit.USAGE, str(error)) from None


async def _failed(error: TerminalError, arguments: Namespace) -> CommandError:
    if arguments.json:
        failure = to_failure(error)
        body = {"code": failure.code, "message": failure.message, "metadata": dict(failure.metadata)}
        print_json({"error": body})
    if not isinstance(error, RequestRefused):
        return CommandError(Exit.FAILED, f"failed with {error.code}: {error.message}")
    if error.code != _NOT_FOUND:
        return CommandError(Exit.REFUSED, f"refused with {error.code}: {error.message}")
    meant = await target_meant(_target(arguments.target), arguments.ingress_url)
    return CommandError(Exit.NOT_FOUND, f"{error.message}{meant}")


def _where_listed(arguments: Namespace) -> str:
    target = _target(arguments.target)
    key = "" if target.key is None else f" --key {shlex.quote(target.key)}"
    again = ", and the same call with its key waits for it again" if arguments.idempotency_key else ""
    listing = f"restate-patterns invocations list --service {target.service} --handler {target.handler}{key}"
    return f"see it with {listing}{again}"


def _no_server(error: ClientError) -> CommandError:
    if isinstance(error, InvocationPaused):
        return CommandError(Exit.NOT_ENDED, str(error))
    code = Exit.REFUSED if isinstance(error, ServerUnavailable) else Exit.NO_SERVER
    return CommandError(code, str(error))
