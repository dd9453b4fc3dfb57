"""The process that is killed: `python -m benchmarks.torture.server FILE INGRESS_PORT ADMIN_PORT`."""

from __future__ import annotations

import sys

from benchmarks.torture.services import app
from restate_patterns import Embedded

if __name__ == "__main__":
    app.serve(Embedded(sys.argv[1], ingress_port=int(sys.argv[2]), admin_port=int(sys.argv[3])))
