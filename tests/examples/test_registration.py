"""The registration on the engine in memory: verified, expired, cancelled, with a crash after every commit."""

from __future__ import annotations

from datetime import timedelta

import pytest

from examples.providers.faults import FaultKind
from examples.sagas.registration.addresses import Address, AddressTaken
from examples.sagas.registration.registration import NeverVerified, Registration, TooLate, User, WrongCode
from restate_patterns import Cancelled, SagaLog, SagaState, saga_diagram
from restate_patterns.testing import TestEnvironment, at_every_crash_point
from tests.support.examples.companies import Companies, finish

ADA = User(name="Ada", email="ada@example.com")
companies = Companies()


def letters() -> list[str]:
    """Give the subjects of what was mailed, in order."""
    return [str(record.details["subject"]) for record in companies.providers["mail"].records.values()]


def the_code() -> str:
    """Give the code in the first letter."""
    (first, *_) = companies.providers["mail"].records.values()
    return str(first.details["text"])


@at_every_crash_point(companies.registration_app)
async def test_a_user_who_answers_is_registered(env: TestEnvironment) -> None:
    ada = env.client.workflow_client(Registration, "ada")
    handle = await ada.run.send(ADA)
    await env.advance(timedelta(days=2))
    assert letters() == ["Is this your address?"], "no welcome before the address is proven"
    with pytest.raises(WrongCode):
        await ada.verify("guess")
    await ada.verify(the_code())
    assert await finish(env, handle.result()) == "ada"
    assert letters() == ["Is this your address?", "Welcome"]
    assert await ada.status() == "registered"
    await ada.verify(the_code())  # a person clicks twice
    with pytest.raises(AddressTaken):
        await env.client.workflow_client(Registration, "eve").run(ADA)
    assert await env.client.object_client(Address, ADA.email).belongs_to() == "ada"


@at_every_crash_point(companies.registration_app)
async def test_who_never_answers_leaves_the_address_free(env: TestEnvironment) -> None:
    ada = env.client.workflow_client(Registration, "ada")
    handle = await ada.run.send(ADA)
    await env.advance(timedelta(days=3, hours=1))
    with pytest.raises(NeverVerified):
        await handle.result()
    assert letters() == ["Is this your address?"]
    assert await env.client.object_client(Address, ADA.email).belongs_to() is None
    with pytest.raises(WrongCode):
        await ada.verify("guess")
    with pytest.raises(TooLate, match="Nobody has answered the mail in time") as late:
        await ada.verify(the_code())
    assert late.value.code == 410
    record = await env.client.object_client(SagaLog, handle.id).show()
    assert record.state is SagaState.UNDONE
    assert "undo Address.release" in saga_diagram(record)


@at_every_crash_point(companies.registration_app, replay_always=True)
async def test_a_cancelled_registration_leaves_the_address_free(env: TestEnvironment) -> None:
    handle = await env.client.workflow_client(Registration, "ada").run.send(ADA)
    await env.advance(timedelta(days=1))
    await handle.cancel()
    with pytest.raises(Cancelled):
        await finish(env, handle.result())
    assert await env.client.object_client(Address, ADA.email).belongs_to() is None
    with pytest.raises(TooLate, match="cancelled"):
        await env.client.workflow_client(Registration, "ada").verify(the_code())


@at_every_crash_point(companies.registration_app)
async def test_a_welcome_that_gets_lost_is_sent_again(env: TestEnvironment) -> None:
    ada = env.client.workflow_client(Registration, "ada")
    handle = await ada.run.send(ADA)
    await env.advance(timedelta(days=1))
    companies.fail("mail", "send", FaultKind.ERROR, times=5)
    await ada.verify(the_code())
    assert await finish(env, handle.result(), timedelta(minutes=10)) == "ada"
    assert letters() == ["Is this your address?", "Welcome"]
