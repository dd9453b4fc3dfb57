"""Who may call this endpoint: servers that sign their requests with a key we know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from restate import server as sdk

from restate_patterns.errors import DefinitionError

_Verifier: Any = vars(sdk)["PyIdentityVerifier"]
_Refused: Any = vars(sdk)["IdentityVerificationException"]


class IdentityCheck:
    """Verifies the signature of requests.

    Args:
        keys: Public keys of the servers (`publickeyv1_...`); without any, everybody may call.

    Raises:
        DefinitionError: A key is none.
    """

    def __init__(self, keys: Sequence[str] = ()) -> None:
        try:
            self._verifier: Any = _Verifier(list(keys))
        except Exception as error:  # noqa: BLE001 - the SDK's own exception class has no public name
            raise DefinitionError(
                f"identity keys {list(keys)}: {error}. A key is what the server prints, as in publickeyv1_..."
            ) from None

    def refusal(self, headers: Sequence[tuple[str, str]], path: str) -> str | None:
        """Give why a request is refused, or None."""
        try:
            self._verifier.verify(list(headers), path)
        except _Refused as error:
            return (
                f"the request is not signed with a key of this endpoint ({error}): give the server its private key "
                "(request-identity-private-key-pem-file), and this endpoint the public key that belongs to it "
                "(--identity-key, in code identity_keys=)"
            )
        return None
