"""Every guarantee, on every backend of this project."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from restate_patterns.testing.contract import ALL, Guarantee, check
from tests.support.contract_hosts import HOSTS


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("guarantee", ALL, ids=str)
def test_contract(guarantee: Guarantee, host: str, tmp_path: Path) -> None:
    """The sentence of the guarantee holds, unless the backend declares a difference; then it fails."""
    asyncio.run(check(guarantee, HOSTS[host](tmp_path)))
