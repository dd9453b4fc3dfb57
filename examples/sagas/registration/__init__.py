r"""User registration with email verification: no mail to people who have not asked for it, no half user.

Run it with the mail provider, on the usual ports:

    python -m examples.sagas.registration

Register, and look for the code in the mail that was sent:

    curl localhost:8080/Registration/ada/run/send -H 'content-type: application/json' \
        -d '{"name": "Ada", "email": "ada@example.com"}'
    curl localhost:9104/records

then verify with it, within three days:

    curl localhost:8080/Registration/ada/verify -H 'content-type: application/json' -d '"THE CODE"'

Who answers later is told that it is too late (410), and why.

Read `registration` first: it is the saga. `addresses` keeps an address for one user; `letters` knows the mail provider.
"""

from __future__ import annotations

from datetime import timedelta

from examples.sagas.registration.addresses import Address
from examples.sagas.registration.letters import Letters
from examples.sagas.registration.registration import Registration
from examples.sagas.remote import RemoteApi, connect
from examples.sagas.settings import Settings
from restate_patterns import App, Definition, saga_services


def definitions(*, mail: RemoteApi, patience: timedelta = timedelta(days=3)) -> list[Definition]:
    """Wire the services to the mail provider; who does not verify within `patience` is forgotten."""
    return [Registration(letters=Letters(mail), patience=patience), Address(), *saga_services()]


app = App(definitions(mail=connect(Settings.from_environment().mail_url)))
