"""The server of `embedded_http`: `python -m benchmarks.workers.embedded_server FILE INGRESS_PORT ADMIN_PORT`."""

from __future__ import annotations

import sys

from benchmarks.workers.embedded_services import app
from restate_patterns import Embedded

if __name__ == "__main__":
    app.serve(Embedded(sys.argv[1], ingress_port=int(sys.argv[2]), admin_port=int(sys.argv[3])))
