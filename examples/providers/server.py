"""A provider over HTTP, on the standard library's server: nothing to install, a thread per connection."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pydantic import JsonValue, TypeAdapter, ValidationError
from typing_extensions import override

from examples.providers.ledger import Reply
from examples.providers.provider import Answer, Provider, Request

LOOPBACK = "127.0.0.1"
_BODY = TypeAdapter(dict[str, JsonValue])


class ProviderServer(ThreadingHTTPServer):
    """Serves one provider on loopback.

    Args:
        provider: Who answers.
        port: Where; 0 lets the system choose.
    """

    daemon_threads = True

    def __init__(self, provider: Provider, port: int = 0) -> None:
        super().__init__((LOOPBACK, port), _Handler)
        self.provider = provider

    @property
    def url(self) -> str:
        """The address to call it at."""
        return f"http://{LOOPBACK}:{self.server_port}"

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """Stay quiet: a caller that was killed in the middle of a request is daily life here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Write no log: the history tells all."""

    @property
    def _provider(self) -> Provider:
        assert isinstance(self.server, ProviderServer)
        return self.server.provider

    def _answer(self) -> None:
        length = int(self.headers.get("content-length", "0"))
        content = self.rfile.read(length)
        if len(content) < length:  # the caller died in the middle: nobody knows what it wanted
            self.close_connection = True
            return
        try:
            body = _BODY.validate_json(content or b"{}")
            request = Request(self.command, self.path, body, self.headers.get("idempotency-key"))
            answer = self._provider.answer(request)
        except ValidationError as error:
            answer = Answer(Reply(status=400, body={"reason": str(error)}))
        time.sleep(answer.delay_s)
        answer.sent()
        if answer.lost:
            self.close_connection = True
        else:
            self._send(answer.reply)

    def _send(self, reply: Reply) -> None:
        content = json.dumps(reply.body).encode()
        self.send_response(reply.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
