"""Serve the operator: `python -m examples.state_machines.machines`."""

from __future__ import annotations

from examples.serving import serve
from examples.state_machines.machines import app

if __name__ == "__main__":
    serve(app, default_db="machines.db")
