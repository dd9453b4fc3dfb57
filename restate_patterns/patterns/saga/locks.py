"""Semantic locks: a mark on a record that a running saga owns.

A saga's writes are visible before it is known whether they stay. The mark tells: this record is pending.
Who meets it fails, waits in line, or reads what was committed before. The idea is the countermeasure
"semantic lock" of Garcia-Molina and of Frank and Zahle (1998).
"""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import Final, Literal, TypeVar

from pydantic import BaseModel, Field

from restate_patterns.api.awakeables import AwakeableId
from restate_patterns.api.context import ObjectContext, ObjectSharedContext
from restate_patterns.api.definitions import VirtualObject
from restate_patterns.api.handlers import handler
from restate_patterns.api.state import State
from restate_patterns.errors import TerminalError
from restate_patterns.patterns.saga.errors import RecordPending
from restate_patterns.toolkit import service_name, stored_state, wait_for_end

T = TypeVar("T")

SAGA_HEADER: Final = "restate-patterns-saga"
"""Tells a record that is marked as pending on whose behalf it is called."""

_MARK: Final = "semantic lock"


class LockRequest(BaseModel):
    """A saga's wish to mark a record."""

    owner: str
    """The saga's id."""
    invocation: str = ""
    """The id of its invocation: the mark is taken away when that has ended, whatever ended it."""
    policy: Literal["reject", "wait"] = "reject"
    turn: AwakeableId[bool] | None = None
    """Resolved when its turn has come, if it is to wait in line."""


class Held(BaseModel):
    """Who owns a record."""

    owner: str
    invocation: str


class Waiting(BaseModel):
    """Someone in line: a saga that wants to mark the record, or a reader."""

    owner: str | None
    invocation: str = ""
    turn: AwakeableId[bool]


class Mark(BaseModel):
    """The mark on a record."""

    owner: str | None = None
    """The saga that owns the record; None when it is free."""
    invocation: str = ""
    """The id of its invocation."""
    committed: dict[str, str] = Field(default_factory=dict)
    """The states as they were when it was marked, in base64 by wire name."""
    line: list[Waiting] = Field(default_factory=list[Waiting])


