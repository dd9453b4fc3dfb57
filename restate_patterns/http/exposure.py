"""Where a server listens and who may ask it: one value, checked as a whole before anything is bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from restate_patterns.errors import DefinitionError
from restate_patterns.http.guard import Guard, checked_origins, checked_token
from restate_patterns.http.hosts import Hosts, is_loopback

LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Exposure:
    """Addresses, hosts, origins and tokens of the two ports.

    Raises:
        DefinitionError: An option makes no sense, or the admin API would be open to others.
    """

    host: str = LOOPBACK
    """The address of the ingress."""
    admin_host: str = LOOPBACK
    """The address of the admin API; another than loopback needs a token."""
    allowed_hosts: Sequence[str] = ()
    """Names by which the ports may be asked for, besides their addresses and loopback."""
    allowed_origins: Sequence[str] = ()
    """Origins whose pages may ask the ingress."""
    ingress_token: str | None = field(default=None, repr=False)
    admin_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.ingress_guard()
        self.admin_guard()
        if self.admin_token is None and not is_loopback(self.admin_host):
            raise DefinitionError(
                f"the admin API on {self.admin_host or 'every address'} would let anybody who reaches it kill "
                "invocations and write state: give a token (RESTATE_ADMIN_TOKEN, in code: admin_token=), or leave it "
                "on 127.0.0.1"
            )

    def ingress_guard(self) -> Guard:
        """Give what guards the ingress."""
        return Guard(
            Hosts(self.host, _several("allowed_hosts", self.allowed_hosts)),
            origins=checked_origins(_several("allowed_origins", self.allowed_origins)),
            token=checked_token("ingress_token", self.ingress_token),
            open_path=b"/restate/health",
        )

    def admin_guard(self) -> Guard:
        """Give what guards the admin API, which takes no requests of other pages."""
        return Guard(
            Hosts(self.admin_host, _several("allowed_hosts", self.allowed_hosts)),
            token=checked_token("admin_token", self.admin_token),
            open_path=b"/health",
        )


def _several(name: str, values: Sequence[str]) -> Sequence[str]:
    if isinstance(values, str):
        raise DefinitionError(f"{name}={values!r} must be a list, as in [{values!r}]")
    return values
