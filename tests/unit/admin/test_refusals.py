"""From the answers of both kinds of server to one set of errors."""

from __future__ import annotations

import pytest

from restate_patterns.admin.connection import Answer
from restate_patterns.admin.deployments import refusal
from restate_patterns.admin.errors import (
    BreakingChange,
    DiscoveryFailed,
    EndpointRefusesIdentity,
    EndpointSpeaksHttp1,
    EndpointUnreachable,
    NotAnEndpoint,
    NotFound,
    Refused,
    RegistrationError,
)
from restate_patterns.admin.refusals import refusal_of
from restate_patterns.client.errors import ServerUnavailable
from restate_patterns.engine.errors import (
    CancelRefused,
    EngineError,
    InvocationCompleted,
    InvocationNotCompleted,
    InvocationNotPaused,
    MalformedId,
)
from restate_patterns.errors import InvocationNotFound

URL = "http://127.0.0.1:9080"


@pytest.mark.parametrize(
    ("verb", "status", "error"),
    [
        ("cancel", 400, MalformedId),
        ("cancel", 404, InvocationNotFound),
        ("cancel", 409, InvocationCompleted),
        ("kill", 409, InvocationCompleted),
        ("resume", 409, InvocationCompleted),
        ("resume", 425, InvocationNotPaused),
        ("pause", 409, InvocationNotPaused),
        ("purge", 409, InvocationNotCompleted),
        ("restart-as-new", 409, InvocationNotCompleted),
        ("restart-as-new", 425, InvocationNotCompleted),
        ("restart-as-new", 422, Refused),
        ("restart-as-new", 410, Refused),
        ("kill", 503, ServerUnavailable),
    ],
)
def test_verbs_on_restate(verb: str, status: int, error: type[Exception]) -> None:
    found = refusal_of(verb, "inv_1", Answer(status, {"message": "no", "restate_code": None}))
    assert type(found) is error


@pytest.mark.parametrize("error", [CancelRefused("inv_1", "x"), InvocationCompleted("inv_1"), MalformedId("inv_1")])
def test_verbs_on_embedded(error: EngineError) -> None:
    """An embedded server names the class, and its sentence is kept."""
    answer = Answer(409, {"message": str(error), "error": type(error).__name__})
    found = refusal_of("cancel", "inv_1", answer)
    assert (type(found), str(found)) == (type(error), str(error))
    assert isinstance(found, EngineError)
    assert found.subject == "inv_1"


@pytest.mark.parametrize(
    ("code", "message", "error", "sentence"),
    [
        (
            "META0003",
            "[META0003] [META0003] got status code '401 Unauthorized'. Response headers: {}. Body: ",
            EndpointRefusesIdentity,
            "401 Unauthorized",
        ),
        ("META0003", "[META0003] [META0003] got status code '404'. Make sure", NotAnEndpoint, "(404)"),
        (
            "META0003",
            f"[META0003] [META0003] error when calling '{URL}/': h2 pool connection error: Connection refused",
            EndpointUnreachable,
            "(Connection refused)",
        ),
        ("META0014", "[META0014] [META0014] error when calling", EndpointSpeaksHttp1, "use_http_11=True"),
        ("META0006", "[META0006] detected a new service revision", BreakingChange, "detected a new service"),
        ("META0012", "[META0012] unsupported versions", DiscoveryFailed, "unsupported versions. When"),
    ],
)
def test_registrations(code: str, message: str, error: type[RegistrationError], sentence: str) -> None:
    found = refusal(URL, Answer(500, {"message": message, "restate_code": code}))
    assert type(found) is error
    assert found.url == URL
    assert sentence in str(found)
    assert "META" not in str(found)


def test_what_is_not_about_the_endpoint() -> None:
    assert refusal(URL, Answer(400, {"message": "bad uri", "restate_code": None})) is None


@pytest.mark.parametrize(("status", "error"), [(404, NotFound), (503, ServerUnavailable), (500, Refused)])
def test_other_answers(status: int, error: type[Exception]) -> None:
    with pytest.raises(error, match="the sentence"):
        Answer(status, {"message": "the sentence", "restate_code": "RT1"}).checked()


def test_codes_are_stable_and_different() -> None:
    def tree(kind: type[RegistrationError]) -> list[str]:
        return [kind.code, *(code for each in kind.__subclasses__() for code in tree(each))]

    codes = tree(RegistrationError)
    assert len(set(codes)) == len(codes)
    assert "breaking-change" in codes
