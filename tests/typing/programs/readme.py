"""The first program of the README."""

from datetime import timedelta

from restate_patterns import App, Embedded, ObjectContext, State, VirtualObject, handler


class Seat(VirtualObject):
    holder = State[str | None](default=None)

    @handler
    async def hold(self, ctx: ObjectContext, user: str) -> bool:
        if await self.holder.get(ctx) is not None:
            return False
        self.holder.set(ctx, user)
        await ctx.object_client(Seat, ctx.key).release.send_after(timedelta(minutes=15))
        return True

    @handler
    async def release(self, ctx: ObjectContext) -> None:
        self.holder.clear(ctx)


app = App([Seat()])
if __name__ == "__main__":
    app.serve(Embedded("seats.db"))
