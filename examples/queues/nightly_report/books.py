"""What a shop sold each day, and the reports that it keeps of it."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel

from restate_patterns import ObjectContext, ObjectSharedContext, State, VirtualObject, handler


class DayReport(BaseModel):
    """What is told of a day."""

    day: date
    sale_count: int
    total_cents: int


class Books(VirtualObject):
    """The sales of one day; its key is the day."""

    sales = State[list[int]](default_factory=list)

    @handler
    async def sell(self, ctx: ObjectContext, cents: int) -> int:
        """Note a sale, and give how many there are."""
        sales = [*await self.sales.get(ctx), cents]
        self.sales.set(ctx, sales)
        return len(sales)

    @handler
    async def close(self, ctx: ObjectContext) -> DayReport:
        """Add up the day."""
        sales = await self.sales.get(ctx)
        return DayReport(day=date.fromisoformat(ctx.key), sale_count=len(sales), total_cents=sum(sales))


class Archive(VirtualObject):
    """The reports of a shop."""

    reports = State[list[DayReport]](default_factory=list)

    @handler
    async def keep(self, ctx: ObjectContext, report: DayReport) -> None:
        """Keep a report; one of the same day takes the place of the one before."""
        others = [each for each in await self.reports.get(ctx) if each.day != report.day]
        self.reports.set(ctx, sorted([*others, report], key=lambda each: each.day))

    @handler
    async def read(self, ctx: ObjectSharedContext) -> list[DayReport]:
        """Return the reports, by day."""
        return await self.reports.get(ctx)

    @handler
    async def tidy(self, ctx: ObjectContext, keep_count: int) -> None:
        """Forget all but the last reports."""
        self.reports.set(ctx, (await self.reports.get(ctx))[-keep_count:])
