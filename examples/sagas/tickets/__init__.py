"""The ticket reservation: seats in a cart, held for 15 minutes, sold once.

Run it with its providers, on the usual ports:

    python -m examples.sagas.tickets

or start the providers yourself (`python -m examples.providers`) and serve it with reload on change:

    restate-patterns dev examples.sagas.tickets:app

Then buy a seat:

    curl localhost:8080/CartObject/Mary/addTicket -H 'content-type: application/json' -d '"seat2B"'
    curl -X POST localhost:8080/CartObject/Mary/checkout

`HOLD_S=5` in the environment shortens the 15 minutes, to watch a seat come back.

Read `ticket` first, then `cart`, where expiry and checkout race, then `checkout` and `notifications`.
`session` is the same cart under the paths of an older edition.
"""

from __future__ import annotations

from datetime import timedelta

from examples.sagas.payments import Payments
from examples.sagas.remote import RemoteApi, connect
from examples.sagas.settings import Settings
from examples.sagas.tickets.cart import Cart
from examples.sagas.tickets.checkout import Checkout
from examples.sagas.tickets.notifications import Mail, Notifications
from examples.sagas.tickets.session import UserSession
from examples.sagas.tickets.ticket import Ticket
from restate_patterns import App, Service, VirtualObject


def definitions(*, payments: RemoteApi, mail: RemoteApi, hold: timedelta) -> list[Service | VirtualObject]:
    """Wire the services to their providers; a seat is held for `hold`."""
    return [
        Cart(hold=hold),
        Ticket(),
        Checkout(payments=Payments(payments)),
        Notifications(mail=Mail(mail)),
        UserSession(),
    ]


settings = Settings.from_environment()
app = App(
    definitions(
        payments=connect(settings.payments_url),
        mail=connect(settings.mail_url),
        hold=settings.hold,
    )
)
