"""Serve the ticket reservation together with its providers: `python -m examples.sagas.tickets`."""

from __future__ import annotations

from examples.sagas.tickets import app
from examples.serving import serve_with_providers

if __name__ == "__main__":
    serve_with_providers(app, default_db="tickets.db")
