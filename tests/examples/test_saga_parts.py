"""The parts of sagas that the guide shows, at every crash point."""

from __future__ import annotations

import pytest

from examples.sagas import parts
from restate_patterns import SagaLog
from restate_patterns.testing import TestEnvironment, at_every_crash_point


@at_every_crash_point(lambda: parts.app)
async def test_a_transfer(env: TestEnvironment) -> None:
    await env.client.service_client(parts.Transfer).move(30)
    assert [await env.client.object_client(parts.Account, key).read() for key in ("from", "to")] == [70, 130]


@at_every_crash_point(lambda: parts.app)
async def test_a_transfer_that_fails(env: TestEnvironment) -> None:
    with pytest.raises(parts.NothingLeft):
        await env.client.service_client(parts.Transfer).move(300)
    for key in ("from", "to"):
        account = env.client.object_client(parts.Account, key)
        assert (await account.read(), await account.pending()) == (100, None)


@at_every_crash_point(lambda: parts.app)
async def test_a_holiday(env: TestEnvironment) -> None:
    assert await env.client.service_client(parts.Holidays).book() == ["by the station", "in the mountains"]


def test_the_log_is_there() -> None:
    assert "SagaLog" in parts.app.deployment.services
    assert SagaLog.__name__ == "SagaLog"
