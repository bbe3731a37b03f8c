"""Tokens of links: each proves its purpose and its user, nothing else.

The holder of a link may use it, so a purpose allows as little as it needs. Tokens are signed with
HMAC-SHA-256 and a salt of the purpose, so a token of one purpose is invalid for another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dispatcher.identifiers import USER_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from itsdangerous import URLSafeSerializer

    from dispatcher.access.ports import Clock, SigningKeys
    from dispatcher.strict_json import JsonObject

Purpose = Literal["unsubscribe", "preferences", "session"]

LONGEST_TOKEN = 700
"""Characters."""

_FORM = re.compile(rf"[A-Za-z0-9_.-]{{1,{LONGEST_TOKEN}}}")


@dataclass(frozen=True, slots=True)
class Links:
    """Signs and verifies tokens; the payload has the user ``u`` and the expiry ``e`` in seconds."""

    keys: SigningKeys
    clock: Clock

    def sign(self, purpose: Purpose, payload: JsonObject) -> str:
        """Return the token of a payload; ``UnavailableError`` if the key cannot be read."""
        return _serializer([self.keys.current()], purpose).dumps(payload)

    def open(self, purpose: Purpose, token: str) -> JsonObject | None:
        """Return the payload of a valid token, ``None`` for any other.

        Raise ``UnavailableError`` if the keys cannot be read.
        """
        if _FORM.fullmatch(token) is None or not _is_canonical(token):
            return None
        for latest in (False, True):
            # The second time for a token whose key was rotated in after the last read.
            payload = _payload(self.keys.all(latest=latest), purpose, token)
            if payload is not None:
                return payload if self.clock.now() < payload["e"] else None
        return None


def _payload(keys: Sequence[str], purpose: Purpose, token: str) -> JsonObject | None:
    from itsdangerous import BadData

    try:
        payload = _serializer(keys, purpose).loads(token)
    except BadData:
        return None
    user, expiry = payload.get("u"), payload.get("e")
    well_formed = isinstance(user, str) and USER_ID.fullmatch(user) and isinstance(expiry, int)
    return payload if well_formed else None


def _is_canonical(token: str) -> bool:
    """Return whether the signature has the one spelling that we write.

    The last character of base64 holds unused bits, which a decoder ignores: without this check
    four spellings of a token would be valid.
    """
    from itsdangerous.encoding import base64_decode, base64_encode
    from itsdangerous.exc import BadData

    signature = token.rpartition(".")[2]
    try:
        return base64_encode(base64_decode(signature)).decode() == signature
    except BadData:
        return False


def _serializer(keys: Sequence[str], purpose: Purpose) -> URLSafeSerializer:
    # Imported here: a cold start that neither signs nor verifies does without it.
    import hashlib

    from itsdangerous import URLSafeSerializer

    # The library takes the oldest first, and signs with the last.
    return URLSafeSerializer(
        [*reversed(keys)],
        salt=f"integration-dispatcher:{purpose}",
        signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
    )
