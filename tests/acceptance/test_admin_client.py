"""The admin client against both kinds of server: the same verbs, outcomes and errors."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from restate_patterns.admin import (
    AdminClient,
    CancelOutcome,
    InvocationCompleted,
    InvocationFilter,
    InvocationNotCompleted,
    InvocationNotPaused,
    InvocationStatus,
    InvocationView,
    MalformedId,
    NotFound,
    NotKeyed,
    ServerKind,
)
from restate_patterns.client.http_caller import HttpCaller
from restate_patterns.errors import InvocationNotFound
from restate_patterns.seam import IdempotencyRef, Request, ServiceKind, Target, WorkflowRef
from tests.support.bounds import PATIENCE_S
from tests.support.processes.workshops import Workshop

pytestmark = [pytest.mark.slow, pytest.mark.anyio]


@pytest.fixture
async def admin(workshop: Workshop, anyio_backend: str) -> AsyncIterator[AdminClient]:
    async with AdminClient(workshop.admin_url) as client:
        yield client


@pytest.fixture
async def caller(workshop: Workshop, anyio_backend: str) -> AsyncIterator[HttpCaller]:
    caller = HttpCaller(workshop.ingress_url, admin_url=workshop.admin_url)
    yield caller
    await caller.aclose()


async def send(
    caller: HttpCaller, path: str, body: bytes = b"", *, delay_ms: int = 0, idempotency_key: str | None = None
) -> str:
    """Send to `Service/handler` or `Object/key/handler`."""
    service, *key, handler = path.split("/")
    target = Target(service, handler, key[0] if key else None)
    return await caller.send(Request(target, body, idempotency_key=idempotency_key), delay_ms)


async def until(
    admin: AdminClient, invocation_id: str, condition: Callable[[InvocationView], object]
) -> InvocationView:
    """Wait until an invocation is as wanted."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(InvocationNotFound):
                view = (await admin.describe_invocation(invocation_id)).view
                if condition(view):
                    return view
            await asyncio.sleep(0.05)


async def until_status(admin: AdminClient, invocation_id: str, status: InvocationStatus) -> InvocationView:
    return await until(admin, invocation_id, lambda view: view.status is status)


