"""Which server answers: an embedded one or Restate, and its version. Pure: no connection here."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass

from restate_patterns.http.wire import SERVER_NAME


class ServerKind(enum.Enum):
    """The two kinds of server that speak this API."""

    EMBEDDED = "embedded"
    RESTATE = "restate"


@dataclass(frozen=True, slots=True)
class ServerVersion:
    """What a server says of itself at `GET /version` of its admin API."""

    kind: ServerKind
    version: str
    """Its own version, as in `1.7.12`."""
    min_admin_api: int
    """The oldest version of the admin API it still speaks."""
    max_admin_api: int
    """The newest one it speaks."""
    ingress_url: str | None = None
    """Where it takes calls, as far as it knows."""

    @classmethod
    def from_json(cls, fields: Mapping[str, object]) -> ServerVersion | None:
        """Read the answer of `GET /version`; None when it is not one."""
        version, ingress = fields.get("version"), fields.get("ingress_endpoint")
        oldest, newest = fields.get("min_admin_api_version"), fields.get("max_admin_api_version")
        if not isinstance(version, str) or not isinstance(oldest, int) or not isinstance(newest, int):
            return None
        kind = ServerKind.EMBEDDED if fields.get("server") == SERVER_NAME else ServerKind.RESTATE
        return cls(kind, version, oldest, newest, ingress if isinstance(ingress, str) else None)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The version as numbers that compare: `(1, 7, 12)`; empty when it has none."""
        found = re.match(r"\d+(?:\.\d+)*", self.version)
        return tuple(int(part) for part in found[0].split(".")) if found else ()
