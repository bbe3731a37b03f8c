"""What the service's codes and reasons mean, and what to do about each, in words.

A test compares the codes with the table in docs/operations.md.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

ADDRESSES = {
    "WEBHOOK": "--url https://…",
    "EMAIL": "--config email_address=…",
    "SMS": "--config phone_number=…",
    "SLACK": "--config channel_id=…",
}
"""How an override says where to deliver."""


class Words(NamedTuple):
    """What something means, and what to do next.

    ``USER``, ``TYPE`` and ``ADDRESS`` stand for themselves.
    """

    meaning: str
    advice: str = ""

    def about(self, user: str, integration_type: str) -> Words:
        """Name the user and the integration, and how its address is set."""
        names = {
            "USER": user,
            "TYPE": integration_type,
            "ADDRESS": ADDRESSES.get(integration_type, "--config KEY=VALUE"),
        }
        return Words(*(_PLACES.sub(lambda found: names[found[0]], text) for text in self))


_PLACES = re.compile(r"\b(USER|TYPE|ADDRESS)\b")

SET_UP = "An operator sets it up as docs/integrations.md says."
SEE_RECEIVER = "See whether the receiver is up and its address right; then retry."
SET_ADDRESS = "dispatch override set USER TYPE ADDRESS"
SEE_OVERRIDE = f"Correct the address: {SET_ADDRESS}"
REPORT = "Please report it, with the delivery's id."

REASONS = {
    "disabled_by_default": Words(
        "off unless a user asks for it",
        "To ask for it: dispatch override set USER TYPE --enable",
    ),
    "not_configured": Words("not configured on this system", SET_UP),
    "disabled_by_user": Words(
        "the user has opted out", "To opt in again: dispatch override set USER TYPE --enable"
    ),
    "disabled_by_receiver": Words(
        "the webhook answered 410 (gone), so it was switched off",
        "Once it is back: dispatch override set USER TYPE --enable",
    ),
    "no_address": Words("nobody knows where to deliver", SEE_OVERRIDE),
}
"""Why an integration is not used."""

CODES = {
    "timeout": Words("the receiver did not answer within 10 seconds", SEE_RECEIVER),
    "dns_failed": Words("the receiver's name could not be resolved", SEE_OVERRIDE),
    "connection_failed": Words("the receiver took no connection", SEE_RECEIVER),
    "connection_lost": Words("the receiver closed the connection", SEE_RECEIVER),
    "unavailable": Words("an AWS service did not take it", "Often it was throttled."),
    "entry_failed": Words("EventBridge answered, and took no event"),
    "tls_failed": Words(
        "the receiver's certificate is not valid, or its TLS older than 1.2",
        "Whoever runs the receiver renews it; then retry.",
    ),
    "invalid_answer": Words("what came back is not HTTP", SEE_OVERRIDE),
    "credentials_unavailable": Words(
        "a secret that a parameter names could not be read", "An operator sees whether it exists."
    ),
    "token_renewed": Words("the secret was replaced a moment ago"),
    "password_renewed": Words("the secret was replaced a moment ago"),
    "broken_setting": Words(
        "a parameter of the service cannot be used",
        "An operator corrects what dispatch health names.",
    ),
    "thread_unavailable": Words("where the session's thread begins could not be read"),
    "thread_gone": Words(
        "the session's thread was deleted in Slack", "The next try begins a new one."
    ),
    "secret_unavailable": Words(
        "the override's secrets could not be decrypted",
        "An operator sees whether the key is enabled and the worker may use it.",
    ),
    "internal_error": Words("a fault in the service's own code", REPORT),
    "rehearsed_failure": Words(
        "TEST was asked to fail", "To stop that: dispatch override unset USER TYPE"
    ),
    "blocked_address": Words(
        "the receiver's address is not public",
        "Use a public one; operators can open networks (WebhookAllowedCidrs).",
    ),
    "invalid_config": Words("the stored config is no longer valid", SEE_OVERRIDE),
    "no_signing_secret": Words(
        "the override has no signing secret",
        "To make one: dispatch override rotate-secret USER",
    ),
    "invalid_address": Words("nothing can be delivered to the address", SEE_OVERRIDE),
    "number_refused": Words(
        "premium-rate number, or a country that operators did not allow",
        "Use another number; operators can allow countries (SmsAllowedCountries).",
    ),
    "refused": Words("AWS refused it for good", "The text behind it has AWS's own reason."),
    "too_large": Words("the event is larger than EventBridge takes", "Send less content."),
    "tls_required": Words("the mail server offers no TLS, or no login", "An operator changes it."),
    "no_address": REASONS["no_address"],
    "not_configured": Words("the user insisted on it, and nobody had configured it", SET_UP),
    "expired": Words("its expires_at has passed", "Send it again, if it still matters."),
    "content_expired": Words("the message is no longer kept", "Send it again."),
    "unknown_outcome": Words(
        "the last tries left no record", "Ask whether it arrived; if not, retry."
    ),
    "disabled_by_user": Words("the user opted out before it was sent"),
    "disabled_by_default": Words("it was switched off before it was sent"),
    "disabled_by_receiver": REASONS["disabled_by_receiver"],
    "first_success": Words("another integration delivered the message"),
    "cancelled": Words("somebody called it off"),
}
"""What ``error_code`` can say, but for ``http_NNN``."""

STATUSES = {
    400: "the receiver did not understand it",
    401: "the receiver wants other credentials",
    403: "the receiver wants other credentials",
    404: "the receiver knows no such address",
    408: "the receiver waited too long",
    410: "the receiver is gone for good",
    413: "the message is too large for the receiver",
    429: "the receiver had too much to do",
}


def reason(name: str) -> Words:
    """Put a reason in words; one from a newer service stands for itself."""
    return REASONS.get(name, Words(name))


def skipped(name: str, integration_type: str, health: Mapping[str, Any]) -> Words:
    """Put a reason in words where no more is known of the user's settings than the reason."""
    words = _first(name, integration_type, health)
    if "--enable" in words.advice:
        return words._replace(advice="How to change that: dispatch config USER")
    return words


