"""URLs of handlers and invocations on an ingress, and of the servers themselves."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final
from urllib.parse import quote, urlencode

import httpx

from restate_patterns.seam import IdempotencyRef, InvocationRef, Target, WorkflowRef

_INGRESS_PORT: Final = 8080
_ADMIN_PORT: Final = 9070


def target_path(target: Target) -> str:
    """Return the path of a handler."""
    parts = (target.service, target.handler) if target.key is None else (target.service, target.key, target.handler)
    return "".join(f"/{_segment(part)}" for part in parts)


def _segment(part: str) -> str:
    # A bare `.` or `..` would be taken for a way through folders.
    return part.replace(".", "%2E") if part in (".", "..") else quote(part, safe="")


def ref_path(ref: InvocationRef) -> str:
    """Return the path of an invocation, before `/attach` and `/output`."""
    if isinstance(ref, str):
        return f"/restate/invocation/{quote(ref, safe='')}"
    if isinstance(ref, IdempotencyRef):
        return f"/restate/invocation{target_path(ref.target)}/{quote(ref.idempotency_key, safe='')}"
    return f"/restate/workflow/{quote(ref.service, safe='')}/{quote(ref.key, safe='')}"


def ref_words(ref: InvocationRef) -> str:
    """Name an invocation in a sentence."""
    if isinstance(ref, str):
        return ref
    if isinstance(ref, IdempotencyRef):
        return f"{ref.target} (idempotency key {ref.idempotency_key!r})"
    return f"{ref.service}/{ref.key}"


def checked_url(url: str, parameter: str = "", *, port: int = _INGRESS_PORT) -> str:
    """Return a server's URL without a slash at its end.

    Args:
        url: The URL.
        parameter: What it was given as, where that is not clear.
        port: The port of such a server, for the sentence.

    Raises:
        ValueError: It is none.
    """
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        parsed = httpx.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        given = f"{parameter}={url!r}" if parameter else repr(url)
        raise ValueError(f"{given} is no URL of a server: write it as http://127.0.0.1:{port}")
    return url.rstrip("/")


def checked_admin_url(url: str) -> str:
    """Return the URL of an admin API, that was given as `admin_url=`, without a slash at its end.

    Raises:
        ValueError: It is none.
    """
    return checked_url(url, "admin_url", port=_ADMIN_PORT)


def admin_beside(ingress_url: str) -> str:
    """Return the admin API's URL on the host of an ingress, at its default port."""
    return on_port(ingress_url, _ADMIN_PORT)


def on_port(url: str, port: int) -> str:
    """Return the URL of another port of the same host."""
    return str(httpx.URL(url).copy_with(port=port)).rstrip("/")


def is_loopback(url: str) -> bool:
    """Say whether a URL is of this machine's loopback."""
    host = httpx.URL(url).host
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def origin(url: str) -> str:
    """Return scheme, host and port of a URL."""
    parsed = httpx.URL(url)
    return str(parsed.copy_with(raw_path=b"/")).rstrip("/")


def ref_query(ref: IdempotencyRef | WorkflowRef) -> str:
    """Return a reference as the query of the admin API's `resolve`."""
    if isinstance(ref, WorkflowRef):
        return urlencode({"service": ref.service, "key": ref.key})
    query = {
        "service": ref.target.service,
        "handler": ref.target.handler,
        "idempotency_key": ref.idempotency_key,
    }
    if ref.target.key is not None:
        query["key"] = ref.target.key
    return urlencode(query)
