"""The admin API beside an ingress, for commands that are given the ingress only and can say more with it."""

from __future__ import annotations

import os

from restate_patterns.admin import AdminClient
from restate_patterns.cli.tokens import ADMIN_TOKEN, ANY_TOKEN
from restate_patterns.client.urls import admin_beside


def admin_by(ingress_url: str) -> AdminClient:
    """Return a client of the admin API that the environment names, or else of the one on the ingress's host.

    Raises:
        ValueError: What the environment names is no URL.
    """
    url = os.environ.get("RESTATE_ADMIN_URL") or admin_beside(ingress_url.rstrip("/"))
    return AdminClient(url, token=os.environ.get(ADMIN_TOKEN, os.environ.get(ANY_TOKEN)))
