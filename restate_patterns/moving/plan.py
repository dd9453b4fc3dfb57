"""What of a file is carried to a server and what is refused. Pure: it reads neither file nor server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from restate_patterns.admin.connection import body_bytes
from restate_patterns.admin.key_state import State, write_body
from restate_patterns.embedded.inventory import Finished, KeyState, Pending, StoredPromise
from restate_patterns.embedded.moves import Sent
from restate_patterns.embedded.records import Status
from restate_patterns.limits import RESTATE_STATE_BYTES_MAX
from restate_patterns.moving.checks import Services, handler_of, retention_ms, service_refusal, target_refusal
from restate_patterns.moving.refusals import Refusal, Why


class Identity(NamedTuple):
    """What makes a server take two sends for one: an idempotency key, or None for the run of a workflow key."""

    service: str
    handler: str
    key: str | None
    idempotency_key: str | None


class There(NamedTuple):
    """An invocation on the server; `start_ms` is when it starts if that is to come (Unix ms of our clock, at most)."""

    id: str
    start_ms: int | None = None


class PromiseThere(NamedTuple):
    """A promise that was completed on the server: with a value, or with a failure as the server words it."""

    value: bytes | None
    failure: str | None


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server has, as far as a plan asks for it."""

    services: Services
    courier: bool = True
    """Whether the server can call back, and so take what no ingress takes."""
    known: Mapping[Identity, There] = field(default_factory=dict[Identity, There])
    """The invocations that are there, by what identifies them."""
    promises: Mapping[tuple[str, str, str], PromiseThere] = field(
        default_factory=dict[tuple[str, str, str], PromiseThere]
    )


@dataclass(slots=True)
class StateCount:
    """How much state there is."""

    keys: int = 0
    values: int = 0
    left_keys: int = 0
    """Keys of workflows that were run, whose state stays with the run."""


