"""Signatures of Standard Webhooks 1.0, which let a receiver verify a request and its age."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

from dispatcher.integrations.webhook_secrets import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dispatcher.integrations.integration import Config


def valid_secrets(secrets: Config, now: float) -> tuple[str, ...]:
    """Return the current secret and, while it is still valid, the previous one.

    ``previous_valid_until`` counts seconds since 1970.
    """
    valid = [secrets["signing_secret"]] if "signing_secret" in secrets else []
    if "previous_signing_secret" in secrets and now < secrets["previous_valid_until"]:
        valid.append(secrets["previous_signing_secret"])
    return tuple(valid)


def signature_headers(
    secrets: Sequence[str], message_id: str, timestamp: int, body: bytes
) -> Mapping[str, str]:
    """Return the headers that sign ``body`` with each secret at the time of the attempt."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_signature(secret, signed) for secret in secrets),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
