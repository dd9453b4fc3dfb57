"""Serve the payments: `python -m examples.state_machines.payments`."""

from __future__ import annotations

from examples.serving import serve
from examples.state_machines.payments import app

if __name__ == "__main__":
    serve(app, default_db="payments.db")
