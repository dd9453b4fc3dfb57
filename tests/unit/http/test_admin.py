"""The admin API: verbs, discovery, state."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

import httpx
import pytest

from restate_patterns.engine.interface import InvocationFilter, InvocationStatus
from restate_patterns.http.views import DEPLOYMENT_ID, service_json
from restate_patterns.options import HandlerOptions
from restate_patterns.seam import HandlerInfo, HandlerKind, Request, ServiceInfo, ServiceKind, Target
from restate_patterns.text.durations import parse_duration_ms
from tests.support.http.fake_engine import FakeEngine

pytestmark = pytest.mark.anyio


@pytest.fixture
async def running(engine: FakeEngine, anyio_backend: str) -> str:
    engine.behaviours["Counter/add"] = lambda request: None
    return (await engine.submit(Request(Target("Counter", "add", "k"), b"1"), None)).invocation_id


@pytest.fixture
async def completed(engine: FakeEngine, anyio_backend: str) -> str:
    return (await engine.submit(Request(Target("Greeter", "greet"), b"1"), None)).invocation_id


@pytest.mark.parametrize(("verb", "status"), [("cancel", 202), ("kill", 200), ("pause", 202), ("resume", 200)])
async def test_verbs_on_a_running_one(
    admin: httpx.AsyncClient, engine: FakeEngine, running: str, verb: str, status: int
) -> None:
    answer = await admin.patch(f"/invocations/{running}/{verb}")
    assert answer.status_code == status
    assert engine.verbs == [(verb, running)]


@pytest.mark.parametrize("status", [InvocationStatus.SCHEDULED, InvocationStatus.QUEUED])
async def test_cancel_of_one_not_started_is_200(
    admin: httpx.AsyncClient, engine: FakeEngine, running: str, status: InvocationStatus
) -> None:
    engine.invocations[running].status = status
    assert (await admin.patch(f"/invocations/{running}/cancel")).status_code == 200
    assert (await admin.patch(f"/invocations/{running}/cancel")).status_code == 404


async def test_verbs_on_a_completed_one(admin: httpx.AsyncClient, completed: str) -> None:
    restarted = await admin.patch(f"/invocations/{completed}/restart-as-new")
    assert (restarted.status_code, restarted.json()) == (200, {"new_invocation_id": "inv_new"})
    assert (await admin.patch(f"/invocations/{completed}/purge")).status_code == 200
    assert (await admin.patch(f"/invocations/{completed}/purge")).status_code == 404


@pytest.mark.parametrize("verb", ["cancel", "kill", "pause", "resume"])
async def test_409_on_a_completed_one(admin: httpx.AsyncClient, completed: str, verb: str) -> None:
    answer = await admin.patch(f"/invocations/{completed}/{verb}")
    assert answer.status_code == 409
    assert answer.json() == {
        "message": f"the invocation '{completed}' is already completed",
        "restate_code": None,
        "error": "InvocationCompleted",
    }


@pytest.mark.parametrize("verb", ["restart-as-new", "purge"])
async def test_409_while_not_completed(admin: httpx.AsyncClient, running: str, verb: str) -> None:
    assert (await admin.patch(f"/invocations/{running}/{verb}")).status_code == 409


@pytest.mark.parametrize("verb", ["cancel", "kill", "pause", "resume", "restart-as-new", "purge"])
@pytest.mark.parametrize(("invocation_id", "status"), [("inv_9", 404), ("garbage", 400)])
async def test_unknown_and_malformed(admin: httpx.AsyncClient, verb: str, invocation_id: str, status: int) -> None:
    answer = await admin.patch(f"/invocations/{invocation_id}/{verb}")
    assert answer.status_code == status
    assert set(answer.json()) == {"message", "restate_code", "error"}


@pytest.mark.parametrize("mode", ["cancel", "kill"])
async def test_delete(admin: httpx.AsyncClient, engine: FakeEngine, running: str, mode: str) -> None:
    assert (await admin.delete(f"/invocations/{running}?mode={mode}")).status_code == 202
    assert engine.verbs == [(mode, running)]


async def test_delete_purge(admin: httpx.AsyncClient, completed: str) -> None:
    assert (await admin.delete(f"/invocations/{completed}?mode=purge")).status_code == 202


async def test_delete_of_unknown_mode(admin: httpx.AsyncClient, running: str) -> None:
    assert (await admin.delete(f"/invocations/{running}?mode=hug")).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/invocations/inv_1/cancel", 405),
        ("PATCH", "/invocations/inv_1/hug", 404),
        ("GET", "/invocations/inv_1", 405),
        ("POST", "/health", 405),
        ("GET", "/nothing", 404),
        ("GET", "/services/Nobody", 404),
        ("GET", "/services/Nobody/openapi", 404),
        ("GET", "/services/Greeter/handlers/nope", 404),
        ("GET", "/deployments/dp_other", 404),
        ("POST", "/query", 501),
        ("POST", "/subscriptions", 501),
        ("POST", "/deployments", 400),
        ("OPTIONS", "/health", 405),
        ("GET", "/embedded/nothing", 404),
    ],
)
async def test_refused(admin: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    answer = await admin.request(method, path)
    assert answer.status_code == status
    assert answer.json()["message"]


async def test_admin_is_not_for_web_pages(admin: httpx.AsyncClient) -> None:
    answer = await admin.get("/services", headers={"origin": "http://page"})
    assert "access-control-allow-origin" not in answer.headers


async def test_health_and_version(admin: httpx.AsyncClient) -> None:
    assert (await admin.get("/health")).status_code == 200
    assert (await admin.head("/health")).status_code == 200
    version = (await admin.get("/version")).json()
    assert set(version) == {
        "server",
        "version",
        "min_admin_api_version",
        "max_admin_api_version",
        "ingress_endpoint",
    }
    assert version["server"] == "restate-patterns"
    assert version["ingress_endpoint"] == "http://127.0.0.1:8080"


async def test_services(admin: httpx.AsyncClient) -> None:
    services = (await admin.get("/services")).json()["services"]
    assert [(each["name"], each["ty"]) for each in services] == [
        ("Greeter", "Service"),
        ("Counter", "VirtualObject"),
        ("Signup", "Workflow"),
    ]
    counter = (await admin.get("/services/Counter")).json()
    assert counter == services[1]
    assert counter["deployment_id"] == DEPLOYMENT_ID
    handlers = (await admin.get("/services/Counter/handlers")).json()["handlers"]
    assert [(each["name"], each["ty"]) for each in handlers] == [
        ("add", "Exclusive"),
        ("get", "Shared"),
        ("send", "Shared"),
    ]
    assert (await admin.get("/services/Counter/handlers/add")).json() == handlers[0]
    greeter = {each["name"]: each for each in (await admin.get("/services/Greeter/handlers")).json()["handlers"]}
    assert greeter["secret"]["public"] is False
    assert greeter["greet"]["ty"] is None


@pytest.mark.parametrize(
    ("retention", "text"),
    [
        (timedelta(hours=2), "2h"),
        (timedelta(days=1, hours=12), "1d 12h"),
        (timedelta(milliseconds=1500), "1s 500ms"),
        (timedelta(0), "0s"),
    ],
)
async def test_services_say_how_long_things_are_kept(retention: timedelta, text: str) -> None:
    """In the words of a Restate server: a handler's own, where it has one, and the service's."""
    options = HandlerOptions(retention=retention)
    add = HandlerInfo("add", HandlerKind.EXCLUSIVE, options)
    plain = HandlerInfo("get", HandlerKind.SHARED, HandlerOptions())
    counter = service_json(ServiceInfo("Counter", ServiceKind.VIRTUAL_OBJECT, {"add": add, "get": plain}))
    own, none = cast("list[dict[str, object]]", counter["handlers"])
    assert (own["idempotency_retention"], own["journal_retention"]) == (text, text)
    assert not {"idempotency_retention", "journal_retention"} & set(none)
    assert (counter["idempotency_retention"], counter["journal_retention"]) == ("1d", "1d")
    assert "workflow_completion_retention" not in counter
    run = HandlerInfo("run", HandlerKind.WORKFLOW, options)
    signup = service_json(ServiceInfo("Signup", ServiceKind.WORKFLOW, {"run": run}))
    assert signup["workflow_completion_retention"] == text
    (handler,) = cast("list[dict[str, object]]", signup["handlers"])
    assert handler["journal_retention"] == text
    assert "idempotency_retention" not in handler
    assert parse_duration_ms(text) == retention / timedelta(milliseconds=1)


async def test_deployments(admin: httpx.AsyncClient) -> None:
    (deployment,) = (await admin.get("/deployments")).json()["deployments"]
    assert [each["name"] for each in deployment["services"]] == ["Greeter", "Counter", "Signup"]
    assert (await admin.get(f"/deployments/{deployment['id']}")).json() == deployment


async def test_replace_state_as_on_restate(admin: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.state["Counter", "k"] = {"old": b"1"}
    body = {"object_key": "k", "new_state": {"count": list(b"42")}}
    assert (await admin.post("/services/Counter/state", json=body)).status_code == 202
    assert engine.state["Counter", "k"] == {"count": b"42"}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/services/Counter/state", {"object_key": "k", "new_state": {"a": [256]}}, 400),
        ("/services/Counter/state", {"object_key": "k", "new_state": {"a": 7}}, 400),
        ("/services/Counter/state", {"new_state": {}}, 400),
        ("/services/Counter/state", [], 400),
        ("/services/Counter/state", {"object_key": "k", "new_state": {}, "version": "1"}, 400),
        ("/services/Greeter/state", {"object_key": "k", "new_state": {}}, 400),
        ("/services/Nobody/state", {"object_key": "k", "new_state": {}}, 404),
    ],
)
async def test_bad_state(admin: httpx.AsyncClient, engine: FakeEngine, path: str, body: object, status: int) -> None:
    answer = await admin.post(path, json=body)
    assert answer.status_code == status, answer.text
    assert engine.state == {}


async def test_state_needs_the_json_type(admin: httpx.AsyncClient, engine: FakeEngine) -> None:
    body = b'{"object_key": "k", "new_state": {}}'
    for headers in ({}, {"content-type": "text/plain"}):
        answer = await admin.post("/services/Counter/state", content=body, headers=headers)
        assert answer.status_code == 415
    unparsable = await admin.post("/services/Counter/state", content=b"{", headers={"content-type": "application/json"})
    assert unparsable.status_code == 400
    assert engine.state == {}


async def test_read_change_and_clear_state(admin: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.state["Counter", "a/b"] = {"count": b"42", "raw": b"\xff"}
    path = "/embedded/services/Counter/state/a%2Fb"
    assert (await admin.get(path)).json() == {"state": {"count": 42, "raw": {"$base64": "/w=="}}}
    changed = await admin.patch(path, json={"name": "é", "raw": {"$base64": "AA=="}})
    assert changed.status_code == 200
    assert engine.state["Counter", "a/b"] == {"count": b"42", "name": '"é"'.encode(), "raw": b"\x00"}
    assert (await admin.delete(f"{path}?name=count&name=raw")).json() == {"state": {"name": "é"}}
    assert (await admin.delete(path)).json() == {"state": {}}
    assert (await admin.patch(path, json={"raw": {"$base64": "?"}})).status_code == 400


async def test_list_invocations(admin: httpx.AsyncClient, engine: FakeEngine, running: str) -> None:
    query = "service=Counter&handler=add&key=k&status=running,paused&limit=1&after=inv_7"
    answer = (await admin.get(f"/embedded/invocations?{query}")).json()
    statuses = frozenset({InvocationStatus.RUNNING, InvocationStatus.PAUSED})
    chosen = InvocationFilter(service="Counter", handler="add", key="k", statuses=statuses)
    assert engine.filters == [(chosen, 1, "inv_7")]
    assert answer["next"] == running
    (found,) = answer["invocations"]
    assert found["id"] == running
    assert found["target"] == "Counter/k/add"
    assert found["status"] == "running"
    assert found["created_at"] == "2026-11-22T04:06:55.291000000Z"
    assert found["waits_for"] == ["sleep until 2026-11-22T04:06:55Z"]


async def test_list_by_more(admin: httpx.AsyncClient, engine: FakeEngine) -> None:
    await admin.get("/embedded/invocations?failed=true&without=SagaLog,StuckSagas&id_start=inv_1&id_end=ff")
    without = frozenset({"SagaLog", "StuckSagas"})
    chosen = InvocationFilter(failed=True, without=without, id_start="inv_1", id_end="ff")
    assert [asked for asked, _, _ in engine.filters] == [chosen]


@pytest.mark.parametrize("query", ["status=hungry", "limit=0", "limit=x", "limit=1001", "limit=-1", "service=%FF"])
async def test_bad_list(admin: httpx.AsyncClient, query: str) -> None:
    assert (await admin.get(f"/embedded/invocations?{query}")).status_code == 400


async def test_describe(admin: httpx.AsyncClient, running: str) -> None:
    detail = (await admin.get(f"/embedded/invocations/{running}")).json()
    assert detail["invocation"]["id"] == running
    assert detail["journal"][0] == {
        "position": 0,
        "kind": "run",
        "name": "charge",
        "completed": True,
        "detail": "true",
    }
    assert (await admin.get("/embedded/invocations/garbage")).status_code == 400


async def test_resolve(admin: httpx.AsyncClient, engine: FakeEngine) -> None:
    run = (await engine.submit(Request(Target("Signup", "run", "ann"), b"1"), None)).invocation_id
    request = Request(Target("Counter", "add", "k"), b"1", idempotency_key="i")
    idempotent = (await engine.submit(request, None)).invocation_id
    resolve = "/embedded/invocations/resolve"
    query = "service=Counter&handler=add&key=k&idempotency_key=i"
    assert (await admin.get(f"{resolve}?{query}")).json() == {"id": idempotent}
    assert (await admin.get(f"{resolve}?service=Signup&key=ann")).json() == {"id": run}
    assert (await admin.get(f"{resolve}?service=Signup")).status_code == 400
