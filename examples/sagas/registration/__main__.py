"""Serve the registration together with its provider: `python -m examples.sagas.registration`."""

from __future__ import annotations

from examples.sagas.registration import app
from examples.serving import serve_with_providers

if __name__ == "__main__":
    serve_with_providers(app, default_db="registration.db")
