"""What the providers saw and have, by trip: read from their ledgers. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from examples.providers.faults import FaultKind
from examples.providers.ledger import Entry, Ledger, Record

PROVIDERS: Final = ("flights", "cars", "payments")
_HARMLESS: Final = (None, FaultKind.SLOW)
_NAMES_THE_TRIP: Final = {"flights": "passenger_name", "cars": "pickup_location", "payments": "card"}


@dataclass(frozen=True, slots=True)
class Seen:
    """One request that a provider got about a trip.

    Args:
        at_ns: When, on the machine's monotonic clock.
        what: The provider and the operation.
        subject: What it was about, at the provider.
        answered: Whether it was answered as it should be, if perhaps late.
    """

    at_ns: int
    what: tuple[str, str]
    subject: str
    answered: bool


@dataclass(slots=True)
class TripLedger:
    """What the providers know of one trip."""

    records: dict[str, list[Record]] = field(default_factory=lambda: {name: [] for name in PROVIDERS})
    seen: list[Seen] = field(default_factory=list)

    def states(self) -> dict[str, list[str]]:
        """Give the states of what is booked, by provider."""
        return {name: [record.state for record in records] for name, records in self.records.items()}


def by_trip(ledgers: Mapping[str, Ledger]) -> dict[str, TripLedger]:
    """Sort what providers know by trip.

    A payment that was refused, and one that was called off before it was made, have no record that names a
    trip: requests about those are left out.
    """
    trips: defaultdict[str, TripLedger] = defaultdict(TripLedger)
    for provider, ledger in ledgers.items():
        owners: dict[str, str] = {}
        for record in ledger.records.values():
            trip = record.details.get(_NAMES_THE_TRIP[provider])
            if isinstance(trip, str):
                trips[trip].records[provider].append(record)
                owners |= {record.id: trip} if record.key is None else {record.id: trip, record.key: trip}
        for entry in ledger.history:
            if entry.subject in owners:
                trips[owners[entry.subject]].seen.append(_seen(provider, entry))
    for found in trips.values():
        found.seen.sort(key=lambda each: each.at_ns)
    return dict(trips)


def _seen(provider: str, entry: Entry) -> Seen:
    answered = entry.fault in _HARMLESS and entry.status is not None and entry.status < 300
    return Seen(entry.at_ns, (provider, entry.operation), entry.subject, answered)
