"""One program, served or used from inside: the backend is one argument."""

import asyncio
import os

from restate_patterns import Embedded
from tests.typing.programs.tickets import Cart, app


async def inside(file: str) -> None:
    async with app.start(Embedded(file)) as client:
        print(await client.object_client(Cart, "ann").contents())


if __name__ == "__main__":
    if os.environ.get("SERVE"):
        app.serve(Embedded("tickets.db"))
    else:
        asyncio.run(inside("tickets.db"))
