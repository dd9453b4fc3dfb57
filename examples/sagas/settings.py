"""Where the providers are and how long a seat is held: read from the environment, once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the examples can be told from outside; the defaults fit `python -m examples.providers`."""

    flights_url: str = "http://127.0.0.1:9101"
    cars_url: str = "http://127.0.0.1:9102"
    payments_url: str = "http://127.0.0.1:9103"
    mail_url: str = "http://127.0.0.1:9104"
    hold: timedelta = timedelta(minutes=15)
    """How long a seat stays reserved for a cart."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read `FLIGHTS_URL`, `CARS_URL`, `PAYMENTS_URL`, `MAIL_URL` and `HOLD_S` (seconds)."""
        usual = cls()
        return cls(
            flights_url=environment.get("FLIGHTS_URL", usual.flights_url),
            cars_url=environment.get("CARS_URL", usual.cars_url),
            payments_url=environment.get("PAYMENTS_URL", usual.payments_url),
            mail_url=environment.get("MAIL_URL", usual.mail_url),
            hold=timedelta(seconds=float(environment.get("HOLD_S", usual.hold.total_seconds()))),
        )
