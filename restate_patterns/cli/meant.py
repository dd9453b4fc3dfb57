"""Which service or handler somebody may have meant: looked up at the admin API, as far as that answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from restate_patterns.admin import AdminError, ServiceView
from restate_patterns.cli.beside import admin_by
from restate_patterns.cli.suggestions import did_you_mean
from restate_patterns.client.errors import ClientError
from restate_patterns.seam import Target

_LOOK_UP_S: Final = 3.0
"""A hint is not worth a longer wait."""


async def target_meant(target: Target, ingress_url: str) -> str:
    """Return the end of a sentence that says which target may have been meant, or nothing."""
    try:
        async with asyncio.timeout(_LOOK_UP_S), admin_by(ingress_url) as admin:
            return _meant(target, await admin.list_services())
    except (AdminError, ClientError, TimeoutError, ValueError):
        return ""


def _meant(target: Target, services: Sequence[ServiceView]) -> str:
    by_name = {each.name: each for each in services}
    service = by_name.get(target.service)
    if service is None:
        return did_you_mean(target.service, by_name)
    return did_you_mean(target.handler, [each.name for each in service.handlers])
