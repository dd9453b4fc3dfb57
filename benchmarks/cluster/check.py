"""Compares what the load was told with what is there; pure: sentences about what is wrong come out.

What the order of requests at the providers proves:

* A step starts only when all that came before it is in the journal. So once a later step of a trip was seen,
  a request of an earlier one means that a recorded result was forgotten.
* One process runs a step once: a request that was answered is repeated by a later process only, when the kill
  came between the answer and the record.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from benchmarks.cluster.ledgers import PROVIDERS, Seen, TripLedger
from benchmarks.cluster.load import Add, Asked
from examples.sagas.booking import cars, flights

PLAN: Final = (
    ("flights", "reserve"),
    ("cars", "reserve"),
    ("payments", "charge"),
    ("flights", "confirm"),
    ("cars", "confirm"),
    ("payments", "refund"),
    ("cars", "cancel"),
    ("flights", "cancel"),
)
"""In which order a trip can ask for things: what is booked, then what undoes it. After the charge it only goes on."""

_IMPORTING_NS: Final = 100_000_000
"""A process asks nobody that early in its life; what arrives then was sent by the one before."""

_ORDER: Final = {what: PLAN.index(what) for what in PLAN} | {("flights", "cancel"): PLAN.index(("cars", "cancel"))}
"""The two cancels run side by side."""
_BOOKED: Final = {"flights": ["confirmed"], "cars": ["confirmed"], "payments": ["charged"]}
_UNDONE: Final = frozenset({"cancelled", "refunded"})
_RESERVES: Final = {"flights": flights.RESERVE.name, "cars": cars.RESERVE.name}


def check_adds(adds: Sequence[Add], totals: Mapping[str, int]) -> list[str]:
    """Check that each add happened once: sums are those of the adds, and each answer is the one before plus its add."""
    wrong = [f"add {add.by} to {add.key} failed with {add.error}" for add in adds if add.error]
    wrong += [f"add {add.by} to {add.key} was not answered" for add in adds if add.total is None and not add.error]
    by_key: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for add in adds:
        if add.total is not None:
            by_key[add.key].append((add.total, add.by))
    for key, total in totals.items():
        answers = sorted(by_key[key])
        for (before, _), (after, by) in pairwise([(0, 0), *answers]):
            if after - before != by:
                wrong.append(f"{key}: after {before} came {after}, with an add of {by}")
        expected = sum(by for _, by in answers)
        if total != expected:
            wrong.append(f"{key}: the sum is {total}, and {expected} were added")
    return wrong


def check_trips(asked: Sequence[Asked], ledgers: Mapping[str, TripLedger], starts_ns: Sequence[int]) -> list[str]:
    """Check that each trip is booked or undone as a whole, and that nothing was done again that was recorded.

    Args:
        asked: The trips, and what the load was told.
        ledgers: What the providers have, by trip.
        starts_ns: When the processes of the services were started.
    """
    wrong = [f"trip {each.trip} was not answered" for each in asked if not each.answered]
    wrong += [f"trip {trip} was booked by nobody" for trip in ledgers.keys() - {each.trip for each in asked}]
    for each in asked:
        ledger = ledgers.get(each.trip, TripLedger())
        found = check_booked(each, ledger) if each.booking is not None else check_undone(each, ledger)
        found += check_repeats(ledger.seen, starts_ns)
        wrong += [f"trip {each.trip}: {sentence}" for sentence in found]
    return wrong


def check_booked(asked: Asked, ledger: TripLedger) -> list[str]:
    """Check that a trip that was booked is booked everywhere, once, under the ids it was told."""
    wrong = [] if ledger.states() == _BOOKED else [f"it is booked, and the providers have {ledger.states()}"]
    if asked.booking is not None and not wrong:
        told = {
            "flights": asked.booking.flight_id,
            "cars": asked.booking.car_id,
            "payments": asked.booking.payment_id,
        }
        wrong += [
            f"{name} has {ledger.records[name][0].id}, and the booking says {told[name]}"
            for name in PROVIDERS
            if ledger.records[name][0].id != told[name]
        ]
    return wrong


def check_undone(asked: Asked, ledger: TripLedger) -> list[str]:
    """Check that nothing is left of a trip that failed.

    A reservation whose answer was lost until the tries were used up has an id that nobody knows: it lapses.
    """
    states = ledger.states()
    left = {(name, state) for name, found in states.items() for state in found if state not in _UNDONE}
    left -= {(name, "reserved") for name, step in _RESERVES.items() if step == asked.used_up}
    return [f"it failed with {asked.error}, and the providers have {states}"] if left else []


def check_repeats(seen: Sequence[Seen], starts_ns: Sequence[int]) -> list[str]:
    """Check that no step came back after a later one, and that none was done twice by one process."""
    wrong = [
        f"{' '.join(after.what)} was asked again after {' '.join(before.what)}"
        for before, after in pairwise(seen)
        if _ORDER[after.what] < _ORDER[before.what]
    ]
    boots: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for each in seen:
        if each.answered:
            boots[each.what].append(bisect_right(starts_ns, each.at_ns - _IMPORTING_NS))
    wrong += [
        f"{' '.join(what)} was done twice by one process (processes {found})"
        for what, found in boots.items()
        if len(set(found)) < len(found)
    ]
    return wrong


def repeat_count(ledgers: Mapping[str, TripLedger]) -> int:
    """Count requests that were answered and made again: what kills cost, if `check_trips` finds nothing wrong."""
    answered = [(trip, each.what) for trip, ledger in ledgers.items() for each in ledger.seen if each.answered]
    return len(answered) - len(set(answered))
