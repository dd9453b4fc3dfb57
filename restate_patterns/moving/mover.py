"""Moves a file to a server: plans from what both have, then carries it, noting in the file how far it is.

State goes first, some keys at a time, then the sends, in the order in which they would have started. Who
breaks it off between any two requests and starts it again loses and doubles nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

from restate_patterns.admin.services import HandlerView
from restate_patterns.embedded.inventory import ParkedFile, Pending
from restate_patterns.embedded.moves import Sent
from restate_patterns.execution.timers import FOREVER_MS
from restate_patterns.limits import MOVE_SENDS
from restate_patterns.moving.checks import handler_of, headers_of, needs_courier, retention_ms
from restate_patterns.moving.courier import Courier, Order
from restate_patterns.moving.destination import Destination, in_turn
from restate_patterns.moving.errors import MovedElsewhere, WrongIngress
from restate_patterns.moving.plan import (
    Plan,
    ServerFacts,
    carried,
    identity_of,
    plan_promises,
    plan_sends,
    plan_states,
)
from restate_patterns.seam import Accepted, Request

_LATEST_MS: Final = FOREVER_MS - 24 * 60 * 60 * 1000
"""A day before the year 10000: a server has no time after that (Unix ms)."""

Tell = Callable[[str, int], None]
"""Told what is being done and how many are done."""

StartCourier = Callable[[Courier, str | None], AbstractAsyncContextManager[str]]
"""Serves a courier at `HOST:PORT`, or where it likes, and registers it; gives where that is."""


class Mover:
    """Moves one file to one server.

    Args:
        file: The file, open.
        destination: The server.
        now_ms: Tells the wall clock's time in Unix milliseconds.
        courier: Whether there is one, if it is needed.
        tell: Told of progress.
    """

    def __init__(
        self,
        file: ParkedFile,
        destination: Destination,
        *,
        now_ms: Callable[[], int],
        courier: bool = False,
        tell: Tell = lambda _, __: None,
    ) -> None:
        self._file = file
        self._destination = destination
        self._now_ms = now_ms
        self._courier = courier
        self._tell = tell
        self._facts = ServerFacts({})
        self._ingress_known = False
        self._ahead_ms = 0
        self._doubtful: set[int] = set()
        self._latest_start: dict[tuple[str, str], int] = {}
        self._pending: dict[int, Pending] = {}

    def check_file(self) -> None:
        """Check that the file may go to this server.

        Raises:
            MovedElsewhere: It has moved, or begun to move, to another one.
        """
        move = self._file.log.move
        if move is not None and move.holds and move.to != self._destination.admin_url:
            raise MovedElsewhere(self._file.path, move.to, began_ms=move.began_ms)

    async def plan(self) -> Plan:
        """Plan the move, or the rest of one that was broken off; writes nothing anywhere.

        Raises:
            MovedElsewhere: The file has moved, or begun to move, to another server.
        """
        self.check_file()
        file, destination = self._file, self._destination
        move = file.log.move
        sent: Mapping[int, Sent] = {}
        if move is not None and move.to == destination.admin_url:
            sent = file.log.sent()
        pending, promises = file.pending(), file.promises()
        doubtful = {num for num, each in sent.items() if each.new_id is None}
        asked = [each for each in pending if each.is_run or each.idempotency_key or each.num in doubtful]
        self._pending = {each.num: each for each in pending}
        self._ahead_ms = await destination.clock_ahead_ms(self._now_ms)
        self._facts = ServerFacts(
            await destination.services(),
            courier=self._courier,
            known=await destination.known(asked, ahead_ms=self._ahead_ms),
            promises=await destination.promises(promises),
        )
        plan = plan_sends(pending, sent, self._facts, file.finished(), self._now_ms())
        plan_promises(plan, promises, self._facts)
        self._note_starts(pending, sent, plan)
        for states in file.states(None if move is None else move.state_after):
            plan_states(plan, states, await destination.states(states), self._facts)
            self._tell("keys compared", plan.state.keys)
        plan.leave_held()
        self._doubtful = plan.doubtful
        return plan

    async def move(self, plan: Plan, start_courier: StartCourier | None = None) -> None:
        """Carry what a plan carries.

        Args:
            plan: What `plan` gave.
            start_courier: Serves a `Courier` where the server calls back, if that is needed.

        Raises:
            MoveError: The server is not as the plan found it.
            FileError: The file can't be written.
        """
        if start_courier is None or not self.needs_courier(plan):
            await self._move_all(plan, None)
        else:
            move = self._file.log.move
            async with start_courier(Courier(self.request_of), None if move is None else move.courier) as bind:
                await self._move_all(plan, bind)
                await self._destination.dismiss_courier(f"http://{bind}")
        self._file.log.finish(self._now_ms())

    async def _move_all(self, plan: Plan, courier: str | None) -> None:
        log = self._file.log
        log.begin(self._destination.admin_url, courier, self._now_ms())
        await self._move_states(plan)
        log.note_sends({num: (there.id, there.start_ms or self._now_ms()) for num, there in plan.found.items()})
        done_count = 0
        for at in range(0, len(plan.sends), MOVE_SENDS):
            some = plan.sends[at : at + MOVE_SENDS]
            await self._move_sends(some)
            done_count += len(some)
            self._tell("sends carried", done_count)

    async def _move_states(self, plan: Plan) -> None:
        log = self._file.log
        move = log.move
        keys_count = 0
        for states in self._file.states(None if move is None else move.state_after):
            kept = carried(plan, states)
            await self._destination.write_states(kept)
            log.note_state((states[-1].service, states[-1].key))
            keys_count += len(kept)
            self._tell("keys carried", keys_count)

    async def _move_sends(self, sends: Sequence[Pending]) -> None:
        """Send some: those to one key one after the other, others beside them."""
        lanes: dict[object, list[Pending]] = {}
        for each in sends:
            key = each.target.key
            lanes.setdefault(each.num if key is None else (each.target.service, key), []).append(each)
        sent: dict[int, tuple[str, int]] = {}

        async def carry(lane: list[Pending]) -> None:
            for each in lane:
                sent[each.num] = await self._send(each)

        self._file.log.begin_sends((each.num for each in sends), self._now_ms())
        try:
            await in_turn(list(lanes.values()), carry)
        finally:
            self._file.log.note_sends(sent)

    async def _send(self, pending: Pending) -> tuple[str, int]:
        """Send one; gives its id there and the time by which it starts."""
        key = pending.target.key
        lane = None if key is None else (pending.target.service, key)
        now_ms = self._now_ms()
        delay_ms = 0
        if pending.due is not None:
            # What starts one after the other here does so there, also when both are due at once.
            behind_ms = self._latest_start.get(lane, 0) + 1 if lane is not None else 0
            delay_ms = max(0, min(max(pending.due[0], behind_ms), _LATEST_MS) - now_ms)
        if needs_courier(self._facts.services, pending) is not None:
            order = Order(pending.num, now_ms + delay_ms if delay_ms else None)
            accepted = Accepted(await self._destination.carry(order))
        else:
            accepted = await self._destination.send(self.request_of(pending.num), delay_ms)
        await self._check_ingress(accepted.invocation_id, handler_of(self._facts.services, pending))
        latest_ms = self._now_ms() + delay_ms
        if delay_ms and pending.num in self._doubtful:
            # It may have come there on another way before, to start as it was told then.
            there = (await self._destination.known([pending], ahead_ms=self._ahead_ms)).get(identity_of(pending))
            latest_ms = max(latest_ms, (there.start_ms if there is not None else None) or 0)
        if lane is not None and delay_ms:
            self._note_start(lane, latest_ms)
        return accepted.invocation_id, latest_ms

    def request_of(self, num: int) -> Request:
        """Give the request that makes an invocation of the file there, the same each time."""
        pending = self._pending[num]
        handler = handler_of(self._facts.services, pending)
        body = self._file.body(num)
        headers = headers_of(pending.headers, handler, has_body=bool(body), token=self._destination.has_token)
        return Request(pending.target, body, headers, identity_of(pending).idempotency_key)

    def needs_courier(self, plan: Plan) -> bool:
        """Say whether there is something that no ingress takes, or was in a move that was broken off."""
        move = self._file.log.move
        return (move is not None and move.courier is not None) or any(
            needs_courier(self._facts.services, each) is not None for each in plan.sends
        )

    def _note_starts(self, pending: Sequence[Pending], sent: Mapping[int, Sent], plan: Plan) -> None:
        """Note when that starts which was carried before and belongs in front of what is carried now."""
        next_due: dict[tuple[str, str], tuple[int, int]] = {}
        for each in plan.sends:
            if each.target.key is not None and each.due is not None:
                next_due.setdefault((each.target.service, each.target.key), each.due)
        for each in pending:
            before, found = sent.get(each.num), plan.found.get(each.num)
            start_ms = found.start_ms if found is not None else before.latest_start_ms if before is not None else None
            if start_ms is None or each.target.key is None or each.due is None:
                continue
            lane = (each.target.service, each.target.key)
            if lane in next_due and each.due < next_due[lane]:
                self._note_start(lane, start_ms)

    def _note_start(self, lane: tuple[str, str], latest_ms: int) -> None:
        self._latest_start[lane] = max(latest_ms, self._latest_start.get(lane, 0))

    async def _check_ingress(self, invocation_id: str, handler: HandlerView | None) -> None:
        """Check with the first send that ingress and admin API are of one server."""
        if self._ingress_known or not retention_ms(handler):
            return  # what is forgotten when it ends may have ended
        self._ingress_known = True
        if not await self._destination.knows(invocation_id):
            raise WrongIngress(self._destination.ingress_url, self._destination.admin_url, invocation_id)
