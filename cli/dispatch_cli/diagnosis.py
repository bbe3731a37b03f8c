"""Why a user did not get a message: findings from the service's responses. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, Any

from dispatch_cli import words
from dispatch_cli.times import age, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

OVERDUE = 180.0
"""Seconds after which a due attempt is late: the sweeper runs every minute."""


_KINDS = {
    "disabled_by_user": "choice",
    "disabled_by_receiver": "fault",
    "disabled_after_failures": "fault",
}
"""The kind of a finding about an integration that is not used, by its reason."""


@dataclass(frozen=True)
class Finding:
    """A reason and the next step; ``kind`` is ``fault``, ``choice`` or ``fine``."""

    kind: str
    text: str
    advice: str = ""


def findings(
    user: str,
    configuration: Mapping[str, Any],
    deliveries: Sequence[Mapping[str, Any]],
    health: Mapping[str, Any],
    now: datetime,
    *,
    requests: Sequence[Mapping[str, Any]] = (),
    preferences: Mapping[str, Any] | None = None,
    suppressions: Sequence[Mapping[str, Any]] = (),
) -> list[Finding]:
    """Return the reasons why messages do not reach the user, faults first.

    ``configuration`` is the effective one, with the overrides in ``integrations`` if known.
    ``requests`` are those to explain in addition to ``deliveries``: the one that was asked for, or
    recent ones of which the history knows nothing. ``preferences`` are the user's, if known, and
    ``suppressions`` the addresses to which nothing is sent.
    """
    found = [
        *_service(health),
        *_skipped(requests, now),
        *_deliveries(user, deliveries, now),
        *_no_integration(user, configuration),
        *_not_configured(configuration, health),
        *_disabled(user, configuration, health),
        *_ignored(user, preferences),
        *_opted_out(user, preferences, now),
        *_suppressed(user, preferences, suppressions, now),
        *_paused(user, configuration.get("integrations", ()), now),
    ]
    if not deliveries and not requests:
        found.append(
            Finding(
                "fault",
                f"The history has no deliveries to {user}.",
                "Check that the sender uses this user ID.\n"
                "A message whose integrations were all skipped is not in the history.\n"
                f"To see why it was skipped: {words.doctor_command(user, 'REQUEST_ID')}\n"
                f"To send a message: dispatch send {quote(user)} Hello --wait",
            )
        )
    delivered = [each["delivered_at"] for each in deliveries if each["status"] == "success"]
    if delivered and not any(finding.kind == "fault" for finding in found):
        # Deliveries are ordered by their creation: a retried one can arrive after newer ones.
        latest = age(max(delivered, key=parse), now)
        found.append(
            Finding(
                "fine",
                f"Messages to {user} are delivered, the last one {latest}.",
                "Check the receiving end: a spam folder, a muted channel.\n"
                f"To read the mailbox: dispatch inbox {quote(user)}\n"
                f"To find out about one message: {words.doctor_command(user, 'REQUEST_ID')}",
            ),
        )
    return sorted(found, key=lambda finding: ("fine", "fault", "choice").index(finding.kind))


def _skipped(requests: Sequence[Mapping[str, Any]], now: datetime) -> Iterator[Finding]:
    for request in requests:
        if not request["deliveries"]:
            title = f' "{request["subject"]}"' if request["subject"] else ""
            yield Finding(
                "fault",
                f"The message{title} of request {request['request_id']}, sent "
                f"{age(request['created_at'], now)}, was not delivered: every integration was "
                "skipped, for the reasons below.",
            )


def _service(health: Mapping[str, Any]) -> Iterator[Finding]:
    if health.get("status") != "healthy":
        detail = health.get("detail") or "see below"
        yield Finding(
            "fault",
            f"The service is {health.get('status')}: {detail}.",
            "An operator can find the cause: docs/operations.md",
        )


def _deliveries(
    user: str, deliveries: Sequence[Mapping[str, Any]], now: datetime
) -> Iterator[Finding]:
    """Yield findings about pending deliveries and about the last ended one of each integration."""
    ended: set[str] = set()
    for delivery in deliveries:
        name = delivery["integration_type"]
        cause = words.code(delivery["error_code"] or "").about(user, name)
        because = f": {cause.meaning}" if cause.meaning else ""
        if delivery["locked"]:
            yield Finding(
                "choice",
                f"{name} is used {age(delivery['created_at'], now)} although it is disabled: the "
                f"category {delivery['category']} is locked, and nothing else reaches the user.",
            )
        if delivery["status"] == "pending":
            yield from _pending(user, delivery, because, now)
            continue
        if name in ended:
            continue
        ended.add(name)
        when = age(delivery["last_attempt_at"] or delivery["created_at"], now)
        if delivery["status"] == "failed":
            advice = _retry(user, delivery, cause.advice)
            yield Finding("fault", f"{name} failed {when}{because}.", advice)
        elif delivery["status"] == "skipped":
            yield Finding("choice", f"{name} was skipped {when}{because}.", cause.advice)


def _retry(user: str, delivery: Mapping[str, Any], advice: str) -> str:
    if delivery["error_code"] in {"expired", "content_expired"}:
        return advice
    purpose = "To retry"
    if delivery["error_code"] in {"not_configured", "no_address", "bounced", "opted_out"}:
        purpose = "To retry after that"
    command = f"dispatch retry {quote(user)} {delivery['delivery_id']}"
    return f"{advice}\n{purpose}: {command}".strip()


def _pending(
    user: str, delivery: Mapping[str, Any], because: str, now: datetime
) -> Iterator[Finding]:
    name, due = delivery["integration_type"], delivery["next_attempt_at"]
    held = delivery["held"]
    if held is not None:
        until = age(held["until"], now)
        advice = f"To see the preferences: dispatch preferences show {quote(user)}"
        if held["reason"] == "muted":
            advice = f"To end the mute: dispatch preferences unmute {quote(user)}"
        elif held["reason"] == "paused":
            advice = words.CHECK_RECEIVER
        yield Finding("choice", f"{name} is held, due {until}: {held['detail']}", advice)
    elif due is None:
        yield Finding("choice", f"{name} waits for an integration of higher priority.")
    elif (now - parse(due)).total_seconds() > OVERDUE:
        yield Finding(
            "fault",
            f"{name} was due {age(due, now)} and was not attempted.",
            "The workers are behind. An operator can check the queues: docs/operations.md",
        )
    elif delivery["attempts"]:
        yield Finding(
            "fault",
            f"{name} has not succeeded yet{because}.",
            f"It is retried automatically {age(due, now)} "
            f"({delivery['attempts']} of {delivery['max_attempts']} attempts are used).",
        )
    else:
        yield Finding("choice", f"{name} is due {age(due, now)}.")


def _ignored(user: str, preferences: Mapping[str, Any] | None) -> Iterator[Finding]:
    for category in preferences["effective"]["categories"] if preferences else ():
        for setting in category["ignored"]:
            yield Finding(
                "choice",
                f"The setting {setting} for {category['category']} has no effect: operators locked "
                "this category.",
                f"To see the preferences: dispatch preferences show {quote(user)}",
            )


def _opted_out(
    user: str, preferences: Mapping[str, Any] | None, now: datetime
) -> Iterator[Finding]:
    """Yield the categories that the user disabled, and when the preferences changed last."""
    choices = (preferences and preferences["categories"]) or {}
    for category in preferences["effective"]["categories"] if preferences else ():
        choice = choices.get(category["category"])
        if choice is None or category["locked"]:
            continue
        types = [name for name, used in choice.get("integrations", {}).items() if not used]
        what = "all integrations" if choice.get("enabled") is False else " and ".join(types)
        if what:
            text = f"The user disabled {what} for the category {category['category']}."
            if preferences and preferences["updated_at"]:
                via = words.VIAS.get(preferences["updated_via"], "otherwise")
                when = age(preferences["updated_at"], now)
                text += f" The preferences were changed last {when}, {via}."
            advice = f"To see the preferences: dispatch preferences show {quote(user)}"
            yield Finding("choice", text, advice)


def _suppressed(
    user: str,
    preferences: Mapping[str, Any] | None,
    suppressions: Sequence[Mapping[str, Any]],
    now: datetime,
) -> Iterator[Finding]:
    used = preferences["effective"]["without_category"]["integrations"] if preferences else {}
    for one in suppressions:
        name = one["integration_type"]
        # While another address is used, a former one explains nothing.
        if not used.get(name, {}).get("enabled"):
            state = words.SUPPRESSIONS.get(one["state"], one["state"])
            advice = words.Words("", words.SUPPRESSED).about(user, name).advice
            yield Finding(
                "fault",
                f"{name} to {one['address']} is suppressed, {state} {age(one['at'], now)}.",
                advice,
            )


def _paused(
    user: str, integrations: Sequence[Mapping[str, Any]], now: datetime
) -> Iterator[Finding]:
    for one in integrations:
        health, name = one.get("health"), one["integration_type"]
        # A disabled integration is among those that are not used.
        if health is None or health["state"] == "disabled":
            continue
        since = age(health["first_failed_at"], now)
        rounds = f"{health['failures']} round{'s' * (health['failures'] != 1)}"
        text = f"The receiver of {name} is {health['state']}: {rounds} failed, the first {since}"
        if health["paused_until"] is None:
            yield Finding("fault", f"{text}.", words.CHECK_RECEIVER)
            continue
        command = f"dispatch test {quote(user)} {name}"
        yield Finding(
            "fault",
            f"{text}. Its deliveries are held; the next try is due "
            f"{age(health['paused_until'], now)}.",
            f"{words.CHECK_RECEIVER}\nTo end the pause with a successful test: {command}",
        )


def _no_integration(user: str, configuration: Mapping[str, Any]) -> Iterator[Finding]:
    if not configuration["effective_configs"]:
        yield Finding(
            "fault",
            f"No integration is enabled for {user}: messages are not delivered.",
            f"To enable one: dispatch override set {quote(user)} CLI --enable",
        )


def _not_configured(
    configuration: Mapping[str, Any], health: Mapping[str, Any]
) -> Iterator[Finding]:
    for name in configuration["effective_configs"]:
        if health.get("integrations", {}).get(name, {}).get("configured") is False:
            text = f"{name} is enabled but not configured on this system: it fails immediately."
            yield Finding("fault", text, words.SET_UP)


def _disabled(
    user: str, configuration: Mapping[str, Any], health: Mapping[str, Any]
) -> Iterator[Finding]:
    words_by_type = words.disabled(configuration, health)
    for name, reason in configuration["disabled_integrations"].items():
        kind = _KINDS.get(reason)
        if kind:
            meaning, advice = words_by_type[name].about(user, name)
            yield Finding(kind, f"{name} is not used: {meaning}.", advice)
