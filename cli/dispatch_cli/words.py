"""The service's reasons and error codes in words, with the next step for each.

A test compares the error codes with the table in docs/operations.md.
"""

from __future__ import annotations

import re
from shlex import quote
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ADDRESSES = {
    "WEBHOOK": "--url URL",
    "EMAIL": "--config email_address=ADDRESS",
    "SMS": "--config phone_number=NUMBER",
    "SLACK": "--config slack_user_id=ID",
}
"""The option of ``dispatch override set`` that sets the address of a type.

A word in capitals is for the user to replace; as it stands, the service rejects it.
"""


class Words(NamedTuple):
    """A meaning and the next step; ``USER``, ``TYPE`` and ``ADDRESS`` are placeholders."""

    meaning: str
    advice: str = ""

    def about(self, user: str, integration_type: str) -> Words:
        """Fill the placeholders; the user is quoted for a shell.

        Advice about the receiver is for its owner: the user of a webhook, else an operator.
        """
        values = {
            "USER": quote(user),
            "TYPE": integration_type,
            "ADDRESS": ADDRESSES.get(integration_type, "--enable"),
        }
        lines = (_addressed(line, integration_type) for line in self.advice.split("\n"))
        texts = (self.meaning, "\n".join(lines))
        return Words(*(_PLACEHOLDER.sub(lambda match: values[match[0]], text) for text in texts))


def _addressed(line: str, integration_type: str) -> str:
    if integration_type != "WEBHOOK" and line in {CHECK_RECEIVER, CORRECT_HOST, CORRECT_URL}:
        return CHECK_PROVIDER
    if line == CORRECT_ADDRESS and integration_type not in ADDRESSES:
        return SHOW_OVERRIDES
    return line


_PLACEHOLDER = re.compile(r"\b(USER|TYPE|ADDRESS)\b")

SET_UP = "An operator can configure it: docs/integrations.md"
SET_ADDRESS = "dispatch override set USER TYPE ADDRESS"
CORRECT_ADDRESS = f"To correct the address: {SET_ADDRESS}"
CORRECT_HOST = f"To correct the host of the address: {SET_ADDRESS}"
CORRECT_URL = f"To correct the address before a retry: {SET_ADDRESS}"
CHECK_RECEIVER = "Check that the receiver is up and its address is correct; then retry."
CHECK_PROVIDER = "An operator can check the provider and its settings: docs/integrations.md"
SHOW_OVERRIDES = "To see the override: dispatch override list USER"
SHOW_PREFERENCES = "To see the preferences: dispatch preferences show USER"
SHORTEN = "Send less content."
RENEWED = "The next attempt uses the new one."
REPORT = "Please report it, with the delivery's ID."

SUPPRESSED = f"{CORRECT_ADDRESS}\nTo see the suppression: dispatch suppressions list USER"

SUPPRESSIONS = {"bounced": "bounced", "complained": "reported as spam", "opted_out": "opted out"}
"""The states of suppressed addresses."""

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
        "To enable it once it is back: dispatch override set USER TYPE --enable",
    ),
    "disabled_after_failures": Words(
        "disabled because the receiver failed for days",
        "To use it once it works: dispatch override set USER TYPE --enable",
    ),
    "no_address": Words("the user has no address for it", f"To set one: {SET_ADDRESS}"),
    "category_disabled_by_user": Words("the user disabled it for this category", SHOW_PREFERENCES),
    "category_disabled_by_default": Words(
        "the category does not use it unless the user chooses it", SHOW_PREFERENCES
    ),
    "expires_while_held": Words(
        "the message would expire before the user may be disturbed", SHOW_PREFERENCES
    ),
    "address_bounced": Words("a message to the address bounced", SUPPRESSED),
    "address_complained": Words("the receiver reported a message as spam", SUPPRESSED),
    "opted_out": Words("the receiver has opted out of text messages", SUPPRESSED),
}
"""The reasons why an integration is not used."""

