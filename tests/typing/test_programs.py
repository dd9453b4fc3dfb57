"""The programs of the API page run: what type-checks there also works."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from restate_patterns import App
from tests.support.engines.apps import RunningApp, running_app
from tests.typing import correct
from tests.typing.programs import main_program, outside, readme, registration, tickets

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


async def in_time(app: RunningApp, by: timedelta) -> None:
    await app.bench.advance(by)


async def test_a_seat_is_free_again_after_fifteen_minutes() -> None:
    async with running_app(readme.app) as app:
        seat = app.client.object_client(readme.Seat, "A1")
        assert await seat.hold("ann")
        assert not await seat.hold("bob")
        await in_time(app, timedelta(minutes=16))
        assert await seat.hold("bob")


async def test_tickets_are_reserved_sold_and_expire() -> None:
    async with running_app(tickets.app) as app:
        ann, bob = (app.client.object_client(tickets.Cart, user) for user in ("ann", "bob"))
        assert await ann.add_ticket("A1")
        assert not await bob.add_ticket("A1")
        assert await ann.contents() == ["A1"]
        assert await ann.checkout()
        assert await ann.contents() == []
        assert await bob.add_ticket("A2")
        await in_time(app, timedelta(minutes=16))
        assert await bob.contents() == []
        assert await ann.add_ticket("A2")


async def test_a_declined_card_arrives_as_its_class() -> None:
    async with running_app(tickets.app) as app:
        cart = app.client.object_client(tickets.Cart, "eve")
        for ticket in ("A1", "A2", "A3"):
            assert await cart.add_ticket(ticket)
        with pytest.raises(tickets.Declined, match=r"^The card was declined\.$") as caught:
            await cart.checkout()
        assert (caught.value.reason, caught.value.code) == ("limit", 402)


async def test_a_registration_is_verified_or_expires() -> None:
    async with running_app(registration.app) as app:
        user = registration.User(name="ann", email="ann@example.com")
        ann = app.client.workflow_client(registration.Registration, "ann")
        handle = await ann.run.send(user)
        _, code = await asyncio.wait_for(registration.mail.sent.get(), 10)
        with pytest.raises(registration.WrongCode):
            await ann.verify("wrong")
        event = registration.MailEvent(registration="ann", code=code)
        await app.client.service_client(registration.MailEvents).clicked(event)
        assert await handle.result()
        assert await ann.progress() == "verified"

        bob = app.client.workflow_client(registration.Registration, "bob")
        handle = await bob.run.send(user)
        result = asyncio.create_task(handle.result())
        await in_time(app, timedelta(days=3, minutes=1))
        assert not await asyncio.wait_for(result, 10)
        assert await bob.progress() == "expired"


async def test_a_person_answers_an_awakeable() -> None:
    async with running_app(registration.app) as app:
        assert await app.client.service_client(registration.Human).ask("shall we?")


async def test_clients_outside(capsys: pytest.CaptureFixture[str]) -> None:
    async with running_app(tickets.app) as app:
        await outside.use(app.client)

    assert capsys.readouterr().out == "['A1', 'A2']\n"


async def test_the_main_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await main_program.inside(str(tmp_path / "tickets.db"))

    assert capsys.readouterr().out == "[]\n"


def test_what_is_only_type_checked_can_be_an_app() -> None:
    app = App([correct.Ticket(), correct.Gold(), correct.Prices(), correct.Checkout(3), correct.Registration()])

    assert sorted(app.deployment.services) == ["Checkout", "GoldTicket", "Prices", "Registration", "Ticket"]
