"""Values: what arguments, results, steps, state and errors carry, unchanged."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from pydantic import BaseModel

from restate_patterns.api.context import Context, ObjectContext
from restate_patterns.api.definitions import Service, VirtualObject
from restate_patterns.api.handlers import handler
from restate_patterns.api.state import State
from restate_patterns.errors import InvalidInput, WrongValue
from restate_patterns.seam import Request, Target
from restate_patterns.testing.contract.expect import equal, raised, true
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Point:
    x: int
    y: float


class Order(BaseModel):
    number: int
    price: Decimal
    placed: datetime
    patience: timedelta
    colour: Colour
    point: Point
    lines: list[str]
    by_name: dict[str, int]
    note: str | None = None
    id: UUID


ORDER = Order(
    number=2**53 + 1,
    price=Decimal("19.990"),
    placed=datetime(2030, 2, 3, 4, 5, 6, 789_000, UTC),
    patience=timedelta(days=1, microseconds=7),
    colour=Colour.BLUE,
    point=Point(3, 0.1),
    lines=["", "ünï", "\u2028 \x00 \N{PILE OF POO}"],
    by_name={"": 0, "a/b": -1},
    id=UUID(int=7),
)
EVERY_BYTE = bytes(range(256))
MEGABYTE = "0123456789abcdef" * 65536


class Echo(Recording, Service, name="ContractEcho"):
    @handler
    async def order(self, ctx: Context, order: Order) -> Order:
        return order

    @handler
    async def point(self, ctx: Context, point: Point) -> Point:
        return point

    @handler
    async def maybe(self, ctx: Context, number: int | None) -> int | None:
        return number

    @handler
    async def several(self, ctx: Context, points: list[Point | None]) -> list[Point | None]:
        return points

    @handler
    async def raw(self, ctx: Context, data: bytes) -> bytes:
        return data

    @handler
    async def typed(self, ctx: Context, data: bytes) -> list[str]:
        return [ctx.headers.get("content-type", "none"), data.hex()]

    @handler
    async def text(self, ctx: Context, text: str) -> str:
        return text

    @handler
    async def nothing(self, ctx: Context) -> None:
        return None


class Passes(Recording, VirtualObject, name="ContractPasses"):
    """Puts a value through everything that a value can go through."""

    kept_order = State[Order]()
    kept_bytes = State[bytes]()
    kept_text = State[str]()

    @handler
    async def order(self, ctx: ObjectContext, order: Order) -> Order:
        called = await ctx.service_client(Echo).order(order)
        ran = await ctx.run("order", same_order, called)
        self.kept_order.set(ctx, ran)
        return await self.kept_order.get(ctx)

    @handler
    async def raw(self, ctx: ObjectContext, data: bytes) -> bytes:
        called = await ctx.service_client(Echo).raw(data)
        ran = await ctx.run("bytes", same_bytes, called)
        self.kept_bytes.set(ctx, ran)
        return await self.kept_bytes.get(ctx)

    @handler
    async def typed(self, ctx: ObjectContext, content_type: str) -> list[str]:
        typed = ctx.service_client(Echo).typed.with_options(headers={"content-type": content_type})
        return await typed(b"\xff")

    @handler
    async def text(self, ctx: ObjectContext, text: str) -> str:
        called = await ctx.service_client(Echo).text(text)
        ran = await ctx.run("text", same_text, called)
        self.kept_text.set(ctx, ran)
        return await self.kept_text.get(ctx)

    @handler
    async def nothing(self, ctx: ObjectContext) -> bool:
        called: object = await ctx.service_client(Echo).maybe(None)
        ran: object = await ctx.run("nothing", no_number)
        return called is None and ran is None

    @handler
    async def bad_call(self, ctx: ObjectContext) -> str:
        try:
            await ctx.service_client(LooseEcho).point({"x": 1, "y": "far"})
        except InvalidInput as error:
            return error.message
        return "taken"


class LooseEcho(Service, name="ContractEcho"):
    """The echo as another program knows it, which was not told of the types."""

    @handler
    async def point(self, ctx: Context, point: dict[str, object]) -> object:
        return point


async def same_order(order: Order) -> Order:
    """Be a step."""
    return order


async def same_bytes(data: bytes) -> bytes:
    """Be a step."""
    return data


def same_text(text: str) -> str:
    """Be a step in a thread."""
    return text


async def no_number() -> int | None:
    """Be a step without a value."""
    return None


DEFINITIONS = (Echo, Passes)


@guarantee
async def types(stage: Stage) -> None:
    """A value comes back as the type that is annotated: models, dataclasses, lists, unions, None."""
    echo = stage.client.service_client(Echo)
    equal(await echo.order(ORDER), ORDER)
    equal(await echo.point(Point(1, 2.5)), Point(1, 2.5))
    equal(await echo.maybe(3), 3)
    equal(await echo.maybe(None), None)
    equal(await echo.several([Point(1, 2.0), None]), [Point(1, 2.0), None])
    equal(await echo.text(""), "")
    await echo.nothing()


@guarantee
async def everywhere(stage: Stage) -> None:
    """A model is the same after a call between handlers, a step and a state."""
    equal(await stage.client.object_client(Passes, stage.key()).order(ORDER), ORDER)


@guarantee
async def none_everywhere(stage: Stage) -> None:
    """None is a value of a call and of a step."""
    equal(await stage.client.object_client(Passes, stage.key()).nothing(), True)


@guarantee
async def raw_bytes(stage: Stage) -> None:
    """Bytes travel as they are, also when they are no text, and also when there are none."""
    echo = stage.client.service_client(Echo)
    passes = stage.client.object_client(Passes, stage.key())
    for data in (EVERY_BYTE, b"", b'{"not": "read"'):
        equal(await echo.raw(data), data)
        equal(await passes.raw(data), data)


@guarantee
async def raw_bytes_of_any_type(stage: Stage) -> None:
    """A handler of bytes takes any content type, and reads it in its headers: from outside, from handlers, of sends."""
    typed = stage.client.service_client(Echo).typed
    equal(await typed(b"\xff"), ["application/octet-stream", "ff"])
    for content_type in ("image/png", "text/csv; charset=utf-8", "application/json", "application/vnd.a+json"):
        of_type = typed.with_options(headers={"Content-Type": content_type})
        equal(await of_type(b"\xff"), [content_type, "ff"])
        equal(await (await of_type.send(b"{")).result(), [content_type, "7b"])
        equal(await stage.client.object_client(Passes, stage.key()).typed(content_type), [content_type, "ff"])


@guarantee
async def a_megabyte(stage: Stage) -> None:
    """A value of a megabyte is taken as argument, result, step and state."""
    equal(await stage.client.object_client(Passes, stage.key()).text(MEGABYTE), MEGABYTE)


@guarantee
async def bad_input_from_outside(stage: Stage) -> None:
    """A body of the wrong type is answered with a terminal 400 that names the field."""
    request = Request(Target("ContractEcho", "point"), b'{"x": 1, "y": "far"}')
    error = await raised(InvalidInput, stage.caller.call(request, None))
    equal(error.code, 400)
    true("y: " in error.message, f"the sentence does not name the field: {error.message}")


@guarantee
async def bad_json(stage: Stage) -> None:
    """A body that is no JSON is answered with a terminal 400."""
    request = Request(Target("ContractEcho", "point"), b'{"x": ')
    equal((await raised(InvalidInput, stage.caller.call(request, None))).code, 400)


@guarantee
async def bad_input_from_inside(stage: Stage) -> None:
    """A caller inside a handler gets the same 400 for an argument of the wrong type."""
    message = await stage.client.object_client(Passes, stage.key()).bad_call()
    true("y: " in message, f"the sentence does not name the field: {message}")


@guarantee
async def wrong_argument(stage: Stage) -> None:
    """A Python caller is stopped before anything is sent."""
    wrong: object = "no point"
    call = stage.client.service_client(Echo).point(wrong)  # type: ignore[arg-type] # what is checked  # pyright: ignore[reportArgumentType] - what is checked
    true("Point" in str(await raised(WrongValue, call)), "the sentence does not name the type")
