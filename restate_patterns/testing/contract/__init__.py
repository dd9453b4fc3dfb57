"""The contract of a backend: every guarantee that a user can observe, each with a check that fails when it is broken.

@pytest.mark.parametrize("guarantee", ALL, ids=str)
def test_contract(guarantee: Guarantee) -> None:
    asyncio.run(check(guarantee, MyHost()))
"""

from __future__ import annotations

from restate_patterns.testing.contract.catalogue import ALL, check, stage_on
from restate_patterns.testing.contract.guarantee import Guarantee
from restate_patterns.testing.contract.host import Admin, Host, Running
from restate_patterns.testing.contract.stage import Stage

__all__ = ["ALL", "Admin", "Guarantee", "Host", "Running", "Stage", "check", "stage_on"]
