"""A client outside against servers of both kinds: the same results and the same errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest

from restate_patterns import (
    AlreadyInvoked,
    AwakeableId,
    Cancelled,
    Client,
    InvocationNotFound,
    Killed,
    NotReady,
    TerminalError,
)
from restate_patterns.admin import AdminClient, InvocationStatus
from restate_patterns.client.http_caller import HttpCaller
from restate_patterns.seam import IdempotencyRef, InvocationRef, Request, Target, WorkflowRef
from restate_patterns.values.failures import failure_of_text
from tests.acceptance.test_admin_client import until, until_status
from tests.support.bounds import PATIENCE_S
from tests.support.processes.workshop import Approval, Counter, OutOfStockError, Shop
from tests.support.processes.workshops import Workshop

pytestmark = [pytest.mark.slow, pytest.mark.anyio]


class DoorShutError(TerminalError, code=423):
    """Nobody opens."""

    door: str


@pytest.fixture
async def client(workshop: Workshop, anyio_backend: str) -> AsyncIterator[Client]:
    async with Client(workshop.ingress_url, admin_url=workshop.admin_url) as client:
        yield client


@pytest.fixture
async def caller(workshop: Workshop, anyio_backend: str) -> AsyncIterator[HttpCaller]:
    caller = HttpCaller(workshop.ingress_url, admin_url=workshop.admin_url)
    yield caller
    await caller.aclose()


@pytest.fixture
async def admin(workshop: Workshop, anyio_backend: str) -> AsyncIterator[AdminClient]:
    async with AdminClient(workshop.admin_url) as admin:
        yield admin


async def test_calls_and_sends(client: Client) -> None:
    counter = client.object_client(Counter, "é/%")
    assert await counter.add(3) == 3
    sent = await counter.add.send(4)
    assert await sent.result() == 7
    assert await sent.output() == 7
    assert await counter.get() == 7
    await client.service_client(Shop).nothing()


async def test_an_idempotency_key(client: Client) -> None:
    add = client.object_client(Counter, "once").add.with_options(idempotency_key="k")
    assert [await add(1), await add(1)] == [1, 1]
    first, again = await add.send(1), await add.send(1)
    assert first.id == again.id
    assert await client.object_client(Counter, "once").get() == 1


async def test_a_terminal_error_keeps_its_code_and_fields(client: Client, workshop: Workshop) -> None:
    shop = client.service_client(Shop)
    with pytest.raises(TerminalError) as raised:
        await shop.buy("tea")
    assert (raised.value.code, raised.value.message) == (410, "We have no more of it.")
    if workshop.kind == "embedded":
        assert isinstance(raised.value, OutOfStockError)
        assert (raised.value.item, raised.value.metadata) == ("tea", {})
    else:  # the bare SDK does not say which class it is
        assert raised.value.metadata == {"item": '"tea"'}
    sent = await shop.buy.send("tea")
    for look in (sent.result, sent.output):
        with pytest.raises(TerminalError) as raised:
            async with asyncio.timeout(PATIENCE_S):
                await look()
        assert raised.value.code == 410


async def test_output_that_is_not_ready(client: Client) -> None:
    napping = await client.service_client(Shop).nap.send(3600)
    assert isinstance(await napping.output(), NotReady)
    with pytest.raises(TimeoutError, match="goes on"):
        await napping.result(timeout=timedelta(milliseconds=50))
    await napping.cancel()
    with pytest.raises(Cancelled):
        await napping.result()
    await napping.cancel()


async def test_killed(client: Client, admin: AdminClient) -> None:
    napping = await client.service_client(Shop).nap.send(3600)
    await admin.kill(napping.id)
    with pytest.raises(Killed):
        await napping.result()


async def test_a_workflow_runs_once(client: Client) -> None:
    key = uuid4().hex
    approval = client.workflow_client(Approval, key)
    sent = await approval.run.send(5)
    again = await approval.run.send(5)
    assert again.id == sent.id
    with pytest.raises(AlreadyInvoked):
        await approval.run(5)
    await approval.decide(True)
    assert await sent.result() is True
    with pytest.raises(TerminalError, match="idempotency key") as raised:
        await approval.run.with_options(idempotency_key="k")(5)
    assert raised.value.code == 400


@pytest.mark.parametrize("how", ["idempotency key", "workflow"])
async def test_cancel_by_reference(caller: HttpCaller, admin: AdminClient, how: str) -> None:
    key = uuid4().hex
    if how == "workflow":
        request, ref = Request(Target("Approval", "run", key), b"5"), _ref(WorkflowRef("Approval", key))
    else:
        target = Target("Shop", "nap")
        request, ref = Request(target, b"3600", idempotency_key=key), _ref(IdempotencyRef(target, key))
    with pytest.raises(InvocationNotFound):
        await caller.cancel(ref)
    invocation_id = await caller.send(request, 0)
    await until(admin, invocation_id, lambda view: view.waits_for)
    assert await caller.output(ref) is None
    await caller.cancel(ref)
    with pytest.raises(Cancelled):
        await caller.attach(ref, PATIENCE_S)
    await until_status(admin, invocation_id, InvocationStatus.COMPLETED)
    await caller.cancel(ref)


def _ref(ref: InvocationRef) -> InvocationRef:
    return ref


async def test_what_there_is_not(caller: HttpCaller, admin: AdminClient) -> None:
    """Also where Restate answers as if a handler had raised 404."""
    gone = await caller.send(Request(Target("Shop", "nothing")), 0)
    await until_status(admin, gone, InvocationStatus.COMPLETED)
    await admin.purge(gone)
    refs: list[InvocationRef] = [gone, IdempotencyRef(Target("Shop", "nap"), "no"), WorkflowRef("Approval", "no")]
    for ref in refs:
        for ask in (caller.attach(ref, PATIENCE_S), caller.output(ref), caller.cancel(ref)):
            with pytest.raises(InvocationNotFound):
                await ask
    for ask in (caller.attach("garbage", PATIENCE_S), caller.output("garbage"), caller.cancel("garbage")):
        with pytest.raises(TerminalError, match="garbage") as raised:
            await ask
        assert raised.value.code == 400


async def test_what_is_refused(caller: HttpCaller) -> None:
    for target, code in (
        (Target("Shop", "secret"), 400),
        (Target("Nobody", "x"), 404),
        (Target("Shop", "x"), 404),
    ):
        for ask in (caller.call(Request(target), PATIENCE_S), caller.send(Request(target), 0)):
            with pytest.raises(TerminalError) as raised:
                await ask
            assert raised.value.code == code
    with pytest.raises(TerminalError, match="garbage") as raised:
        await AwakeableId[str]("garbage").resolve(Client.over(caller), "x")
    assert raised.value.code == 400


async def test_awakeables(client: Client, workshop: Workshop) -> None:
    """A reject keeps code and fields: on Restate in the text, which the waiting side can read."""
    for answer in ("come in", None, DoorShutError(door="front")):
        ringing = await client.service_client(Shop).ring.send()
        known = await _bell(workshop, str(ringing.id))
        awakeable = AwakeableId[str](known)
        if isinstance(answer, str):
            await awakeable.resolve(client, answer)
            await awakeable.resolve(client, "again")
            assert await ringing.result() == answer
            continue
        await awakeable.reject(client, answer or TerminalError("nobody home"))
        with pytest.raises(TerminalError) as raised:
            await ringing.result()
        if answer is None:
            assert (raised.value.code, raised.value.message) == (500, "nobody home")
        elif workshop.kind == "embedded":
            assert isinstance(raised.value, DoorShutError)
            assert raised.value.door == "front"
        else:
            assert raised.value.message.startswith("Nobody opens.")
            failure = failure_of_text(raised.value.message)
            assert (failure.code, failure.message) == (423, "Nobody opens.")
            assert json.loads(failure.metadata["door"]) == "front"


async def _bell(workshop: Workshop, ringing: str) -> str:
    """Give the awakeable that an invocation waits for, which the bell remembers once it does."""
    async with AdminClient(workshop.admin_url) as admin, asyncio.timeout(PATIENCE_S):
        while True:
            calls = [entry for entry in (await admin.describe_invocation(ringing)).journal if entry.kind == "call"]
            if calls and calls[0].completed:
                return str(json.loads((await admin.get_state("Bell", "door"))["awakeable_id"]))
            await asyncio.sleep(0.05)