CODES = {
    "timeout": Words("the receiver did not respond within 10 s", CHECK_RECEIVER),
    "rendering_timeout": Words(
        "the message was not rendered within 10 s, and nothing was sent",
        "If this happens often, an operator can give the worker more memory.",
    ),
    "dns_failed": Words("the receiver's name could not be resolved", CORRECT_HOST),
    "connection_failed": Words("no connection to the receiver", CHECK_RECEIVER),
    "connection_lost": Words("the receiver closed the connection", CHECK_RECEIVER),
    "unavailable": Words(
        "an AWS service was not available",
        "Throttling is the usual cause; an operator can check the account's limits.",
    ),
    "entry_failed": Words(
        "EventBridge responded, but rejected the event",
        "An operator can check the event bus: docs/integrations.md",
    ),
    "tls_failed": Words(
        "the receiver's certificate is invalid, or its TLS is older than 1.2",
        "The receiver's operator has to renew it; then retry.",
    ),
    "invalid_answer": Words("the receiver's response is invalid", CORRECT_HOST),
    "credentials_unavailable": Words(
        "a secret that a parameter names could not be read",
        "An operator can check that the secret exists: docs/integrations.md",
    ),
    "token_renewed": Words("the secret was replaced a moment before", RENEWED),
    "password_renewed": Words("the secret was replaced a moment before", RENEWED),
    "broken_setting": Words(
        "a parameter of the service is invalid", "To see which one: dispatch health"
    ),
    "thread_unavailable": Words(
        "the start of the session's thread could not be read", "The next attempt reads it again."
    ),
    "thread_gone": Words(
        "the session's thread was deleted in Slack", "The next attempt starts a new thread."
    ),
    "secret_unavailable": Words(
        "the override's secrets could not be decrypted",
        "An operator can check that the KMS key is enabled and that the worker may use it.",
    ),
    "internal_error": Words("a bug in the service", REPORT),
    "rehearsed_failure": Words(
        "TEST is configured to fail", "To stop that: dispatch override unset USER TYPE"
    ),
    "blocked_address": Words(
        "the receiver's address is not public",
        f"Operators can open networks (WebhookAllowedCidrs).\n{CORRECT_ADDRESS}",
    ),
    "invalid_config": Words("the stored config is no longer valid", CORRECT_ADDRESS),
    "no_signing_secret": Words(
        "the override has no signing secret",
        "To create one: dispatch override rotate-secret USER",
    ),
    "invalid_address": Words("the address cannot receive deliveries", CORRECT_ADDRESS),
    "number_refused": Words(
        "premium-rate number, or a country that operators did not allow",
        f"Operators can allow countries (SmsAllowedCountries).\n{CORRECT_ADDRESS}",
    ),
    "refused": Words(
        "AWS rejected it permanently", "The delivery's error message holds the reason."
    ),
    "too_large": Words("the event is too large for EventBridge", SHORTEN),
    "tls_required": Words(
        "the mail server offers no TLS or no login",
        "An operator can configure another server: docs/integrations.md",
    ),
    "auth_unsupported": Words(
        "the mail server offers no login that this service knows",
        "An operator can configure another server: docs/integrations.md",
    ),
    "links_unavailable": Words(
        "the links of the email could not be signed",
        "It is retried; an operator can restore the key: docs/email.md",
    ),
    "no_address": REASONS["no_address"],
    "not_configured": REASONS["not_configured"],
    "expired": Words("its expires_at has passed", "Send the message again if it is still needed."),
    "content_expired": Words("the message's content is no longer stored", "Send it again."),
    "unknown_outcome": Words(
        "the last attempts have no recorded outcome", "Ask whether it arrived; if not, retry."
    ),
    "bounced": Words("the email bounced: its server rejects the address", CORRECT_ADDRESS),
    "undelivered": Words(
        "the provider could not deliver it", "A retry may help: dispatch retry USER DELIVERY"
    ),
    "rejected": Words("SES found a virus and did not send it"),
    "opted_out": REASONS["opted_out"],
    "disabled_by_user": Words("the user opted out before it was sent"),
    "category_disabled_by_user": REASONS["category_disabled_by_user"],
    "category_disabled_by_default": REASONS["category_disabled_by_default"],
    "address_bounced": REASONS["address_bounced"],
    "address_complained": REASONS["address_complained"],
    "disabled_by_default": Words("it was disabled before it was sent"),
    "disabled_by_receiver": REASONS["disabled_by_receiver"],
    "disabled_after_failures": REASONS["disabled_after_failures"],
    "first_success": Words("another integration delivered the message"),
    "cancelled": Words("it was cancelled"),
}
"""The values of ``error_code`` except ``http_NNN``."""

RECEIPTS = {
    "delayed": "the provider is still trying",
    "delivered": "the receiving server accepted it",
    "complained": "the receiver reported it as spam",
    "bounced": "it was not delivered",
    "opted_out": REASONS["opted_out"].meaning,
}
"""Reports of a provider about a delivery."""

REFUTED = frozenset({"bounced", "undelivered", "opted_out"})
"""Error codes that say the same as the receipt."""

VIAS = {
    "api": "through the API",
    "link": "by a preferences link",
    "unsubscribe": "by an unsubscribe link",
}
"""How preferences were changed last."""

SET_HEADER = "To set other credentials: dispatch override set USER TYPE --header 'NAME: VALUE'"

STATUSES = {
    400: Words("the receiver rejected the request as invalid", CHECK_RECEIVER),
    401: Words("the receiver requires other credentials", SET_HEADER),
    403: Words("the receiver requires other credentials", SET_HEADER),
    404: Words("the receiver does not know the address", CORRECT_URL),
    405: Words(
        "the receiver does not accept the method",
        "To change it: dispatch override set USER TYPE --method PUT",
    ),
    408: Words("the receiver timed out", CHECK_RECEIVER),
    410: Words("the receiver is gone permanently", CORRECT_URL),
    413: Words("the message is too large for the receiver", SHORTEN),
    429: Words("the receiver is throttling", "Send fewer messages, or retry later."),
}