class Lockable(VirtualObject):
    """A virtual object that a saga can mark as pending while it works on it.

        class Account(Lockable):
            balance = State[int](default=0)

            @handler
            async def add(self, ctx: ObjectContext, amount: int) -> None:
                await self.guard(ctx)                              # only the saga that marked it, if one has
                self.balance.set(ctx, await self.balance.get(ctx) + amount)

            @handler
            async def read(self, ctx: ObjectSharedContext) -> int:
                return await self.committed(ctx, self.balance)     # never what a saga may still undo

    A saga marks it with `await saga.lock(account)` and works on it with `saga.call` and `saga.undo`, whose calls
    say on whose behalf they are. The mark goes when the saga is over, committed or undone, or when its invocation has
    ended otherwise: a saga that was killed leaves the line, or leaves the record as it is and free.
    """

    mark = State[Mark](default_factory=Mark, name=_MARK)

    @handler(raises=[RecordPending])
    async def acquire(self, ctx: ObjectContext, request: LockRequest) -> bool:
        """Mark the record for a saga; False when it must wait, in line if it gave a `turn`."""
        mark = await self.mark.get(ctx)
        if mark.owner == request.owner:
            return True
        if mark.owner is None:
            await self._give(ctx, mark, request.owner, request.invocation)
            return True
        if request.policy == "reject":
            raise RecordPending(record=_name(ctx), owner=mark.owner)
        if request.turn is not None:
            await self._watch(ctx, mark.owner, mark.invocation)
            waiting = Waiting(owner=request.owner, invocation=request.invocation, turn=request.turn)
            # Where its invocation was started anew it is in the line already, with a turn that nobody hears of.
            mark.line = [each for each in mark.line if each.owner != request.owner] + [waiting]
            self.mark.set(ctx, mark)
        return False

    @handler
    async def release(self, ctx: ObjectContext, owner: str) -> str | None:
        """Take the mark of a saga away, and it out of the line; gives who owns the record now."""
        return await self._release(ctx, await self.mark.get(ctx), owner)

    @handler
    async def await_release(self, ctx: ObjectContext, turn: AwakeableId[bool]) -> None:
        """Resolve `turn` when the saga that owns the record is over, or now when none does."""
        mark = await self.mark.get(ctx)
        if mark.owner is None:
            await turn.resolve(ctx, True)
        else:
            mark.line.append(Waiting(owner=None, turn=turn))
            self.mark.set(ctx, mark)

    @handler(private=True)
    async def watch_owner(self, ctx: ObjectSharedContext, held: Held) -> None:
        """Wait until the invocation of a saga has ended, whatever ended it.

        Of a saga that is killed no code runs, so this waits beside it. What is marked by then only an exclusive
        handler can tell: this one may see the state as it was when it began.
        """
        with ctx.shielded(), suppress(TerminalError):
            await wait_for_end(ctx, held.invocation)
        await ctx.object_client(type(self), ctx.key).owner_ended.send(held)

    @handler(private=True)
    async def owner_ended(self, ctx: ObjectContext, held: Held) -> None:
        """Take the mark of a saga away that has not given it back."""
        mark = await self.mark.get(ctx)
        if mark.owner != held.owner:
            return
        ctx.logger.warning(
            "the saga %s has ended without giving back %s (was it killed?): nothing was undone there, and what it "
            "wrote stays. The record is free again",
            held.owner,
            _name(ctx),
        )
        await self._release(ctx, mark, held.owner)

    @handler(private=True)
    async def committed_value(self, ctx: ObjectSharedContext, name: str) -> str | None:
        """Return a state as no running saga can take it back, in base64: for who began to read before it was so."""
        mark = await self.mark.get(ctx)
        if mark.owner is not None:
            return mark.committed.get(name)
        value = await stored_state(ctx, name)
        return None if value is None else _text(value)

    @handler
    async def pending(self, ctx: ObjectSharedContext) -> str | None:
        """Return the id of the saga that owns the record, or None."""
        return (await self.mark.get(ctx)).owner

    async def guard(self, ctx: ObjectSharedContext) -> None:
        """Refuse to go on while a saga owns the record, unless it is that saga that calls.

        Raises:
            RecordPending: A saga owns it. Terminal.
        """
        mark = await self.mark.get(ctx)
        if mark.owner is not None and ctx.headers.get(SAGA_HEADER) != mark.owner:
            raise RecordPending(record=_name(ctx), owner=mark.owner)

    async def committed(
        self,
        ctx: ObjectSharedContext,
        state: State[T],
        /,
        *,
        policy: Literal["reject", "wait", "read-stale"] = "read-stale",
    ) -> T:
        """Read a state of the record without seeing what a running saga wrote; the saga itself sees its own.

        Args:
            ctx: The handler's own context; for `"wait"` that of a shared handler, which holds up nobody.
            state: Which state.
            policy: While a saga owns the record: fail, wait until it is over, or read what it was before.

        Raises:
            RecordPending: A saga owns it, and the policy is `"reject"`. Terminal.
            StateNotSet: Nothing was set and there is no default. Terminal.
        """
        mark = await self.mark.get(ctx)
        if policy == "wait" and mark.owner is not None and ctx.headers.get(SAGA_HEADER) != mark.owner:
            turn = ctx.awakeable(bool)
            await ctx.object_client(type(self), ctx.key).await_release.send(turn.id)
            await turn
            # The next in line may own it by now; what it found is committed. This handler may see what it began with.
            after = await ctx.object_client(type(self), ctx.key).committed_value(state.name)
            return state.read(ctx, _data(after))
        if mark.owner is None or ctx.headers.get(SAGA_HEADER) == mark.owner:
            return await state.get(ctx)
        if policy == "reject":
            raise RecordPending(record=_name(ctx), owner=mark.owner)
        return state.read(ctx, _data(mark.committed.get(state.name)))

    async def _release(self, ctx: ObjectContext, mark: Mark, owner: str) -> str | None:
        mark.line = [waiting for waiting in mark.line if waiting.owner != owner]
        if mark.owner != owner:
            self.mark.set(ctx, mark)
            return mark.owner
        mark.owner, mark.invocation, mark.committed = None, "", {}
        while mark.line and mark.owner is None:
            following = mark.line.pop(0)
            await following.turn.resolve(ctx, True)
            if following.owner is not None:
                await self._give(ctx, mark, following.owner, following.invocation)
        if mark.owner is None:
            self.mark.clear(ctx)
        return mark.owner

    async def _watch(self, ctx: ObjectContext, owner: str, invocation: str) -> None:
        """Have somebody wait for the end of a saga that owns the record.

        That is sent before the mark is written, and again by who waits in line for it: a Restate server that kills a
        saga while it takes the mark kills what was sent for it too.
        """
        if invocation:
            held = Held(owner=owner, invocation=invocation)
            await ctx.object_client(type(self), ctx.key).watch_owner.send(held)

    async def _give(self, ctx: ObjectContext, mark: Mark, owner: str, invocation: str) -> None:
        names = [name for name in await ctx.state_keys() if name != _MARK]
        values = {name: await stored_state(ctx, name) for name in names}
        await self._watch(ctx, owner, invocation)
        mark.owner, mark.invocation = owner, invocation
        mark.committed = {name: _text(value) for name, value in values.items() if value is not None}
        self.mark.set(ctx, mark)


def _name(ctx: ObjectSharedContext) -> str:
    return f"{service_name(ctx)}/{ctx.key}"


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _data(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
