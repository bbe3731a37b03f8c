"""The service's reasons and error codes in words, with the next step for each.

A test compares the error codes with the table in docs/operations.md.
"""

from __future__ import annotations

import re
from shlex import quote
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

ADDRESSES = {
    "WEBHOOK": "--url https://…",
    "EMAIL": "--config email_address=…",
    "SMS": "--config phone_number=…",
    "SLACK": "--config channel_id=…",
}
"""The option of ``dispatch override set`` that sets the address of a type."""


class Words(NamedTuple):
    """A meaning and the next step; ``USER``, ``TYPE`` and ``ADDRESS`` are placeholders."""

    meaning: str
    advice: str = ""

    def about(self, user: str, integration_type: str) -> Words:
        """Fill the placeholders; the user is quoted for a shell."""
        values = {
            "USER": quote(user),
            "TYPE": integration_type,
            "ADDRESS": ADDRESSES.get(integration_type, "--config KEY=VALUE"),
        }
        return Words(*(_PLACEHOLDER.sub(lambda match: values[match[0]], text) for text in self))


_PLACEHOLDER = re.compile(r"\b(USER|TYPE|ADDRESS)\b")

SET_UP = "An operator can configure it: docs/integrations.md"
CHECK_RECEIVER = "Check that the receiver is up and its address is correct; then retry."
SET_ADDRESS = "dispatch override set USER TYPE ADDRESS"
CORRECT_ADDRESS = f"To correct the address: {SET_ADDRESS}"
REPORT = "Please report it, with the delivery's ID."

REASONS = {
    "disabled_by_default": Words(
        "disabled by default", "To enable it: dispatch override set USER TYPE --enable"
    ),
    "not_configured": Words("not configured on this system", SET_UP),
    "disabled_by_user": Words(
        "the user has opted out", "To opt in again: dispatch override set USER TYPE --enable"
    ),
    "disabled_by_receiver": Words(
        "disabled because the webhook returned 410 (gone)",
        "Once it is back: dispatch override set USER TYPE --enable",
    ),
    "no_address": Words("the user has no address for it", f"To set one: {SET_ADDRESS}"),
}
"""The reasons why an integration is not used."""

CODES = {
    "timeout": Words("the receiver did not respond within 10 s", CHECK_RECEIVER),
    "rendering_timeout": Words(
        "the message was not rendered within 10 s, and nothing was sent",
        "If this happens often, an operator gives the worker more memory.",
    ),
    "dns_failed": Words("the receiver's name could not be resolved", CORRECT_ADDRESS),
    "connection_failed": Words("no connection to the receiver", CHECK_RECEIVER),
    "connection_lost": Words("the receiver closed the connection", CHECK_RECEIVER),
    "unavailable": Words("an AWS service was not available", "Often the cause is throttling."),
    "entry_failed": Words("EventBridge responded, but rejected the event"),
    "tls_failed": Words(
        "the receiver's certificate is invalid, or its TLS is older than 1.2",
        "The receiver's operator has to renew it; then retry.",
    ),
    "invalid_answer": Words("the receiver's response is not HTTP", CORRECT_ADDRESS),
    "credentials_unavailable": Words(
        "a secret that a parameter names could not be read",
        "An operator checks that the secret exists.",
    ),
    "token_renewed": Words("the secret was replaced a moment before"),
    "password_renewed": Words("the secret was replaced a moment before"),
    "broken_setting": Words(
        "a parameter of the service is invalid", "To see which one: dispatch health"
    ),
    "thread_unavailable": Words("the start of the session's thread could not be read"),
    "thread_gone": Words(
        "the session's thread was deleted in Slack", "The next attempt starts a new thread."
    ),
    "secret_unavailable": Words(
        "the override's secrets could not be decrypted",
        "An operator checks that the key is enabled and that the worker may use it.",
    ),
    "internal_error": Words("a bug in the service", REPORT),
    "rehearsed_failure": Words(
        "TEST is configured to fail", "To stop that: dispatch override unset USER TYPE"
    ),
    "blocked_address": Words(
        "the receiver's address is not public",
        "Use a public one; operators can open networks (WebhookAllowedCidrs).",
    ),
    "invalid_config": Words("the stored config is no longer valid", CORRECT_ADDRESS),
    "no_signing_secret": Words(
        "the override has no signing secret",
        "To create one: dispatch override rotate-secret USER",
    ),
    "invalid_address": Words("the address cannot receive deliveries", CORRECT_ADDRESS),
    "number_refused": Words(
        "premium-rate number, or a country that operators did not allow",
        "Use another number; operators can allow countries (SmsAllowedCountries).",
    ),
    "refused": Words("AWS rejected it permanently", "The error message holds the reason."),
    "too_large": Words("the event is too large for EventBridge", "Send less content."),
    "tls_required": Words(
        "the mail server offers no TLS or no login", "An operator configures another server."
    ),
    "no_address": REASONS["no_address"],
    "not_configured": Words(
        "the user's override enables it, but it is not configured on this system", SET_UP
    ),
    "expired": Words("its expires_at has passed", "Send the message again if it is still needed."),
    "content_expired": Words("the message's content is no longer stored", "Send it again."),
    "unknown_outcome": Words(
        "the last attempts have no recorded outcome", "Ask whether it arrived; if not, retry."
    ),
    "disabled_by_user": Words("the user opted out before it was sent"),
    "disabled_by_default": Words("it was disabled before it was sent"),
    "disabled_by_receiver": REASONS["disabled_by_receiver"],
    "first_success": Words("another integration delivered the message"),
    "cancelled": Words("it was cancelled"),
}
"""The values of ``error_code`` except ``http_NNN``."""

