"""What callers outside can rely on, over HTTP and in process alike."""

from __future__ import annotations

import asyncio

import pytest

from restate_patterns.client.errors import ServerUnavailable
from restate_patterns.errors import (
    AlreadyInvoked,
    Cancelled,
    Failure,
    InvocationNotFound,
    Killed,
    TerminalError,
)
from restate_patterns.seam import (
    Caller,
    IdempotencyRef,
    InvocationRef,
    Request,
    Target,
    ValueOrFailure,
    WorkflowRef,
)
from restate_patterns.values.failures import to_failure
from tests.support.http.fake_engine import FakeEngine

pytestmark = pytest.mark.anyio

ADD = Target("Counter", "add", "a/b é%")


class DeclinedError(TerminalError, code=402):
    """The card was declined."""

    reason: str


async def test_call(caller: Caller, engine: FakeEngine) -> None:
    assert await caller.call(Request(ADD, b"1", {"x-trace": "t"}), None) == b"1"
    assert engine.requests[0].target == ADD
    assert engine.requests[0].headers["x-trace"] == "t"


async def test_call_without_body_or_output(caller: Caller) -> None:
    assert await caller.call(Request(Target("Greeter", "ping")), None) == b""


async def test_send_and_attach(caller: Caller, engine: FakeEngine) -> None:
    invocation_id = await caller.send(Request(ADD, b"1"), 0)
    assert await caller.attach(invocation_id, None) == b"1"
    assert await caller.output(invocation_id) == b"1"
    await caller.send(Request(ADD, b"1"), 1500)
    assert engine.delays == [None, 1500]


REFS: list[InvocationRef] = [IdempotencyRef(ADD, "i/é"), WorkflowRef("Signup", "a/b")]


@pytest.mark.parametrize("ref", REFS, ids=str)
async def test_refs(caller: Caller, engine: FakeEngine, ref: InvocationRef) -> None:
    engine.behaviours = {"Counter/add": lambda request: None, "Signup/run": lambda request: None}
    if isinstance(ref, IdempotencyRef):
        await caller.send(Request(ref.target, b"1", idempotency_key="i/é"), 0)
    else:
        await caller.send(Request(Target("Signup", "run", "a/b"), b"1"), 0)
    assert await caller.output(ref) is None
    await caller.cancel(ref)
    assert engine.verbs == [("cancel", "inv_1")]
    waiting = asyncio.ensure_future(caller.attach(ref, None))
    await engine.until_waiting(1)
    engine.invocations["inv_1"].done.set_result(ValueOrFailure(b"7", None))
    assert await waiting == b"7"
    await caller.cancel(ref)
    assert engine.verbs == [("cancel", "inv_1")]


@pytest.mark.parametrize("ref", ["inv_9", *REFS], ids=str)
async def test_unknown_invocations(caller: Caller, ref: InvocationRef) -> None:
    for ask in (caller.attach(ref, None), caller.output(ref), caller.cancel(ref)):
        with pytest.raises(InvocationNotFound):
            await ask


async def test_malformed_id(caller: Caller) -> None:
    for ask in (caller.attach("garbage", None), caller.output("garbage"), caller.cancel("garbage")):
        with pytest.raises(TerminalError, match="garbage") as raised:
            await ask
        assert raised.value.code == 400


async def test_declared_errors_keep_their_class(caller: Caller, engine: FakeEngine) -> None:
    failure = to_failure(DeclinedError(reason="limit"))
    engine.behaviours["Counter/add"] = lambda request: ValueOrFailure(None, failure)
    with pytest.raises(DeclinedError) as raised:
        await caller.call(Request(ADD, b"1"), None)
    assert (raised.value.reason, raised.value.code) == ("limit", 402)
    with pytest.raises(DeclinedError):
        await caller.attach("inv_1", None)
    with pytest.raises(DeclinedError):
        await caller.output("inv_1")


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (Failure(409, "cancelled"), Cancelled),
        (Failure(409, "killed"), Killed),
        (Failure(409, "the workflow method was already invoked"), AlreadyInvoked),
        (Failure(409, "no seat"), TerminalError),
        (Failure(7, "odd code"), TerminalError),
    ],
)
async def test_errors_named_by_sentence(
    caller: Caller, engine: FakeEngine, failure: Failure, expected: type[TerminalError]
) -> None:
    engine.behaviours["Counter/add"] = lambda request: ValueOrFailure(None, failure)
    with pytest.raises(TerminalError) as raised:
        await caller.call(Request(ADD, b"1"), None)
    assert type(raised.value) is expected
    assert (raised.value.code, raised.value.message) == (failure.code, failure.message)


async def test_second_run(caller: Caller) -> None:
    run = Request(Target("Signup", "run", "ann"), b"1")
    await caller.call(run, None)
    with pytest.raises(AlreadyInvoked):
        await caller.call(run, None)
    assert await caller.send(run, 0) == "inv_1"


async def test_call_times_out_and_the_invocation_goes_on(caller: Caller, engine: FakeEngine) -> None:
    engine.behaviours["Counter/add"] = lambda request: None
    with pytest.raises(TimeoutError, match=r"took over 0.01 s; the invocation goes on"):
        await caller.call(Request(ADD, b"1"), 0.01)
    with pytest.raises(TimeoutError):
        await caller.attach("inv_1", 0.01)
    assert not engine.invocations["inv_1"].done.done()


async def test_private_and_workflow_rules(caller: Caller, engine: FakeEngine) -> None:
    for request in (
        Request(Target("Greeter", "secret"), b"1"),
        Request(Target("Signup", "run", "ann"), b"1", idempotency_key="i"),
    ):
        for ask in (caller.call(request, None), caller.send(request, 0)):
            with pytest.raises(TerminalError) as raised:
                await ask
            assert raised.value.code == 400
    assert engine.requests == []


async def test_awakeables(caller: Caller, engine: FakeEngine) -> None:
    failure = to_failure(DeclinedError(reason="limit"))
    await caller.complete_awakeable("sign_1", ValueOrFailure(b"1", None))
    await caller.complete_awakeable("sign_2", ValueOrFailure(None, failure))
    assert engine.awakeables == {"sign_1": ValueOrFailure(b"1", None), "sign_2": ValueOrFailure(None, failure)}
    with pytest.raises(TerminalError, match="garbage"):
        await caller.complete_awakeable("garbage", ValueOrFailure(b"1", None))


async def test_full_disk(caller: Caller, engine: FakeEngine) -> None:
    engine.accepts = False
    with pytest.raises(ServerUnavailable, match="the disk is full"):
        await caller.call(Request(ADD, b"1"), None)


async def test_refused_cancel(caller: Caller, engine: FakeEngine) -> None:
    engine.behaviours["Counter/add"] = lambda request: None
    await caller.send(Request(ADD, b"1"), 0)
    engine.mismatched.add("inv_1")
    with pytest.raises(TerminalError, match="cannot be cancelled: the journal does not match") as raised:
        await caller.cancel("inv_1")
    assert raised.value.code == 409
