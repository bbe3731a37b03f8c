"""Why a user did not get a message: from what the service answers to sentences. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dispatch_cli import words
from dispatch_cli.times import age, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

OVERDUE = 180.0
"""Seconds after which a try that was due is late: the sweeper looks every minute."""


@dataclass(frozen=True)
class Finding:
    """One reason, and what to do about it; ``kind`` is ``fault``, ``choice`` or ``fine``."""

    kind: str
    text: str
    advice: str = ""


def findings(
    user: str,
    configuration: Mapping[str, Any],
    deliveries: Sequence[Mapping[str, Any]],
    health: Mapping[str, Any],
    now: datetime,
    request_id: str | None = None,
) -> list[Finding]:
    """Return what stands between a message and this user, faults first.

    With ``request_id``, ``deliveries`` are those of this request alone.
    """
    found = [
        *_service(health),
        *_deliveries(user, deliveries, now),
        *_nothing_enabled(user, configuration),
        *_unconfigured(configuration, health),
        *_switched_off(user, configuration, health),
    ]
    if not deliveries and request_id is not None:
        found.append(
            Finding(
                "fault",
                f"{user} has no deliveries of request {request_id}.",
                f"See the id: dispatch history {user}\n"
                "Or every integration was skipped when it was sent.",
            )
        )
    elif not deliveries:
        found.append(
            Finding(
                "fault",
                f"Nobody has sent {user} a message lately.",
                "See whether the sender means this user id.\n"
                f"To try: dispatch send {user} 'Hello' --wait",
            )
        )
    if not any(one.kind == "fault" for one in found):
        delivered = [one["delivered_at"] for one in deliveries if one["status"] == "success"]
        # The last that arrived need not be the last that was sent.
        last = f", the last one {age(max(delivered, key=read), now)}" if delivered else ""
        found.append(
            Finding(
                "fine",
                f"Messages to {user} are delivered{last}.",
                "Look at the receiving end: a spam folder, a muted channel.\n"
                f"The mailbox: dispatch inbox {user}",
            ),
        )
    return sorted(found, key=lambda one: ("fine", "fault", "choice").index(one.kind))


def _service(health: Mapping[str, Any]) -> Iterator[Finding]:
    if health.get("status") != "healthy":
        detail = health.get("detail") or "see below"
        yield Finding(
            "fault",
            f"The service is {health.get('status')}: {detail}.",
            "An operator looks at it: docs/operations.md.",
        )


def _deliveries(
    user: str, deliveries: Sequence[Mapping[str, Any]], now: datetime
) -> Iterator[Finding]:
    """Look at what is under way, and at the last end of each integration: older ones are past."""
    ended: set[str] = set()
    for one in deliveries:
        name = one["integration_type"]
        cause = words.code(one["error_code"] or "").about(user, name)
        told = f": {cause.meaning}" if cause.meaning else ""
        if one["status"] == "pending":
            yield from _pending(one, told, now)
            continue
        if name in ended:
            continue
        ended.add(name)
        when = age(one["last_attempt_at"] or one["created_at"], now)
        if one["status"] == "failed":
            yield Finding("fault", f"{name} failed {when}{told}.", _retry(user, one, cause.advice))
        elif one["status"] == "skipped":
            yield Finding("choice", f"{name} was skipped {when}{told}.", cause.advice)


def _retry(user: str, delivery: Mapping[str, Any], advice: str) -> str:
    if delivery["error_code"] in {"expired", "content_expired"}:
        return advice
    begin = "To retry"
    if delivery["error_code"] in {"not_configured", "no_address"}:
        begin = "Once it is set up, to retry"
    return f"{advice}\n{begin}: dispatch retry {user} {delivery['delivery_id']}".strip()


def _pending(delivery: Mapping[str, Any], told: str, now: datetime) -> Iterator[Finding]:
    name, due = delivery["integration_type"], delivery["next_attempt_at"]
    if due is None:
        yield Finding("choice", f"{name} waits for an integration of higher priority.")
    elif (now - read(due)).total_seconds() > OVERDUE:
        yield Finding(
            "fault",
            f"{name} was due {age(due, now)}, and nobody has tried.",
            "The workers do not keep up: an operator looks at the queues (docs/operations.md).",
        )
    elif delivery["attempts"]:
        yield Finding(
            "fault",
            f"{name} did not get through yet{told}.",
            f"It is tried again by itself {age(due, now)} "
            f"({delivery['attempts']} of {delivery['max_attempts']} tries are used).",
        )
    else:
        yield Finding("choice", f"{name} is due {age(due, now)}.")


def _nothing_enabled(user: str, configuration: Mapping[str, Any]) -> Iterator[Finding]:
    if not configuration["effective_configs"]:
        yield Finding(
            "fault",
            f"No integration is enabled for {user}: a message goes nowhere.",
            f"To enable one: dispatch override set {user} CLI --enable",
        )


def _unconfigured(configuration: Mapping[str, Any], health: Mapping[str, Any]) -> Iterator[Finding]:
    for name in configuration["effective_configs"]:
        if health.get("integrations", {}).get(name, {}).get("configured") is False:
            text = f"{name} is enabled, and not configured on this system: it fails at once."
            yield Finding("fault", text, words.SET_UP)


def _switched_off(
    user: str, configuration: Mapping[str, Any], health: Mapping[str, Any]
) -> Iterator[Finding]:
    told = words.unused(configuration, health)
    for name, why in configuration["disabled_integrations"].items():
        kind = {"disabled_by_user": "choice", "disabled_by_receiver": "fault"}.get(why)
        if kind:
            meaning, advice = told[name].about(user, name)
            yield Finding(kind, f"{name} is off: {meaning}.", advice)
