"""How long tests wait for a fact: so long that only something missing lets it pass."""

from typing import Final

PATIENCE_S: Final = 120.0
