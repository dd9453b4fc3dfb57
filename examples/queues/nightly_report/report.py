"""The report of a day.

Which day that is, the tick says: a run that comes late, after a stop or a backfill, reports on the day that it was due
for. So what time it is when it runs is nobody's concern.
"""

from __future__ import annotations

from datetime import timedelta

from examples.queues.nightly_report.books import Archive, Books, DayReport
from restate_patterns import Context, Service, Tick, handler

SHOP = "shop"


# --8<-- [start:reports]
class Reports(Service):
    """Makes reports."""

    @handler
    async def of_yesterday(self, ctx: Context, tick: Tick) -> DayReport:
        """Report on the day before the night that this run is for."""
        yesterday = tick.local.date() - timedelta(days=1)
        report = await ctx.object_client(Books, yesterday.isoformat()).close()
        await ctx.object_client(Archive, SHOP).keep(report)
        ctx.logger.info("the report of %s: %d cents", yesterday, report.total_cents)
        return report


# --8<-- [end:reports]
