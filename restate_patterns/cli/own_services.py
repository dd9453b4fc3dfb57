"""The services that the framework itself puts into an app: listings show what the user wrote, unless asked for more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from restate_patterns.admin import ServiceView
from restate_patterns.moving.courier import COURIER
from restate_patterns.patterns.saga.desk import SagaLog, StuckSagas
from restate_patterns.patterns.schedules.keeper import ScheduleIndex, Schedules

OWN_SERVICES: Final = frozenset(
    {StuckSagas.__name__, SagaLog.__name__, Schedules.__name__, ScheduleIndex.__name__, COURIER}
)


def without_own(services: Sequence[ServiceView]) -> Sequence[ServiceView]:
    """Return the services that are not the framework's own."""
    return [each for each in services if each.name not in OWN_SERVICES]
