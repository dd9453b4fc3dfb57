"""`sagas ...`: find the sagas that are stuck, and decide how they go on; see what a saga did.

Ordinary calls of the ingress, so it is the same on each backend. The app must host `saga_services()`.
"""

from __future__ import annotations

import getpass
import json
from argparse import Namespace
from typing import TYPE_CHECKING, Final

from restate_patterns.cli.asking import AskingCommand, add_asking
from restate_patterns.cli.beside import admin_by
from restate_patterns.cli.exits import CommandError, Exit
from restate_patterns.cli.ids import is_whole, whole_id
from restate_patterns.cli.output import ago, print_fields, print_json, print_table, say, say_lines, tell
from restate_patterns.cli.trying_sagas import TryingStep, trying_steps
from restate_patterns.client import Client
from restate_patterns.patterns.saga.desk import DESK, Decision, DecisionRequest, SagaLog, StuckSagas, StuckStep
from restate_patterns.patterns.saga.diagram import saga_diagram
from restate_patterns.patterns.saga.errors import NotStuck, UnknownSaga
from restate_patterns.patterns.saga.record import SagaRecord, SagaStep
from restate_patterns.system.clock import wall_ms

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction  # pyright: ignore[reportPrivateUsage] - a public result

_VERBS: Final = (
    ("resume", "try again what is stuck"),
    ("skip", "let it be: the saga ends with an error that says so"),
    ("supply", "say that it was done by hand, and what the result is"),
)

_NOT_HOSTED: Final = "no app there hosts the desk of stuck sagas: write `App([..., *saga_services()])`"

_SECOND: Final = 2


def add_to(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add `sagas` to the commands."""
    group = commands.add_parser("sagas", help="sagas that are stuck, and what sagas did")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    _add(verbs, "list", _list, "list what is stuck, oldest first")
    show = _add(verbs, "show", _show, "show what a saga did: one that is stuck, was, or is logged")
    show.add_argument("saga", help="its id: the id of its invocation")
    show.add_argument("--mermaid", action="store_true", help="print a sequence diagram")
    for name, text in _VERBS:
        sub = _add(verbs, name, _decide, text)
        sub.add_argument("saga", help="its id: the id of its invocation")
        if name == "supply":
            sub.add_argument("result", nargs="?", default="null", help="as JSON (default: %(default)s)")
        sub.add_argument("--step", type=int, metavar="N", help="which of its steps (default: all that are stuck)")
        sub.add_argument(
            "--reason", required=name == "skip", default="", help="kept in its record, and told its caller"
        )
        sub.add_argument("--by", default=None, metavar="NAME", help="who decides (default: the user)")
        sub.set_defaults(action=name)


def _add(verbs: _SubParsersAction[ArgumentParser], name: str, run: AskingCommand, text: str) -> ArgumentParser:
    return add_asking(verbs, name, run, text, unknown=(NotStuck, UnknownSaga), not_hosted=_NOT_HOSTED)


async def _list(arguments: Namespace, client: Client) -> None:
    stuck = await client.object_client(StuckSagas, DESK).list_all()
    known = await trying_steps(arguments.ingress_url)
    trying = known or ()
    if known is None:
        tell("what is tried again is not shown: the admin API, which knows it, does not answer")
    if arguments.json:
        again = None
        if known is not None:
            again = [{"saga": each.saga, "target": str(each.target), **each.next_try._asdict()} for each in known]
        print_json({"stuck": [step.model_dump(mode="json") for step in stuck], "trying": again})
    elif not stuck:
        say("no saga is stuck")
    else:
        now_ms = wall_ms()
        print_table(("ID", "SAGA", "STEP", "SINCE", "ERROR"), [_row(step, now_ms) for step in stuck])
    if trying and not arguments.json:
        say()
        say("not stuck yet, but refused and tried again:")
        print_table(("ID", "TARGET", "STEP", "NOTE"), [_trying_row(step) for step in trying])


def _row(step: StuckStep, now_ms: int) -> tuple[str, ...]:
    since = ago(step.since.isoformat() if step.since else None, now_ms)
    return step.saga, step.saga_name, f"{step.number} {step.name}", since, f"{step.error.code}: {step.error.message}"


def _trying_row(step: TryingStep) -> tuple[str, ...]:
    number, what, until = step.next_try
    refused = "once" if number == _SECOND else f"{number - 1} times"
    return step.saga, str(step.target), what, f"refused {refused}, waits until {until}"


async def _show(arguments: Namespace, client: Client) -> None:
    record = await client.object_client(SagaLog, await _whole_saga(arguments)).show()
    if arguments.mermaid:
        say_lines(saga_diagram(record).removesuffix("\n"))
    elif arguments.json:
        print_json(record.model_dump(mode="json"))
    else:
        _print(record)


def _print(record: SagaRecord) -> None:
    print_fields(
        [
            ("id", record.id),
            ("saga", record.name),
            ("status", record.state.value),
            ("started", record.started_at.isoformat(timespec="milliseconds") if record.started_at else ""),
            ("updated", record.updated_at.isoformat(timespec="milliseconds") if record.updated_at else ""),
            ("error", f"{record.error.code}: {record.error.message}" if record.error else ""),
            ("would undo", record.owed),
        ]
    )
    if record.steps:
        say()
        print_table(
            ("#", "KIND", "STEP", "STATE", "NOTE"),
            [(str(step.number), step.kind.value, step.name, step.state.value, _note(step)) for step in record.steps],
        )


async def _whole_saga(arguments: Namespace) -> str:
    """Return the id of a saga that may be given shortened, as that of its invocation may."""
    invocation, dot, number = arguments.saga.replace("...", "…").partition(".")
    if is_whole(invocation):
        return str(arguments.saga)
    async with admin_by(arguments.ingress_url) as admin:
        return f"{await whole_id(invocation, admin)}{dot}{number}"


def _note(step: SagaStep) -> str:
    error = [] if step.last_error is None else [f"{step.last_error.code}: {step.last_error.message}"]
    return "; ".join([*error, *step.decisions])


async def _decide(arguments: Namespace, client: Client) -> None:
    decision = Decision(action=arguments.action, reason=arguments.reason, by=arguments.by or getpass.getuser())
    if arguments.action == "supply":
        try:
            decision = decision.model_copy(update={"result": json.loads(arguments.result)})
        except ValueError as error:
            raise CommandError(
                Exit.USAGE, f"the result is not JSON ({error}); write text with its quotes, as in '\"text\"'"
            ) from None
    request = DecisionRequest(saga=await _whole_saga(arguments), number=arguments.step, decision=decision)
    decided = await client.object_client(StuckSagas, DESK).decide(request)
    if arguments.json:
        print_json({"decided": [step.model_dump(mode="json") for step in decided]})
    for step in [] if arguments.json else decided:
        say(f"{step.saga}: step {step.number}, {step.name}: {decision.words()}")
