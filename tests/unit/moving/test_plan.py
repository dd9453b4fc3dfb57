"""What a plan carries, in which order, and what it refuses and why; no file and no server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from restate_patterns.admin.services import HandlerView, ServiceView
from restate_patterns.embedded.inventory import Finished, KeyState, Pending, StoredPromise
from restate_patterns.embedded.moves import Sent
from restate_patterns.embedded.records import Status
from restate_patterns.errors import Failure
from restate_patterns.limits import RESTATE_BODY_BYTES_MAX, RETENTION_MS
from restate_patterns.moving.plan import (
    Identity,
    Plan,
    PromiseThere,
    ServerFacts,
    There,
    carried,
    identity_of,
    plan_promises,
    plan_sends,
    plan_states,
)
from restate_patterns.moving.refusals import REMEDIES, Why
from restate_patterns.seam import ServiceKind, Target

NOW_MS = 1_000_000
NOTHING = Finished(count=0, keyed_count=0, runs_count=0, until_ms=None)
PUT = Target("Depot", "put", "k")


def service(name: str, kind: ServiceKind, *handlers: HandlerView, public: bool = True) -> ServiceView:
    return ServiceView(name=name, kind=kind, handlers=handlers, deployment_id="dp_1", revision=1, public=public)


def handler(name: str, kind: str | None, **more: object) -> HandlerView:
    return replace(HandlerView(name=name, kind=kind, input_description="JSON string"), **more)  # type: ignore[arg-type]  # fields by name


SERVICES = {
    each.name: each
    for each in (
        service(
            "Depot",
            ServiceKind.VIRTUAL_OBJECT,
            handler("put", "Exclusive"),
            handler("list", "Shared", input_description="none"),
            handler("secret", "Exclusive", public=False),
            handler("short", "Exclusive", retention_s=0.0),
        ),
        service("Route", ServiceKind.WORKFLOW, handler("run", "Workflow"), handler("tell", "Shared")),
        service("Letters", ServiceKind.SERVICE, handler("post", None)),
        service("Hidden", ServiceKind.SERVICE, handler("post", None), public=False),
    )
}
FACTS = ServerFacts(SERVICES)


def waiting(num: int, target: Target = PUT, **more: object) -> Pending:
    """Give a send in the line of its key."""
    found = Pending(num=num, id=f"inv_{num}", target=target, status=Status.QUEUED, body_bytes=3, place=num)
    return replace(found, **more)  # type: ignore[arg-type]  # fields by name


def delayed(num: int, due_ms: int, sequence: int = 0, **more: object) -> Pending:
    return waiting(num, **{"status": Status.SCHEDULED, "place": None, "due": (due_ms, sequence), **more})  # type: ignore[arg-type]  # fields by name


def run_of(num: int, key: str = "r", **more: object) -> Pending:
    return delayed(num, NOW_MS + 10, **{"target": Target("Route", "run", key), "is_run": True, **more})  # type: ignore[arg-type]  # fields by name


def planned(*pending: Pending, sent: Mapping[int, Sent] | None = None, facts: ServerFacts = FACTS) -> Plan:
    return plan_sends(pending, sent or {}, facts, NOTHING, NOW_MS)


def test_sends_go_in_the_order_in_which_they_would_start() -> None:
    plan = planned(
        delayed(1, NOW_MS + 50, 9),
        delayed(2, NOW_MS - 50, 3),
        waiting(3, place=8),
        delayed(4, NOW_MS - 50, 2),
        waiting(5, place=7),
        delayed(6, NOW_MS + 50, 8),
    )
    assert [each.num for each in plan.sends] == [5, 3, 4, 2, 6, 1]
    assert plan.refusals == []


ODD: dict[str, tuple[Pending, Why]] = {
    "begun": (waiting(1, status=Status.SUSPENDED, begun=True), Why.BEGUN),
    "a cancel that it has not met": (waiting(1, status=Status.ACTIVE, begun=True), Why.BEGUN),
    "a signal that it has not heard": (waiting(1, signalled=True), Why.BEGUN),
    "paused, not begun": (waiting(1, status=Status.PAUSED, failure="no"), Why.PAUSED),
    "called by who waits": (waiting(1, awaited_by="inv_9"), Why.AWAITED),
    "no service": (waiting(1, Target("Nobody", "put", "k")), Why.SERVICE_MISSING),
    "service for object": (waiting(1, Target("Letters", "post", "k")), Why.SERVICE_KIND),
    "object for service": (waiting(1, Target("Depot", "put"), place=None), Why.SERVICE_KIND),
    "object for workflow": (run_of(1, target=Target("Depot", "put", "k")), Why.SERVICE_KIND),
    "no handler": (waiting(1, Target("Depot", "gone", "k")), Why.HANDLER_MISSING),
    "shared there": (waiting(1, Target("Depot", "list", "k"), body_bytes=0), Why.HANDLER_KIND),
    "exclusive there": (waiting(1, place=None), Why.HANDLER_KIND),
    "run there": (delayed(1, 0, target=Target("Route", "run", "k")), Why.HANDLER_KIND),
    "private": (waiting(1, Target("Depot", "secret", "k")), Why.COURIER),
    "private service": (waiting(1, Target("Hidden", "post"), place=None), Why.COURIER),
    "a header of letters": (waiting(1, headers={"x-a": "ü"}), Why.COURIER),
    "a header of two lines": (waiting(1, headers={"x-a": "a\nb"}), Why.COURIER),
    "a header with a blank in its name": (waiting(1, headers={"x a": "b"}), Why.COURIER),
    "too large": (waiting(1, body_bytes=RESTATE_BODY_BYTES_MAX + 1), Why.BODY),
    "no argument there": (delayed(1, 0, target=Target("Depot", "list", "k")), Why.BODY),
    "letters": (waiting(1, idempotency_key="ü"), Why.IDEMPOTENCY_KEY),
    "blank at its end": (waiting(1, idempotency_key="a "), Why.IDEMPOTENCY_KEY),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_refused(name: str) -> None:
    pending, why = ODD[name]
    plan = planned(pending, facts=ServerFacts(SERVICES, courier=False))
    assert [each.why for each in plan.refusals] == [why]
    assert plan.sends == []


def test_a_courier_reaches_private_handlers() -> None:
    plan = planned(*(ODD[name][0] for name in ("private", "private service", "a header of letters")))
    assert len(plan.sends) == 3


def test_what_has_only_failed_is_sent() -> None:
    """An attempt that ended before its first operation has left nothing."""
    plan = planned(waiting(1, status=Status.BACKING_OFF, failure="closed"), waiting(2, status=Status.ACTIVE))
    assert [each.num for each in plan.sends] == [1, 2]


def test_every_reason_has_a_remedy() -> None:
    assert set(REMEDIES) == set(Why)


def test_identities() -> None:
    assert identity_of(waiting(1)).idempotency_key == "moved-inv_1"
    assert identity_of(waiting(1, idempotency_key="mine")).idempotency_key == "mine"
    assert identity_of(run_of(1)) == Identity("Route", "run", "r", None)


def test_what_is_there_before_the_move_is_not_joined() -> None:
    keyed = waiting(1, idempotency_key="mine")
    facts = ServerFacts(SERVICES, known={identity_of(keyed): There("inv_x"), identity_of(run_of(2)): There("inv_y")})
    plan = planned(keyed, run_of(2), waiting(3), facts=facts)
    assert [each.why for each in plan.refusals] == [Why.ALREADY_THERE] * 2
    assert [each.num for each in plan.sends] == [3]


def test_a_broken_off_move_goes_on() -> None:
    doubtful, later = waiting(2), delayed(4, NOW_MS + 10)
    facts = ServerFacts(SERVICES, known={identity_of(doubtful): There("inv_b"), identity_of(later): There("inv_d", 7)})
    sent = {
        1: Sent(NOW_MS - 5, "inv_a", NOW_MS),
        2: Sent(NOW_MS - 5, None, None),
        3: Sent(NOW_MS - 5, None, None),
        4: Sent(NOW_MS - 5, None, None),
    }
    plan = planned(waiting(1), doubtful, waiting(3), later, run_of(5), sent=sent, facts=facts)
    assert plan.sent_before == 1
    assert plan.found == {2: There("inv_b"), 4: There("inv_d", 7)}
    assert [each.num for each in plan.sends] == [3, 5]
    assert plan.doubtful == {3}
    assert plan.runs >= {1, 2, 3, 4, 5}


def test_a_send_that_may_be_forgotten_there_is_not_sent_again() -> None:
    long_ago = Sent(NOW_MS - RETENTION_MS, None, None)
    assert [each.why for each in planned(waiting(1), sent={1: long_ago}).refusals] == [Why.IN_DOUBT]
    short = waiting(1, Target("Depot", "short", "k"))
    just_now = Sent(NOW_MS, None, None)
    assert [each.why for each in planned(short, sent={1: just_now}).refusals] == [Why.IN_DOUBT]
    assert planned(waiting(1), sent={1: just_now}).refusals == []
    # What is not due yet has not ended, so it cannot be forgotten.
    assert planned(delayed(1, NOW_MS + 1), sent={1: long_ago}).refusals == []


def promise(run: int | None = None, **more: object) -> StoredPromise:
    found = StoredPromise(service="Route", key="r", name="word", value=b'"x"', failure=None, run=run)
    return replace(found, **more)  # type: ignore[arg-type]  # fields by name


def test_promises_before_their_run() -> None:
    plan = planned(run_of(1), run_of(2, "s"))
    plan_promises(plan, [promise(1), promise(99, key="done")], FACTS)
    plan.leave_held()
    assert [each.why for each in plan.refusals] == [Why.PROMISE, Why.KEY]
    assert [each.num for each in plan.sends] == [2]
    assert plan.runs == {2}


@pytest.mark.parametrize(
    ("stored", "there", "same"),
    [
        (promise(), PromiseThere(b'"x"', None), True),
        (promise(), PromiseThere(b'"y"', None), False),
        (promise(), PromiseThere(None, "[500] x"), False),
        (promise(value=None, failure=Failure(409, "late")), PromiseThere(None, "[409] late"), True),
        (promise(value=None, failure=Failure(409, "late")), PromiseThere(b"", None), False),
    ],
)
def test_promises_that_are_there(stored: StoredPromise, there: PromiseThere, *, same: bool) -> None:
    plan = planned()
    plan_promises(plan, [stored], ServerFacts(SERVICES, promises={("Route", "r", "word"): there}))
    assert (plan.promises_there == 1) is same
    assert bool(plan.refusals) is not same


def state(key: str, service: str = "Depot", run: int | None = None, **values: bytes) -> KeyState:
    return KeyState(service=service, key=key, values=values, run=run)


def test_state_is_written_where_there_is_none_or_the_same() -> None:
    states = [state("new", a=b"1"), state("same", a=b"1"), state("other", a=b"1", b=b"2")]
    plan = planned(waiting(1, Target("Depot", "put", "other")), waiting(2))
    plan_states(plan, states, {"same": {"a": b"1"}, "other": {"a": b"1"}}, FACTS)
    plan.leave_held()
    assert [(each.why, each.subject) for each in plan.refusals] == [
        (Why.STATE_DIFFERS, "Depot/other"),
        (Why.KEY, "Depot/other/put"),
    ]
    assert plan.refusals[0].reason.endswith("b")
    assert (plan.state.keys, plan.state.values) == (2, 2)
    assert [each.key for each in carried(plan, states)] == ["new", "same"]


def test_state_that_is_too_much_and_state_of_nobody() -> None:
    plan = planned()
    plan_states(plan, [state("k", big=bytes(range(128, 256)) * 4_500)], {}, FACTS)  # no text: four times as long
    plan_states(plan, [state("k", "Nobody", a=b"1")], {}, FACTS)
    plan_states(plan, [state("k", "Letters", a=b"1")], {}, FACTS)
    assert [each.why for each in plan.refusals] == [Why.STATE_SIZE, Why.SERVICE_MISSING, Why.SERVICE_KIND]


def test_the_state_of_a_workflow_goes_with_its_run() -> None:
    states = [
        state("r", "Route", run=1, at=b"1"),
        state("done", "Route", run=7, at=b"1"),
        state("no run", "Route", a=b"1"),
    ]
    plan = planned(run_of(1))
    plan_states(plan, states, {}, FACTS)
    assert plan.state.left_keys == 1
    assert [each.key for each in carried(plan, states)] == ["r", "no run"]
