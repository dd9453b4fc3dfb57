"""Whether what names one of a service's handlers has a key where one is needed, and none where there are no keys."""

from __future__ import annotations

from restate_patterns.errors import TerminalError
from restate_patterns.seam import ServiceInfo, ServiceKind


def fits(service: ServiceInfo, key: str | None) -> bool:
    """Return whether a key is there where a service needs one, and only there."""
    return (key is None) is (service.kind is ServiceKind.SERVICE)


def key_refusal(service: ServiceInfo, key: str | None) -> TerminalError:
    """Return the error for a key that does not fit.

    Args:
        service: Whose handler is called.
        key: With what key.
    """
    if key is None:
        said = f"the handlers of '{service.name}', a {service.kind.value}, are called with a key, and none is given"
    else:
        said = f"'{service.name}' is a Service, which has no keys: call its handlers without one"
    return TerminalError(said, code=400)
