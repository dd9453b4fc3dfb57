"""What an app hosts so that it can have schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from restate_patterns.api.definitions import Definition, VirtualObject
from restate_patterns.errors import DefinitionError
from restate_patterns.patterns.schedules.declaration import ScheduleDeclaration
from restate_patterns.patterns.schedules.keeper import ScheduleIndex, Schedules
from restate_patterns.patterns.schedules.schedule import Schedule


def schedule_services(declared: Mapping[str, ScheduleDeclaration] | None = None) -> list[VirtualObject]:
    """Return what an app hosts that makes schedules at run time. One that has a `Schedule` hosts them by itself.

        app = App([Reports(), *schedule_services()])

    Args:
        declared: What the app declares at its start, by name; the app says it.
    """
    return [Schedules(declared), ScheduleIndex()]


def with_schedules(services: Sequence[Definition], schedules: Sequence[Schedule]) -> list[Definition]:
    """Return the services of an app, with those that its schedules need.

    Raises:
        DefinitionError: Two schedules have the same name.
    """
    declared: dict[str, ScheduleDeclaration] = {}
    for schedule in schedules:
        if schedule.name in declared:
            raise DefinitionError(f"two schedules have the name {schedule.name!r}; give one another")
        declared[schedule.name] = schedule.declaration
    own = [service for service in services if not isinstance(service, Schedules | ScheduleIndex)]
    return [*own, *schedule_services(declared)]
