"""Serve the booking together with its providers: `python -m examples.sagas.booking`."""

from __future__ import annotations

from examples.sagas.booking import app
from examples.serving import serve_with_providers

if __name__ == "__main__":
    serve_with_providers(app, default_db="booking.db")