STATUSES = {
    400: "the receiver rejected the request as invalid",
    401: "the receiver requires other credentials",
    403: "the receiver requires other credentials",
    404: "the receiver does not know the address",
    408: "the receiver timed out",
    410: "the receiver is gone permanently",
    413: "the message is too large for the receiver",
    429: "the receiver is throttling",
}


def reason(name: str) -> Words:
    """Return a reason in words; the name of a newer service's reason means itself."""
    return REASONS.get(name, Words(name))


def skipped(name: str, integration_type: str, health: Mapping[str, Any]) -> Words:
    """Return a skip reason in words when the user's configuration is not known."""
    words = _most_relevant(name, integration_type, health)
    if "--enable" in words.advice:
        return words._replace(advice="To see how to enable it: dispatch config USER")
    return words


def _most_relevant(name: str, integration_type: str, health: Mapping[str, Any]) -> Words:
    """Return ``not_configured`` for a type that is both disabled by default and not configured."""
    configured = health.get("integrations", {}).get(integration_type, {}).get("configured")
    is_hidden = name == "disabled_by_default" and configured is False
    return reason("not_configured" if is_hidden else name)


def disabled(configuration: Mapping[str, Any], health: Mapping[str, Any]) -> dict[str, Words]:
    """Return the words for each integration that the user's configuration does not use."""
    words_by_type = {}
    for integration_type, name in configuration["disabled_integrations"].items():
        words = _most_relevant(name, integration_type, health)
        override = configuration.get("user_overrides", {}).get(integration_type, {})
        if integration_type == "WEBHOOK" and "url" not in override.get("config", {}):
            # The service rejects an enabled webhook without a URL.
            words = words._replace(advice=words.advice.replace("--enable", "--enable ADDRESS"))
        words_by_type[integration_type] = words
    return words_by_type


def grouped(user: str, words_by_type: Mapping[str, Words]) -> list[tuple[str, Words]]:
    """Return each distinct words with the types that share them, as ``SMS, TOOL``."""
    groups: dict[Words, list[str]] = {}
    for integration_type, words in words_by_type.items():
        groups.setdefault(words, []).append(integration_type)
    return [
        (", ".join(types), words.about(user, types[0] if len(types) == 1 else "TYPE"))
        for words, types in groups.items()
    ]


def code(name: str) -> Words:
    """Return an error code in words; the name of a newer service's code means itself."""
    if name.startswith("http_") and name[5:].isdecimal():
        status = int(name[5:])
        if status >= 500:
            return Words(f"the receiver has a server error (HTTP {status})", CHECK_RECEIVER)
        meaning = STATUSES.get(status, "the receiver rejected it")
        return Words(
            f"{meaning} (HTTP {status})", f"To correct the address before a retry: {SET_ADDRESS}"
        )
    return CODES.get(name, Words(name))


def request_command(user: str, request_id: str) -> str:
    """Return the command that shows a request, quoted for a shell."""
    # An ID that begins with a hyphen would be read as an option.
    end_of_options = "-- " if request_id.startswith("-") else ""
    return f"dispatch request {end_of_options}{quote(user)} {quote(request_id)}"