@dataclass(slots=True)
class Plan:
    """What moves, in the order in which it moves, and what cannot."""

    sends: list[Pending]
    """Not yet there."""
    found: dict[int, There]
    """Begun before, not known to have arrived, and found there, by invocation number."""
    refusals: list[Refusal]
    finished: Finished
    sent_before: int = 0
    """Sends that an earlier run of this move carried."""
    state: StateCount = field(default_factory=StateCount)
    promises_there: int = 0
    held_keys: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Keys of which something is refused that what is sent to them needs."""
    doubtful: set[int] = field(default_factory=set[int])
    """Of the sends, those that a broken-off move may be about to bring there, by invocation number."""
    runs: frozenset[int] = frozenset()
    """Runs of workflows that move or have moved."""

    def hold(self, refusal: Refusal, key: tuple[str, str]) -> None:
        """Refuse something of a key, and with it what was to be sent there."""
        self.refusals.append(refusal)
        self.held_keys.add(key)

    def leave_held(self) -> None:
        """Refuse the sends to keys of which something is refused; call it when all else is planned."""
        kept = list[Pending]()
        for each in self.sends:
            if each.target.key is not None and (each.target.service, each.target.key) in self.held_keys:
                where = f"{each.target.service}/{each.target.key}"
                self.refusals.append(Refusal(Why.KEY, str(each.target), f"something of {where} is refused", each.id))
            else:
                kept.append(each)
        self.sends = kept


def identity_of(pending: Pending) -> Identity:
    """Give what identifies an invocation on the server: its own idempotency key, or one made of its id."""
    target = pending.target
    if pending.is_run:
        return Identity(target.service, target.handler, target.key, None)
    return Identity(target.service, target.handler, target.key, pending.idempotency_key or f"moved-{pending.id}")


def plan_sends(
    pending: Iterable[Pending], sent: Mapping[int, Sent], facts: ServerFacts, finished: Finished, now_ms: int
) -> Plan:
    """Plan what has not ended: what has not begun is sent, what has begun is refused.

    Args:
        pending: What has not ended.
        sent: What an earlier run carried or began to carry.
        facts: What the server has.
        finished: The results, which stay.
        now_ms: Unix milliseconds.
    """
    plan = Plan([], {}, [], finished)
    runs = set[int]()
    for each in pending:
        before = sent.get(each.num)
        there = facts.known.get(identity_of(each))
        if before is not None and before.new_id is not None:
            plan.sent_before += 1
            runs.add(each.num)
            continue
        if before is not None and there is not None:
            plan.found[each.num] = there
            runs.add(each.num)
            continue
        refused = _refusal(each, before, there, facts, now_ms)
        if refused is not None:
            plan.refusals.append(refused)
        else:
            plan.sends.append(each)
            runs.add(each.num)
            if before is not None:
                plan.doubtful.add(each.num)
    plan.sends.sort(key=_order)
    plan.runs = frozenset(runs)
    return plan


def _order(pending: Pending) -> tuple[int, int, int]:
    """Order as the engine would start them: what waits by its place or acceptance, then what is due, by when."""
    if pending.due is not None:
        return (1, *pending.due)
    return (0, pending.num if pending.place is None else pending.place, 0)


def _refusal(
    pending: Pending, before: Sent | None, there: There | None, facts: ServerFacts, now_ms: int
) -> Refusal | None:
    subject = str(pending.target)
    if pending.status is Status.PAUSED:
        return Refusal(Why.PAUSED, subject, f"it is paused: {pending.failure}", pending.id)
    if pending.begun:
        return Refusal(Why.BEGUN, subject, f"it has begun and is {_word(pending)}", pending.id)
    if pending.signalled:
        reason = f"a signal has come to it, which no server takes for one that is {_word(pending)}"
        return Refusal(Why.BEGUN, subject, reason, pending.id)
    if pending.awaited_by is not None:
        return Refusal(Why.AWAITED, subject, f"{pending.awaited_by} has called it and waits for it", pending.id)
    refused = target_refusal(facts.services, pending, courier=facts.courier)
    if refused is not None:
        return refused
    key = pending.idempotency_key
    if key is not None and not (key.isascii() and key.isprintable() and key == key.strip()):
        return Refusal(Why.IDEMPOTENCY_KEY, subject, f"a server takes no such idempotency key: {key!r}", pending.id)
    if there is not None and (pending.is_run or key is not None):
        what = "this workflow" if pending.is_run else f"the idempotency key {key!r}"
        return Refusal(Why.ALREADY_THERE, subject, f"{what} is used there, by {there.id}", pending.id)
    if before is not None and _may_be_forgotten(pending, before, facts, now_ms):
        return Refusal(
            Why.IN_DOUBT, subject, "a broken-off move may have sent it, and the server no longer knows", pending.id
        )
    return None


def _may_be_forgotten(pending: Pending, before: Sent, facts: ServerFacts, now_ms: int) -> bool:
    start_ms = before.begun_ms if pending.due is None else max(before.begun_ms, pending.due[0])
    return start_ms + retention_ms(handler_of(facts.services, pending)) <= now_ms


def _word(pending: Pending) -> str:
    return pending.status.name.lower().replace("_", "-") + (f": {pending.failure}" if pending.failure else "")


def plan_promises(plan: Plan, promises: Iterable[StoredPromise], facts: ServerFacts) -> None:
    """Plan promises that wait for their workflow's run: a server takes none, so they must be there.

    Those of workflows whose run stays, stay with it. A run whose promise is refused is refused.
    """
    for each in promises:
        if each.run is not None and each.run not in plan.runs:
            continue
        subject = f"{each.service}/{each.key}/{each.name}"
        there = facts.promises.get((each.service, each.key, each.name))
        if there is not None and _same(each, there):
            plan.promises_there += 1
            continue
        what = "rejected" if each.failure is not None else f"resolved with {_short(each.value)}"
        reason = f"it was {what} before its workflow ran, and " + (
            "is not completed there" if there is None else "is completed otherwise there"
        )
        plan.hold(Refusal(Why.PROMISE, subject, reason), (each.service, each.key))
    held = plan.held_keys
    plan.runs = plan.runs - {
        each.num for each in plan.sends if each.is_run and (each.target.service, each.target.key) in held
    }


def _same(promise: StoredPromise, there: PromiseThere) -> bool:
    if promise.failure is not None:
        return there.failure is not None and promise.failure.message in there.failure
    return there.failure is None and there.value == promise.value


def _short(value: bytes | None) -> str:
    text = (value or b"").decode(errors="backslashreplace")
    return text if len(text) <= 60 else f"{text[:60]}..."


def plan_states(plan: Plan, states: Sequence[KeyState], there: Mapping[str, State], facts: ServerFacts) -> None:
    """Plan the state of some keys of one service; `there` is what the server has of them, by key."""
    for each in states:
        if each.run is not None and each.run not in plan.runs:
            plan.state.left_keys += 1
            continue
        refused = _state_refusal(each, there.get(each.key, {}), facts)
        if refused is not None:
            plan.hold(refused, (each.service, each.key))
        else:
            plan.state.keys += 1
            plan.state.values += len(each.values)


def carried(plan: Plan, states: Iterable[KeyState]) -> list[KeyState]:
    """Give those of some keys whose state moves."""
    return [
        each
        for each in states
        if (each.run is None or each.run in plan.runs) and (each.service, each.key) not in plan.held_keys
    ]


def _state_refusal(state: KeyState, there: State, facts: ServerFacts) -> Refusal | None:
    subject = f"{state.service}/{state.key}"
    refused = service_refusal(facts.services, state.service, keyed=True, run=state.run is not None)
    if refused is not None:
        return refused
    if there == state.values:
        return None
    if there:
        names = sorted(name for name in {**there, **state.values} if there.get(name) != state.values.get(name))
        return Refusal(Why.STATE_DIFFERS, subject, f"it has other state there: {', '.join(names)}")
    size = len(body_bytes(write_body(state.key, {}, state.values)))
    if size > RESTATE_STATE_BYTES_MAX:
        limit = f"{RESTATE_STATE_BYTES_MAX // 2**20} MiB are taken for one key"
        return Refusal(Why.STATE_SIZE, subject, f"its state makes {size / 2**20:.1f} MiB of JSON, and at most {limit}")
    return None
