"""Delivers to a user's own receiver: a signed JSON request through the guard."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from channels.guard import BlockedError, Guard, NoResponseError, Response
from channels.signature import signature_headers, valid_secrets
from dispatcher import VERSION
from dispatcher.delivery.outcomes import Delivered, Outcome, Permanent, Retry
from dispatcher.integrations.egress import egress_policy, permitted
from dispatcher.integrations.webhook import check_headers, check_method
from dispatcher.responses import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

    from channels import ClientFactory
    from dispatcher.delivery.ports import Channel, Message

RETRIED = frozenset({408, 409, 425, 429})
GONE = 410

_SECONDS = re.compile(r"[0-9]+")


def channel(
    environ: Mapping[str, str],
    aws: ClientFactory,  # noqa: ARG001 - all channels are built alike
) -> Channel:
    """Build the channel with the networks that the operator opened."""
    return Webhook(Guard(egress=egress_policy(environ)))


@dataclass(frozen=True, slots=True)
class Webhook:
    """Sends Standard Webhooks requests.

    No outcome contains a query, a header or the response's body.
    """

    guard: Guard

    def deliver(self, message: Message) -> Outcome:
        """Send the message once.

        A host name that resolves to a blocked address fails permanently: each retry would give an
        attacker who changes the name's address another chance. After a mistake is fixed, the caller
        can start a new round. A name that does not resolve is retried.
        """
        config = message.config
        try:
            url = permitted(message.address.value, self.guard.egress)
            method = check_method(config.get("method", "POST"), {})
            own = check_headers(config.get("headers", {}), {})
        except ValueError as error:
            return Permanent("invalid_config", f"the stored config cannot be used: it {error}")
        secrets = valid_secrets(message.secrets, message.attempted_at)
        if not secrets:
            return Permanent(
                "no_signing_secret", "no signing secret is stored: create one with rotate-secret"
            )
        content = body(message)
        try:
            signature = signature_headers(
                secrets, message.delivery_id, int(message.attempted_at), content
            )
        except ValueError:
            return Permanent(
                "no_signing_secret",
                "the signing secret is not base64: create another with rotate-secret",
            )
        headers = {
            **own,
            "Content-Type": "application/json",
            "User-Agent": f"integration-dispatcher/{VERSION}",
            "Accept-Encoding": "identity",
            **signature,
        }
        try:
            response = self.guard.send(url, method, headers, content)
        except BlockedError as error:
            return Permanent("blocked_address", str(error))
        except NoResponseError as error:
            return Retry(error.code, str(error))
        return outcome(response, url.host, message.attempted_at)


def body(message: Message) -> bytes:
    """Return the message as JSON, with the same bytes for every attempt."""
    data = {
        "delivery_id": message.delivery_id,
        "request_id": message.request_id,
        "session_id": message.session_id,
        "user_id": message.user_id,
        "subject": message.subject,
        "content": message.content,
    }
    if message.shows_agent:
        data["agent_id"] = message.agent_id
    event = {
        "type": "integration.message",
        "timestamp": rfc3339(message.accepted_at),
        "data": data,
    }
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def outcome(response: Response, host: str, now: float) -> Outcome:
    """Return the outcome for a response."""
    status = response.status
    code, detail = f"http_{status}", f"{host} returned {status}"
    if 200 <= status < 300:
        return Delivered({"status": status})
    if status < 200:
        return Retry("invalid_answer", f"{detail}, which is not a final response")
    if status in RETRIED or 500 <= status < 600:
        return Retry(code, detail, after=retry_after(response.retry_after, now))
    if 300 <= status < 400:
        detail += ": redirects are not followed, set the final URL"
    return Permanent(code, detail, gone=status == GONE)


def retry_after(value: str | None, now: float) -> float | None:
    """Return a ``Retry-After`` (number or date) in seconds from now; ``None`` if it is invalid."""
    if value is None:
        return None
    if _SECONDS.fullmatch(value.strip()):
        return float(value)
    try:
        date = parsedate_to_datetime(value)
        return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
