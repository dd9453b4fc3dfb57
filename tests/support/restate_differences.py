"""What a Restate server does otherwise, by guarantee, each with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DIFFERENCES: Final[Mapping[str, str]] = {}
