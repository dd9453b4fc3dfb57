"""Reads and writes the state of keys on a Restate server; see `key_state` for what makes that safe."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from restate_patterns.admin import introspection
from restate_patterns.admin.connection import Connection
from restate_patterns.admin.errors import NotKeyed, StateConflict, StatePending
from restate_patterns.admin.key_state import Change, State, clearing, setting, state_of, state_query, write_body
from restate_patterns.admin.services import service_of
from restate_patterns.limits import STATE_WRITE_LOOK_S, STATE_WRITE_WAIT_S
from restate_patterns.seam import ServiceKind


class StateWriter:
    """The state of the keys of one Restate server.

    Args:
        connection: The way to it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read(self, service: str, key: str) -> State:
        """Return all state of a key.

        Raises:
            NotFound: There is no such service.
            NotKeyed: It has no keys.
        """
        answer = await self._connection.ask("GET", "services", service)
        if service_of(answer.checked().fields).kind is ServiceKind.SERVICE:
            raise NotKeyed(service)
        return await self._look(service, key)

    async def set(self, service: str, key: str, values: Mapping[str, bytes], *, replace: bool) -> None:
        """Write some names; the others stay, or go with `replace`."""
        await self._change(service, key, setting(values, replace=replace))

    async def clear(self, service: str, key: str, names: Iterable[str] | None) -> None:
        """Remove some names, or all."""
        await self._change(service, key, clearing(names))

    async def _change(self, service: str, key: str, change: Change) -> None:
        before = await self.read(service, key)
        after = change(before)
        if after == before:
            return
        answer = await self._connection.ask("POST", "services", service, "state", body=write_body(key, before, after))
        answer.checked()
        now = await self._until_changed(service, key, before)
        # Whoever wrote after us may have left what we wrote; when not, ours may not have been made at all.
        if now not in (after, change(now)):
            raise StateConflict(service, key)

    async def _until_changed(self, service: str, key: str, before: State) -> State:
        """Wait until the state is another: the server does not say when a write has had its turn."""
        try:
            async with asyncio.timeout(STATE_WRITE_WAIT_S):
                wait_s = STATE_WRITE_LOOK_S
                while (now := await self._look(service, key)) == before:
                    await asyncio.sleep(wait_s)
                    wait_s = min(wait_s * 2, 1.0)
                return now
        except TimeoutError:
            raise StatePending(service, key, await self._holder(service, key)) from None

    async def _look(self, service: str, key: str) -> State:
        return state_of(await self._connection.rows(state_query(service, key)))

    async def _holder(self, service: str, key: str) -> str | None:
        rows = await self._connection.rows(introspection.holders([(service, key)]))
        return f"{rows[0]['target']} ({rows[0]['id']})" if rows else None
