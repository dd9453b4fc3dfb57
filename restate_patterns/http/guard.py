"""Who may ask: the host that is asked for, pages of other origins, tokens; decided before a body is read.

It guards against what runs beside the user: pages in a browser on this machine, which may send requests anywhere
but can't choose `Host`, `Origin` and `Sec-Fetch-Site`. It knows no routes but the one that stays open.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from restate_patterns.errors import DefinitionError
from restate_patterns.http.asgi import Response, Scope
from restate_patterns.http.hosts import ANY, Hosts
from restate_patterns.http.problems import Problem

_WATCHED: Final = frozenset(
    {b"host", b"origin", b"sec-fetch-site", b"user-agent", b"referer", b"content-type", b"authorization"}
)
_BROWSERS: Final = b"mozilla/"
"""How every browser that can be made to send requests begins its name; pages can't change that unasked."""
_SHOWN_CHARS: Final = 100
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}

Seen = Mapping[bytes, Sequence[bytes]]
"""The headers that are looked at, by name."""


class Guard:
    """Lets requests to one port through, or not.

    Args:
        hosts: What `Host` may be.
        origins: The origins whose pages may ask, as from `checked_origins`; `*` is any. None: no page is ever told
            that it may.
        token: What a request must bring as `authorization: Bearer ...`. Default: nothing.
        open_path: Answered without the token.
    """

    def __init__(
        self,
        hosts: Hosts,
        *,
        origins: frozenset[str] | None = None,
        token: str | None = None,
        open_path: bytes = b"",
    ) -> None:
        self._hosts = hosts
        self._answers_options = origins is not None
        self._origins = frozenset(each.encode() for each in origins or ())
        self._any_origin = ANY.encode() in self._origins
        self._token = None if token is None else token.encode()
        self._open_path = open_path

    def admit(self, scope: Scope) -> Response | None:
        """Let a request through, or answer it here when a page asks what it may do.

        The token is the port's own business: what answers does not see it.

        Raises:
            Problem: 400, 401 or 403: it may not; with what to do.
        """
        seen: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            if name in _WATCHED:
                seen.setdefault(name, []).append(value)
        self._check_host(scope, seen.get(b"host", ()))
        if not self._any_origin:
            self._check_origin(scope["method"], seen)
        if scope["method"] == "OPTIONS" and self._answers_options:
            return _preflight(scope)
        if self._token is not None and scope["raw_path"] != self._open_path:
            self._check_token(seen.get(b"authorization", ()))
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"authorization"]
        return None

    def add_cors(self, scope: Scope, response: Response) -> None:
        """Tell a page of an origin that may ask that it may read the answer."""
        if not self._origins:
            return
        if not self._any_origin:
            response.headers.append((b"vary", b"origin"))
        for name, value in scope["headers"]:
            if name == b"origin" and (self._any_origin or value in self._origins):
                response.headers.append((b"access-control-allow-origin", b"*" if self._any_origin else value))
                response.headers.append((b"access-control-expose-headers", b"*"))
                return

    def _check_host(self, scope: Scope, hosts: Sequence[bytes]) -> None:
        if len(hosts) == 1 and hosts[0] in self._hosts:
            return
        if len(hosts) > 1:
            raise Problem(400, "the request has more than one Host header: send one")
        if not hosts or not hosts[0]:
            # Only what speaks HTTP/1.0 may leave it out, and no browser does.
            if scope["http_version"] in ("1", "1.0"):
                return
            raise Problem(400, "the request has no Host header: send the host that it is for")
        raise Problem(
            403,
            f"the host '{_shown(hosts[0])}' is none of this server: use the address it is bound to, or allow the name "
            "with --allow-host (in code: allowed_hosts=)",
        )

    def _check_origin(self, method: str, seen: Seen) -> None:
        """Refuse what a page of another origin has made a browser send; see "Who may call" in the guide."""
        sites = seen.get(b"sec-fetch-site", ())
        origins = seen.get(b"origin", ())
        if origins:
            # Behind a proxy that rewrites Host only the browser knows that it is the same.
            if sites and all(site == b"same-origin" for site in sites):
                return
            for origin in origins:
                if origin not in self._origins and not _same(origin, seen):
                    raise self._foreign(f"a page of '{_shown(origin)}'")
        elif sites:
            if any(site not in (b"same-origin", b"none") for site in sites):
                raise self._foreign("a page of another origin")
        elif _from_a_browser(seen) and _needs_no_leave(method, seen):
            referers = seen.get(b"referer", ())
            if not referers or any(not self._trusts(referer, seen) for referer in referers):
                raise self._foreign("a browser that does not say which page asks by GET or without JSON")

    def _foreign(self, who: str) -> Problem:
        if not self._answers_options:
            return Problem(403, f"{who} may not ask the admin API: it takes no requests of other web pages")
        how = "allow its origin with --allow-origin (in code: allowed_origins=)"
        return Problem(403, f"{who} may not call: {how}")

    def _trusts(self, referer: bytes, seen: Seen) -> bool:
        origin = b"/".join(referer.split(b"/", 3)[:3])
        return origin in self._origins or _same(origin, seen)

    def _check_token(self, given: Sequence[bytes]) -> None:
        if self._token is None:
            return
        scheme, _, token = (given[0] if len(given) == 1 else b"").partition(b" ")
        if scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token):
            return
        why = "not the one of this port" if given else "missing"
        raise Problem(
            401,
            f"the token is {why}: send it as 'authorization: Bearer ...' (token= of a client, RESTATE_TOKEN)",
            headers=((b"www-authenticate", b'Bearer realm="restate-patterns"'),),
        )