INVITE = "Invite the app into the channel."
RENEW_TOKEN = "An operator has to store a valid bot token: docs/integrations.md"  # noqa: S105 - advice
SLACK = {
    "users_not_found": Words("no member of the workspace has this email address", CORRECT_ADDRESS),
    "user_not_found": Words("the workspace has no such member", CORRECT_ADDRESS),
    "channel_not_found": Words("no such channel, or a private one without the app", INVITE),
    "not_in_channel": Words("the app is not in the channel", INVITE),
    "is_archived": Words("the channel is archived", CORRECT_ADDRESS),
    "missing_scope": Words("the Slack app lacks a scope", CHECK_PROVIDER),
    "invalid_auth": Words("the Slack token is invalid", RENEW_TOKEN),
    "token_revoked": Words("the Slack token was revoked", RENEW_TOKEN),
    "account_inactive": Words("the app was removed from the workspace", RENEW_TOKEN),
}
"""Slack's own error codes, as docs/integrations.md explains them."""


def reason(name: str) -> Words:
    """Return a reason in words; the name of a newer service's reason means itself."""
    return REASONS.get(name, Words(name))


def not_opened(name: str) -> str:
    """Return why a failed delivery gets no new round."""
    if name == "first_success":
        return "another delivery of its message has succeeded or is pending"
    return (REASONS.get(name) or code(name)).meaning


def skipped(name: str, integration_type: str, health: Mapping[str, Any]) -> Words:
    """Return a skip reason in words when the user's configuration is not known."""
    words = _most_relevant(name, integration_type, health)
    if "--enable" in words.advice:
        return words._replace(advice="To see how to enable it: dispatch config USER")
    return words


def _most_relevant(name: str, integration_type: str, health: Mapping[str, Any]) -> Words:
    """Return ``not_configured`` for a type that is not configured, unless a user disabled it.

    The user cannot enable it, and an address would not help.
    """
    configured = health.get("integrations", {}).get(integration_type, {}).get("configured")
    is_hidden = name in {"disabled_by_default", "no_address"} and configured is False
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
    """Return each distinct words with the types that share them, as ``SMS, TOOL``.

    A command that names a type is returned once for each of them.
    """
    groups: dict[Words, list[str]] = {}
    for integration_type, words in words_by_type.items():
        groups.setdefault(words, []).append(integration_type)
    return [(", ".join(types), _shared(user, types, words)) for words, types in groups.items()]


def _shared(user: str, types: Sequence[str], words: Words) -> Words:
    filled = [words.about(user, name) for name in types]
    advice = dict.fromkeys(line for each in filled for line in each.advice.split("\n"))
    return Words(filled[0].meaning, "\n".join(advice))


def code(name: str) -> Words:
    """Return an error code in words; the name of a newer service's code means itself."""
    kind, _, digits = name.partition("_")
    if kind == "http" and digits.isdecimal():
        status = int(digits)
        if status >= 500:
            return Words(f"the receiver has a server error (HTTP {status})", CHECK_RECEIVER)
        words = STATUSES.get(status, Words("the receiver rejected it", CORRECT_URL))
        return words._replace(meaning=f"{words.meaning} (HTTP {status})")
    if kind == "smtp" and digits.isdecimal():
        is_final = int(digits) >= 500
        meaning = "the mail server rejected the email" if is_final else "the mail server is busy"
        return Words(f"{meaning} (SMTP {digits})", CORRECT_ADDRESS if is_final else CHECK_PROVIDER)
    return CODES.get(name) or SLACK.get(name) or Words(name)


def held(delivery: Mapping[str, Any]) -> str:
    """Return why a delivery is held, or used although it is disabled; empty for other ones."""
    reasons = [delivery["held"]["detail"]] if delivery["held"] else []
    if delivery["locked"]:
        reasons.append("Used because the category is locked.")
    return " ".join(reasons)


def request_command(user: str, request_id: str) -> str:
    """Return the command that shows a request, quoted for a shell."""
    # An ID that begins with a hyphen would be read as an option.
    end_of_options = "-- " if request_id.startswith("-") else ""
    return f"dispatch request {end_of_options}{quote(user)} {quote(request_id)}"


def doctor_command(user: str, request_id: str) -> str:
    """Return the command that diagnoses a request, quoted for a shell."""
    # An ID that begins with a hyphen would be read as another option.
    equals = "=" if request_id.startswith("-") else " "
    return f"dispatch doctor {quote(user)} --request{equals}{quote(request_id)}"
