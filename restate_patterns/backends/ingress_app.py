"""The ingress of an embedded engine as an ASGI app: for an ASGI server, or for a web framework that mounts it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Final

from typing_extensions import override

from restate_patterns.client import Client
from restate_patterns.client.engine_caller import EngineCaller
from restate_patterns.embedded.engine import Engine
from restate_patterns.errors import UsageError
from restate_patterns.http.admin import Admin
from restate_patterns.http.asgi import AsgiApp, Receive, Scope, Send
from restate_patterns.http.door import Door
from restate_patterns.http.exposure import Exposure
from restate_patterns.http.guard import Guard
from restate_patterns.http.ingress import Ingress
from restate_patterns.http.mounting import Mount
from restate_patterns.seam import Deployment
from restate_patterns.system import collector

_EVERY_ADDRESS: Final = ""


class IngressApp(AsgiApp):
    """The ingress of an app on the embedded engine, as an ASGI app. Made by `Embedded.asgi_app`.

    Served by itself it runs its engine for the server's lifespan. Mounted in another app it is run by that one, as
    frameworks do not run the lifespan of what they mount:

        ingress = Embedded("shop.db").asgi_app(app)

        @asynccontextmanager
        async def lifespan(web: FastAPI) -> AsyncIterator[None]:
            async with ingress.running() as client:
                web.state.client = client
                yield

        web = FastAPI(lifespan=lifespan)
        web.mount("/durable", ingress)
    """

    def __init__(self, deployment: Deployment, make_engine: Callable[[], Engine], exposure: Exposure) -> None:
        self._deployment = deployment
        self._make_engine = make_engine
        self._exposure = replace(exposure, host=_EVERY_ADDRESS)
        self._ingress = Mount()
        self._admin = Mount()
        self._runs = False

    @property
    def admin(self) -> AsgiApp:
        """The admin API, as an ASGI app to mount at a path of its own; it is nowhere until that is done.

        Raises:
            DefinitionError: The backend has no `admin_token`.
        """
        self._admin_guard()
        return self._admin

    def _admin_guard(self) -> Guard:
        return replace(self._exposure, admin_host=_EVERY_ADDRESS).admin_guard()

    def running(self) -> AbstractAsyncContextManager[Client]:
        """Run the engine while the block lasts, and answer requests from it.

        Returns:
            A client of the services.

        Raises:
            FileError: The file can't be used: another process has it.
            UsageError: It runs already.
        """
        return self._running()

    @asynccontextmanager
    async def _running(self) -> AsyncGenerator[Client]:
        if self._runs:
            raise UsageError("the ingress runs already: enter its running() once, in the lifespan of the outermost app")
        self._runs = True
        try:
            engine = self._make_engine()
            await engine.start()
            try:
                await self._deployment.started(EngineCaller(engine))
            except BaseException:
                await engine.stop()
                raise
        except BaseException:
            self._runs = False
            raise
        self._ingress.door = Door(Ingress(engine), self._exposure.ingress_guard())
        if self._exposure.admin_token is not None:
            self._admin.door = Door(Admin(engine, ingress_url=""), self._admin_guard())
        try:
            with collector.running():
                yield Client.over(EngineCaller(engine))
        finally:
            for mount in (self._ingress, self._admin):
                if mount.door is not None:
                    mount.door.abandon()
            await engine.stop()
            self._runs = False

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or run for the lifespan of a server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._ingress(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        phase = "startup"
        try:
            async with self.running():
                await send({"type": "lifespan.startup.complete"})
                await receive()
                phase = "shutdown"
        except Exception as error:  # noqa: BLE001 - the server tells it, and ends
            await send({"type": f"lifespan.{phase}.failed", "message": str(error)})
        else:
            await send({"type": "lifespan.shutdown.complete"})