def checked_origins(origins: Sequence[str]) -> frozenset[str]:
    """Give origins as browsers write them.

    Raises:
        DefinitionError: One is none.
    """
    return frozenset(_checked_origin(origin) for origin in origins)


def _checked_origin(origin: str) -> str:
    if origin == ANY:
        return ANY
    text = origin.strip().lower().removesuffix("/")
    try:
        parts = urlsplit(text)
        whole = bool(parts.hostname) and parts.port != 0 and text == f"{parts.scheme}://{parts.netloc}"
    except ValueError:
        parts, whole = urlsplit(""), False
    if not whole or "@" in parts.netloc or not text.isascii():
        raise DefinitionError(
            f"allowed_origins: {origin!r} must be scheme, host and port, as in http://localhost:3000 "
            "(not ASCII: in its xn-- form), or * for pages of anybody"
        )
    return text.removesuffix(_DEFAULT_PORTS.get(parts.scheme, " "))


def checked_token(name: str, token: str | None) -> str | None:
    """Give a token that a header can carry.

    Raises:
        DefinitionError: It is empty, or has spaces or other than ASCII characters.
    """
    if token is None or (token and token.isascii() and token.isprintable() and " " not in token):
        return token
    what = "has characters that a header can't carry: use letters and digits" if token else "is empty"
    raise DefinitionError(f"{name} {what}; leave it out for none, or make one with `openssl rand -hex 32`")


def _preflight(scope: Scope) -> Response:
    asked = [value for name, value in scope["headers"] if name == b"access-control-request-headers"]
    return Response(
        200,
        [
            (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
            (b"access-control-allow-headers", b", ".join(asked) or b"*"),
            (b"access-control-max-age", b"600"),
            (b"vary", b"access-control-request-method, access-control-request-headers"),
        ],
        b"",
    )


def _same(origin: bytes, seen: Seen) -> bool:
    return origin.lower().partition(b"://")[2] == seen.get(b"host", (b"",))[0].lower() != b""


def _from_a_browser(seen: Seen) -> bool:
    return any(agent.lower().startswith(_BROWSERS) for agent in seen.get(b"user-agent", ()))


def _needs_no_leave(method: str, seen: Seen) -> bool:
    """Say whether any page may send such a request without asking first."""
    types = [each.partition(b";")[0].strip().lower() for each in seen.get(b"content-type", ())]
    return method in ("GET", "HEAD") or (method == "POST" and types != [b"application/json"])


def _shown(value: bytes) -> str:
    text = value.decode("latin-1")
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."