def _first(name: str, integration_type: str, health: Mapping[str, Any]) -> Words:
    """What nobody configured is an operator's matter first, whatever its default."""
    known = health.get("integrations", {}).get(integration_type, {})
    off = name == "disabled_by_default" and known.get("configured") is False
    return reason("not_configured" if off else name)


def unused(configuration: Mapping[str, Any], health: Mapping[str, Any]) -> dict[str, Words]:
    """Return why a user does not use an integration, and what to do, for each that is not used."""
    told = {}
    for name, why in configuration["disabled_integrations"].items():
        words = _first(why, name, health)
        override = configuration.get("user_overrides", {}).get(name, {})
        if name == "WEBHOOK" and "url" not in override.get("config", {}):
            # The service refuses to enable one that leads nowhere.
            words = words._replace(advice=words.advice.replace("--enable", "--enable ADDRESS"))
        told[name] = words
    return told


def together(user: str, by_type: Mapping[str, Words]) -> list[tuple[str, Words]]:
    """Return what has the same words together: the integrations, and the words."""
    groups: dict[Words, list[str]] = {}
    for integration_type, words in by_type.items():
        groups.setdefault(words, []).append(integration_type)
    return [
        (", ".join(types), words.about(user, types[0] if len(types) == 1 else "TYPE"))
        for words, types in groups.items()
    ]


def code(name: str) -> Words:
    """Put an error code in words."""
    if name.startswith("http_") and name[5:].isdecimal():
        status = int(name[5:])
        if status >= 500:
            return Words(f"the receiver is in trouble (HTTP {status})", SEE_RECEIVER)
        meaning = STATUSES.get(status, "the receiver refused it")
        return Words(
            f"{meaning} (HTTP {status})", f"Correct the address, then retry: {SET_ADDRESS}"
        )
    return CODES.get(name, Words(name))
