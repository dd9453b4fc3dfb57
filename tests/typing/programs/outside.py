"""The same clients from outside: calls, handles, handles made again from an id or an idempotency key."""

import asyncio
from typing import assert_type

from restate_patterns import Client, Embedded, InvocationHandle, NotReady
from tests.typing.programs.tickets import Cart, Ticket, app


async def use(client: Client) -> None:
    cart = client.object_client(Cart, "ann")
    assert_type(await cart.add_ticket("A1"), bool)
    handle = await cart.add_ticket.with_options(idempotency_key="once").send("A2")
    assert_type(handle, InvocationHandle[bool])
    assert_type(await handle.output(), bool | NotReady)
    again = client.invocation(Cart.add_ticket, handle.id)
    assert_type(await again.result(), bool)
    same = cart.add_ticket.with_options(idempotency_key="once").handle()
    assert_type(await same.result(), bool)
    assert_type(client.invocation(Ticket.reserve, handle.id), InvocationHandle[bool])
    print(await cart.contents())


async def main() -> None:
    async with app.start(Embedded()) as client:
        await use(client)


if __name__ == "__main__":
    asyncio.run(main())
