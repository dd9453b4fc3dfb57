"""The Invoke API of AWS Lambda, as far as a Restate server uses it, in front of one function: `MODULE PORT`.

One event at a time, as an instance of a function has it. It prints the path of each, so that a test can count them.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from typing_extensions import override

Function = Callable[[Any, Any], Any]


def stand_in(function: Function, port: int) -> HTTPServer:
    """Give a server that invokes a function for each request."""

    class Invoke(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            event = json.loads(self.rfile.read(int(self.headers["content-length"])))
            print("invoked", event["path"], flush=True)
            answer = json.dumps(function(event, None)).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.send_header("x-amz-executed-version", self.path.partition("Qualifier=")[2] or "$LATEST")
            self.end_headers()
            self.wfile.write(answer)

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """What was invoked is said above."""

    return HTTPServer(("127.0.0.1", port), Invoke)


def main() -> None:
    stand_in(importlib.import_module(sys.argv[1]).function, int(sys.argv[2])).serve_forever()


if __name__ == "__main__":
    main()