async def until_gone(admin: AdminClient, invocation_id: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        with contextlib.suppress(InvocationNotFound):
            while True:
                await admin.describe_invocation(invocation_id)
                await asyncio.sleep(0.05)


async def test_which_server(admin: AdminClient, workshop: Workshop) -> None:
    found = await admin.server()
    assert found.kind is ServerKind(workshop.kind)
    assert (found.ingress_url or "").rstrip("/") == workshop.ingress_url


async def test_services(admin: AdminClient) -> None:
    services = {service.name: service for service in await admin.list_services()}
    counter = services["Counter"]
    assert counter == await admin.describe_service("Counter")
    assert counter.kind is ServiceKind.VIRTUAL_OBJECT
    handlers = {handler.name: handler for handler in counter.handlers}
    assert [(name, handlers[name].kind) for name in ("add", "get", "hold")] == [
        ("add", "Exclusive"),
        ("get", "Shared"),
        ("hold", "Exclusive"),
    ]
    assert handlers["add"].documentation == "Add to the count."
    assert not next(each for each in services["Shop"].handlers if each.name == "secret").public
    paths = (await admin.openapi("Counter"))["paths"]
    assert "/Counter/{key}/add" in str(paths)
    for ask in (admin.describe_service, admin.openapi):
        with pytest.raises(NotFound, match="Nobody"):
            await ask("Nobody")


async def test_life_of_an_invocation(admin: AdminClient, caller: HttpCaller) -> None:
    """Who holds a key, who waits for it, and what a kill of the holder sets free."""
    holder = await send(caller, "Counter/life/hold")
    await until(admin, holder, lambda view: view.waits_for)
    queued = await send(caller, "Counter/life/add", b"1")
    view = await until_status(admin, queued, InvocationStatus.QUEUED)
    assert view.target == Target("Counter", "add", "life")
    assert list(view.waits_for) == [f"the key 'life', held by Counter/life/hold ({holder}), which is running"]

    listed = await admin.list_invocations(InvocationFilter(service="Counter", key="life"))
    assert [each.id for each in listed] == [queued, holder]
    assert listed[0] == view
    (first,) = await admin.list_invocations(InvocationFilter(key="life"), limit=1)
    (second,) = await admin.list_invocations(InvocationFilter(key="life"), limit=1, after=first.id)
    assert [first.id, second.id] == [queued, holder]
    assert not await admin.list_invocations(InvocationFilter(key="life"), limit=1, after=second.id)
    running = InvocationFilter(key="life", statuses=frozenset({InvocationStatus.RUNNING}))
    assert [each.id for each in await admin.list_invocations(running)] == [holder]

    (entry,) = (await admin.describe_invocation(holder)).journal
    assert (entry.kind, entry.completed) == ("sleep", False)
    assert entry.detail.startswith("until ")

    await admin.kill(holder)
    await until_status(admin, queued, InvocationStatus.COMPLETED)
    ended = await until_status(admin, holder, InvocationStatus.COMPLETED)
    assert ended.failure is not None
    assert (ended.failure.code, ended.failure.message) == (409, "killed")
    assert ended.completed_ms is not None
    assert ended.completed_ms >= ended.created_ms


async def test_restart_and_purge(admin: AdminClient, caller: HttpCaller) -> None:
    done = await send(caller, "Counter/again/add", b"1")
    await until_status(admin, done, InvocationStatus.COMPLETED)
    again = await admin.restart_as_new(done)
    assert again != done
    await until_status(admin, again, InvocationStatus.COMPLETED)
    await admin.purge(done)
    await until_gone(admin, done)
    with pytest.raises(InvocationNotFound):
        await admin.purge(done)


async def test_cancel(admin: AdminClient, caller: HttpCaller) -> None:
    napping = await send(caller, "Shop/nap", b"3600")
    await until(admin, napping, lambda view: view.waits_for)
    assert await admin.cancel(napping) is CancelOutcome.RUNNING
    view = await until_status(admin, napping, InvocationStatus.COMPLETED)
    assert view.failure is not None
    assert (view.failure.code, view.failure.message) == (409, "cancelled")
    with pytest.raises(InvocationCompleted):
        await admin.cancel(napping)


async def test_what_has_not_begun_leaves_nothing_behind(admin: AdminClient, caller: HttpCaller) -> None:
    later = await send(caller, "Shop/nothing", delay_ms=3_600_000)
    view = await until_status(admin, later, InvocationStatus.SCHEDULED)
    assert view.scheduled_ms is not None
    assert 3_500_000 < view.scheduled_ms - view.created_ms < 3_700_000
    for verb in (admin.pause, admin.resume):
        with pytest.raises(InvocationNotPaused, match="is scheduled"):
            await verb(later)
    assert await admin.cancel(later) is CancelOutcome.REMOVED
    await until_gone(admin, later)


async def test_paused(admin: AdminClient, caller: HttpCaller) -> None:
    """Why it paused is told; a cancel reaches it all the same."""
    broken = await send(caller, "Shop/broken")
    view = await until_status(admin, broken, InvocationStatus.PAUSED)
    assert "no route to the bank" in str(view.last_failure)
    (listed,) = await admin.list_invocations(InvocationFilter(handler="broken"))
    assert (listed.id, listed.last_failure, listed.next_retry_ms) == (broken, view.last_failure, None)
    with pytest.raises(InvocationNotPaused, match="is paused"):
        await admin.pause(broken)
    await admin.resume(broken)
    await until_status(admin, broken, InvocationStatus.PAUSED)
    await admin.kill(broken)
    await until_status(admin, broken, InvocationStatus.COMPLETED)


async def test_pause_and_cancel(admin: AdminClient, caller: HttpCaller) -> None:
    """A paused invocation is woken by its cancel, so that it can undo."""
    napping = await send(caller, "Shop/nap", b"3600")
    await until(admin, napping, lambda view: view.waits_for)
    with pytest.raises(InvocationNotPaused, match="nothing to resume"):
        await admin.resume(napping)
    await admin.pause(napping)
    await until_status(admin, napping, InvocationStatus.PAUSED)
    assert await admin.cancel(napping) is CancelOutcome.RUNNING
    view = await until_status(admin, napping, InvocationStatus.COMPLETED)
    assert view.failure is not None
    assert view.failure.message == "cancelled"


async def test_refusals(admin: AdminClient, caller: HttpCaller) -> None:
    """The same error for the same mistake."""
    done, running = await send(caller, "Shop/nothing"), await send(caller, "Shop/nap", b"3600")
    await until_status(admin, done, InvocationStatus.COMPLETED)
    await until(admin, running, lambda view: view.waits_for)
    verbs: list[Callable[[str], Awaitable[object]]] = [
        admin.cancel,
        admin.kill,
        admin.pause,
        admin.resume,
        admin.restart_as_new,
        admin.purge,
    ]
    for verb in verbs[:4]:
        with pytest.raises(InvocationCompleted):
            await verb(done)
    for verb in verbs[4:]:
        with pytest.raises(InvocationNotCompleted):
            await verb(running)
    for verb in (*verbs, admin.describe_invocation):
        with pytest.raises(MalformedId):
            await verb("garbage")
    await admin.purge(done)
    await until_gone(admin, done)
    for verb in (*verbs, admin.describe_invocation):
        with pytest.raises(InvocationNotFound):
            await verb(done)
    await admin.kill(running)


async def test_references(admin: AdminClient, caller: HttpCaller) -> None:
    key = "it's -- %"  # over HTTP to Restate it is ASCII
    target = Target("Counter", "add", "ref's")
    keyed = await caller.send(Request(target, b"1", idempotency_key=key), 0)
    plain = await send(caller, "Shop/nothing", idempotency_key=key)
    run = await send(caller, "Approval/w1/run", b"5")
    await until_status(admin, keyed, InvocationStatus.COMPLETED)
    await until_status(admin, plain, InvocationStatus.COMPLETED)
    await until(admin, run, lambda view: view.waits_for)
    assert await admin.resolve_ref(IdempotencyRef(target, key)) == keyed
    assert await admin.resolve_ref(IdempotencyRef(Target("Shop", "nothing"), key)) == plain
    assert await admin.resolve_ref(WorkflowRef("Approval", "w1")) == run
    assert await admin.resolve_ref(run) == run
    for ref in (IdempotencyRef(target, "other"), WorkflowRef("Approval", "nobody")):
        with pytest.raises(InvocationNotFound):
            await admin.resolve_ref(ref)


async def test_state(admin: AdminClient, caller: HttpCaller) -> None:
    await caller.call(Request(Target("Counter", "add", "kv"), b"3"), None)
    assert await admin.get_state("Counter", "kv") == {"count": b"3"}
    await admin.set_state("Counter", "kv", {"count": b"40", "raw": b"\xff\x00"})
    assert await admin.get_state("Counter", "kv") == {"count": b"40", "raw": b"\xff\x00"}
    assert await caller.call(Request(Target("Counter", "add", "kv"), b"2"), None) == b"42"
    await admin.clear_state("Counter", "kv", ["raw", "none"])
    assert await admin.get_state("Counter", "kv") == {"count": b"42"}
    await admin.clear_state("Counter", "kv", [])
    assert await admin.get_state("Counter", "kv") == {"count": b"42"}
    await admin.set_state("Counter", "kv", {"other": b"1"}, replace=True)
    assert await admin.get_state("Counter", "kv") == {"other": b"1"}
    await admin.clear_state("Counter", "kv")
    assert await admin.get_state("Counter", "kv") == {}
    assert await admin.get_state("Counter", "never") == {}


async def test_state_of_what_has_none(admin: AdminClient) -> None:
    for ask in (
        lambda name: admin.get_state(name, "k"),
        lambda name: admin.set_state(name, "k", {"a": b"1"}),
        lambda name: admin.clear_state(name, "k"),
    ):
        with pytest.raises(NotFound, match="Nobody"):
            await ask("Nobody")
        with pytest.raises(NotKeyed, match="only virtual objects and workflows have state"):
            await ask("Shop")


async def test_deployments_are_listed(admin: AdminClient) -> None:
    (deployment,) = await admin.list_deployments()
    assert "Counter" in deployment.services
