"""Hosts a port answers to: what the `Host` of a request may be, so that no page reaches it by a name of its own.

A page can give its own name the address of this machine after it was loaded (DNS rebinding): for the browser it
then talks to where it came from. Its name is still in `Host`. An address there can't be turned that way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from restate_patterns.errors import DefinitionError
from restate_patterns.limits import HOSTS_KNOWN_MAX

_HOST: Final = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:.%\w]+)\]|(?P<name>[^\s\[\]:/@?#\\,]+))(?::[0-9]{0,5})?", re.ASCII)
_LOCAL_NAME: Final = "localhost"
ANY: Final = "*"


class Hosts:
    """The hosts of one port: loopback, the address it is bound to, and the names it was given.

    A port that is bound to every address of the machine answers to every address, but to no name that it was not
    given.

    Args:
        bound: The address it is bound to.
        names: More names; `.example.com` is example.com and all below it, `*` is any.

    Raises:
        DefinitionError: One is no name of a host.
    """

    def __init__(self, bound: str, names: Iterable[str] = ()) -> None:
        self._bound = _plain(bound)
        bound_ip = address_of(self._bound)
        self._every_address = self._bound == "" or (bound_ip is not None and bound_ip.is_unspecified)
        self._names = frozenset(_checked(name) for name in names)
        self._known: set[bytes] = set()

    def __contains__(self, host: bytes) -> bool:
        """Whether a request with this `Host` is for here; its port says nothing."""
        if host in self._known:
            return True
        found = self._allows(host)
        if found and len(self._known) < HOSTS_KNOWN_MAX:
            self._known.add(host)
        return found

    def _allows(self, host: bytes) -> bool:
        if ANY in self._names:
            return True
        match = _HOST.fullmatch(host.decode("latin-1"))
        if match is None:
            return False
        name = _plain(match["v6"] or match["name"])
        if is_loopback(name) or name == self._bound or name in self._names:
            return True
        address = address_of(name)
        if address is not None:
            return self._every_address or address == address_of(self._bound)
        return any(f".{name}".endswith(each) for each in self._names if each.startswith("."))


def is_loopback(host: str) -> bool:
    """Say whether a host, as it is bound or asked for, is this machine and nobody else's."""
    name = _plain(host)
    address = address_of(name)
    if address is not None:
        return address.is_loopback
    return name == _LOCAL_NAME or name.endswith(f".{_LOCAL_NAME}")


def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """Give the address that is written as a host; None for a name. IPv4 inside IPv6 is IPv4."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _plain(host: str) -> str:
    return host.strip("[]").lower().removesuffix(".")


def _checked(name: str) -> str:
    plain = _plain(name)
    if name == ANY:
        return ANY
    inner = plain.removeprefix(".")
    if address_of(inner) is None and (not inner.isascii() or _HOST.fullmatch(inner) is None or ":" in name):
        raise DefinitionError(
            f"allowed_hosts: {name!r} must be a name or an address without a port, as in shop.example.com, "
            "or .example.com for all below it (not ASCII: in its xn-- form)"
        )
    return plain
