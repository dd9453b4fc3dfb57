"""Serve the albums: `python -m examples.queues.thumbnails`."""

from __future__ import annotations

from examples.queues.thumbnails import app
from examples.serving import serve

if __name__ == "__main__":
    serve(app, default_db="thumbnails.db")
