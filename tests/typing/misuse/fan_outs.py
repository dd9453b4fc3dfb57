"""Fan-outs over wrong items, with wrong calls and policies."""

from __future__ import annotations

from restate_patterns import Context, Outcome, Service, fan_out, fan_out_as_completed, first_success, handler, quorum


class Numbers(Service):
    @handler
    async def half(self, ctx: Context, number: int) -> str:
        return str(number // 2)

    @handler
    async def nothing(self, ctx: Context) -> int:
        return 1


async def misuses(ctx: Context) -> None:
    numbers = ctx.service_client(Numbers)
    await fan_out(ctx, ["a"], numbers.half, window=2)  # error: items of another type
    await fan_out(ctx, [1], numbers.nothing, window=2)  # error: a handler without an argument
    await fan_out(ctx, [1], Numbers.half, window=2)  # error: a handler of no client
    await fan_out(ctx, [1], numbers.half)  # error: no window
    await fan_out(ctx, [1], numbers.half, window=2, on_error="ignore")  # error: no such policy
    await fan_out(ctx, [1], str, window=2)  # error: nothing to await
    found: list[int] = await fan_out(ctx, [1], numbers.half, window=2)  # error: another result
    some: list[str] = await fan_out(ctx, [1], numbers.half, window=2, on_error="collect")  # error: outcomes
    one: int = await first_success(ctx, [1], numbers.half)  # error: another result
    await quorum(ctx, [1], numbers.half)  # error: no count
    many: list[Outcome[int]] = await quorum(ctx, [1], numbers.half, count=1)  # error: other outcomes
    async for outcome in fan_out_as_completed(ctx, [1], numbers.half, window=1):
        outcome.value.real  # error: text has no real part
    del found, some, one, many
