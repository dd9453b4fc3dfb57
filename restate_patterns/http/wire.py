"""What server and client agree on beyond the reference's surface."""

from __future__ import annotations

from typing import Final

SERVER_NAME: Final = "restate-patterns"
"""What an embedded server calls itself under `server` in `GET /version`; Restate says nothing there."""
