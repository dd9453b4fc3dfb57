"""The embedded backend: the engine on a SQLite file in this process, with its HTTP face when it serves."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path

from typing_extensions import override

from restate_patterns.backends.ingress_app import IngressApp
from restate_patterns.client.engine_caller import EngineCaller
from restate_patterns.embedded.engine import Engine
from restate_patterns.embedded.store import Store
from restate_patterns.engine.backend import Backend, Hosted
from restate_patterns.errors import DefinitionError
from restate_patterns.http.exposure import LOOPBACK, Exposure
from restate_patterns.http.server import HttpServer
from restate_patterns.limits import INACTIVITY_TIMEOUT_MS
from restate_patterns.seam import Caller, Deployment

_MILLISECOND = timedelta(milliseconds=1)


class Embedded(Backend):
    """Runs an app in this process, durably, on one SQLite file. Nothing to install, nothing to connect to.

    Args:
        file: The file; made when it is missing, owned by this process while it runs. Default: in memory,
            gone at the end.
        host: The address on which `serve` takes calls. Default: loopback only.
        admin_host: The address on which it is administered; another than loopback needs `admin_token`.
        ingress_port: Where `serve` takes calls; 0 takes a free port.
        admin_port: Where `serve` is administered; 0 takes a free port.
        allowed_hosts: Names by which `serve` may be asked for, besides its addresses: `["shop.example.com"]`;
            `.example.com` is example.com and all below it.
        allowed_origins: Origins whose web pages may call: `["https://shop.example.com"]`; `*` is any.
        ingress_token: What calls must bring as `authorization: Bearer ...`. Default: nothing.
        admin_token: The same for the admin API.
        inactivity_timeout: How long an idle invocation stays in memory before it is suspended to the file.
            Zero replays at every wait, which finds code that is not deterministic. Default: one minute.

    Raises:
        DefinitionError: An option makes no sense, or the admin API would be open to others.
    """

    def __init__(
        self,
        file: str | Path = ":memory:",
        *,
        host: str = LOOPBACK,
        admin_host: str = LOOPBACK,
        ingress_port: int = 8080,
        admin_port: int = 9070,
        allowed_hosts: Sequence[str] = (),
        allowed_origins: Sequence[str] = (),
        ingress_token: str | None = None,
        admin_token: str | None = None,
        inactivity_timeout: timedelta | None = None,
    ) -> None:
        if inactivity_timeout is not None and inactivity_timeout < timedelta(0):
            raise DefinitionError(f"Embedded: inactivity_timeout={inactivity_timeout} must not be negative")
        self._file = file
        self._exposure = Exposure(host, admin_host, allowed_hosts, allowed_origins, ingress_token, admin_token)
        self._ingress_port = ingress_port
        self._admin_port = admin_port
        self._inactivity_timeout_ms = (
            INACTIVITY_TIMEOUT_MS if inactivity_timeout is None else round(inactivity_timeout / _MILLISECOND)
        )

    def engine(self, deployment: Deployment) -> Engine:
        """Return an engine for these services on this backend's file; it is not started."""
        return Engine(deployment, Store(self._file), inactivity_timeout_ms=self._inactivity_timeout_ms)

    def http_server(self, engine: Engine) -> HttpServer:
        """Return the HTTP face of an engine of this backend; it is not started."""
        return HttpServer(engine, exposure=self._exposure, ingress_port=self._ingress_port, admin_port=self._admin_port)

    def asgi_app(self, app: Hosted) -> IngressApp:
        """Return the ingress as an ASGI app, for whoever serves it: any ASGI server, or a web framework that mounts it.

        Host, ports and addresses are those of the server then; `allowed_hosts`, `allowed_origins` and the tokens hold
        as they do when it is served by `serve`.

        Args:
            app: The `App`.
        """
        return IngressApp(app.deployment, lambda: self.engine(app.deployment), self._exposure)

    @override
    def start(self, deployment: Deployment) -> AbstractAsyncContextManager[Caller]:
        return self._running(deployment)

    @asynccontextmanager
    async def _running(self, deployment: Deployment) -> AsyncGenerator[Caller]:
        engine = self.engine(deployment)
        await engine.start()
        try:
            caller = EngineCaller(engine)
            await deployment.started(caller)
            yield caller
        finally:
            await engine.stop()

    @override
    async def serve(self, deployment: Deployment, started: Callable[[], None]) -> None:
        """Host the services over HTTP until SIGTERM or SIGINT; see `Backend.serve`.

        Raises:
            FileError: The file can't be used.
            PortError: A port is taken.
        """
        engine = self.engine(deployment)
        await engine.start()
        try:
            await deployment.started(EngineCaller(engine))
            await self._serve(deployment, engine, started)
        finally:
            await engine.stop()

    async def _serve(self, deployment: Deployment, engine: Engine, started: Callable[[], None]) -> None:
        server = self.http_server(engine)

        def listening() -> None:
            services = ", ".join(sorted(deployment.services))
            print(  # noqa: T201 - what a person who starts a server looks for
                f"serving {services} from {self._file}, process {os.getpid()}: "
                f"ingress {server.ingress_url}, admin {server.admin_url}",
                file=sys.stderr,
                flush=True,
            )
            started()

        await server.serve_until_signal(started=listening, then=engine.stop)
