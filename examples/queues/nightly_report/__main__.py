"""Serve the shop: `python -m examples.queues.nightly_report`."""

from __future__ import annotations

from examples.queues.nightly_report import app
from examples.serving import serve

if __name__ == "__main__":
    serve(app, default_db="nightly-report.db")
