"""The log events: the functions that write each event, its fields, level and metrics.

This table is the only list of log events. The log adapter reads levels and metrics from it, mypy
rejects an ``emit`` of any other name, and ``tools.generate`` writes the tables of
``docs/operations.md`` from it; links in its texts are relative to that page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Literal, NamedTuple

EventName = Literal[
    "request.handled",
    "caller.authenticated",
    "caller.rejected",
    "caller.unchecked",
    "message.accepted",
    "event.parked",
    "message.parked",
    "feedback.applied",
    "feedback.expired",
    "feedback.parked",
    "delivery.attempted",
    "delivery.ended",
    "delivery.cancelled",
    "delivery.held",
    "round.opened",
    "override.disabled",
    "address.suppressed",
    "integration.paused",
    "integration.disabled",
    "integration.recovered",
    "preferences.changed",
    "change.unpublished",
    "category.changed",
    "category.unsubscribed",
    "claim.taken_over",
    "claim.given_back",
    "record.lost",
    "channel.failed",
    "doorbell.lost",
    "dead_letter.delayed",
    "dead_letter.dropped",
    "hold.unchecked",
    "hours.never_open",
    "replan.done",
    "outcome.unpublished",
    "message.returned",
    "batch.handled",
    "row.unreadable",
    "sweep.finished",
]

Line = Mapping[str, Any]
"""The fields of one line. ``Any``, because each event has its own fields."""

Level = Literal["INFO", "WARNING", "INFO, WARNING if 5xx"]
"""The last level depends on the field ``status``. Lines at WARNING need an operator's attention."""

Read = Callable[[Line], float | Mapping[str, float] | None]
"""Reads a metric's value from a line; ``None`` if the line does not count.

A metric that has the integration in its name has one value per integration type.
"""

API = "each API function"
"""Stands for the function of every route in a list of functions."""


# Named tuples: dataclasses would add 1 ms to every cold start.


class Metric(NamedTuple):
    """A number that CloudWatch reads from log lines."""

    name: str
    unit: Literal["Count", "Milliseconds", "Seconds"]
    description: str
    by_integration: Literal["no", "yes", "in the name"] = "no"
    """``yes``: also kept by the dimension ``integration_type``.

    A line has one value per dimension. So a line about several deliveries has the integration in
    the metric's name instead, which then contains ``{}``.
    """


class LogEvent(NamedTuple):
    """An entry of the table: the definition of one log event."""

    functions: tuple[str, ...]
    fields: tuple[str, ...]
    description: str
    """The condition of the event."""
    action: str
    """The operator's action."""
    optional: tuple[str, ...] = ()
    """Fields that only some lines have."""
    level: Level = "INFO"
    metrics: Mapping[Metric, Read] = {}

    def is_warning(self, line: Line) -> bool:
        """Return whether a line is written at WARNING."""
        if self.level == "INFO, WARNING if 5xx":
            return bool(line["status"] >= 500)
        return self.level == "WARNING"

    def values(self, line: Line) -> Iterator[tuple[Metric, str, float]]:
        """Yield each metric that a line counts for, its full name and its value."""
        for metric, read in self.metrics.items():
            value = read(line)
            if isinstance(value, Mapping):
                for integration_type, part in value.items():
                    yield metric, metric.name.format(integration_type.lower()), part
            elif value is not None:
                yield metric, metric.name, value


# Metrics ------------------------------------------------------------------------------------------

CALLERS_REFUSED = Metric("callers_refused", "Count", "Requests that were rejected with 401.")
CALLERS_UNCHECKED = Metric(
    "callers_unchecked",
    "Count",
    "Requests that failed with 503, because the caller could not be checked.",
)
ACCEPTED = Metric("accepted", "Count", "Accepted deliveries.")
ACCEPTED_BY_TYPE = Metric(
    "accepted_{}", "Count", "Accepted deliveries of one integration.", "in the name"
)
ATTEMPT_MS = Metric(
    "attempt_ms", "Milliseconds", "Duration of an attempt, whatever its outcome.", "yes"
)
FIRST_ATTEMPT_AGE_MS = Metric(
    "first_attempt_age_ms",
    "Milliseconds",
    "Time from a delivery's due time to the first attempt of its round.",
    "yes",
)
RETRIED = Metric("retried", "Count", "Attempts after the first one of a round.", "yes")
DELIVERED = Metric("delivered", "Count", "Deliveries that succeeded.", "yes")
FAILED = Metric("failed", "Count", "Deliveries that finally failed.", "yes")
SKIPPED = Metric("skipped", "Count", "Deliveries that were skipped or cancelled.", "yes")
UNSUBSCRIBED = Metric("unsubscribed", "Count", "Categories that users ended by email.")
HELD = Metric(
    "held", "Count", "Deliveries that hours, a mute or a pause hold until a later time.", "yes"
)
PAUSED = Metric("paused", "Count", "Pauses of receivers that began.", "yes")
DUPLICATE_RISK = Metric(
    "duplicate_risk",
    "Count",
    "Attempts without a record, or with one that came too late: the receiver may have got the "
    "message twice.",
)
BOUNCED = Metric(
    "bounced", "Count", "Deliveries whose address a server rejected permanently.", "yes"
)
COMPLAINED = Metric("complained", "Count", "Emails that their receivers reported as spam.", "yes")
OPTED_OUT = Metric("opted_out", "Count", "Deliveries to numbers that have opted out.", "yes")
FEEDBACK_LAG_MS = Metric(
    "feedback_lag_ms", "Milliseconds", "Time from a provider's report to its record.", "yes"
)
PARKED = Metric("parked", "Count", "Queue messages and events that could not be read.")
OLDEST_DUE_SECONDS = Metric(
    "oldest_due_seconds", "Seconds", "Delay of the most overdue delivery that a sweep found."
)
WHOLE_SWEEPS = Metric("whole_sweeps", "Count", "Sweeps that finished without a fault.")


def _once(_line: Line) -> int:
    return 1


def _value_of(name: str, line: Line) -> float:
    value: float = line[name]
    return value


def _is_state(state: str, line: Line) -> int | None:
    return 1 if line["state"] == state else None


def _accepted(line: Line) -> int | None:
    return len(line["deliveries"]) or None


def _accepted_by_type(line: Line) -> Mapping[str, int]:
    return Counter(line["deliveries"].values())


def _is_retry(line: Line) -> int | None:
    return 1 if line["number"] > 1 else None


def _age_of_first(line: Line) -> float | None:
    return _value_of("late_ms", line) if line["number"] == 1 else None


def _has_status(status: str, line: Line) -> int | None:
    return 1 if line["status"] == status else None


def _ended_as(code: str | None, line: Line) -> int | None:
    return 1 if line["ended"] and code in {None, line["error_code"]} else None


def _has_receipt(state: str, line: Line) -> int | None:
    return 1 if line["receipt"] == state else None


def _is_unsubscribe(line: Line) -> int | None:
    return 1 if line["action"] == "unsubscribe" else None


def _without_faults(line: Line) -> int | None:
    return None if line["faults"] else 1


_ENDS: Mapping[Metric, Read] = {
    DELIVERED: partial(_has_status, "success"),
    FAILED: partial(_has_status, "failed"),
    SKIPPED: partial(_has_status, "skipped"),
}

# Events -------------------------------------------------------------------------------------------

_DELIVERY = ("user_id", "delivery_id", "request_id", "integration_type")
_ENDS_PAUSES = ("update_override", "delete_override", "reset_overrides")
_ERROR = ("reason", "where")
"""One of them: the reason in our words, or the place in the code for an error of a library."""

EVENTS: Mapping[EventName, LogEvent] = {
    "request.handled": LogEvent(
        functions=(API,),
        fields=(
            *("method", "route", "status", "duration_ms"),
            *("caller", "user_id", "delivery_id", "request_id"),
        ),
        optional=("error", *_ERROR),
        level="INFO, WARNING if 5xx",
        description="An API request was handled, with success or with an error.",
        action="Status 5xx: see [ApiErrorsAlarm](#apierrorsalarm).",
    ),
    "caller.authenticated": LogEvent(
        functions=("authorize_request",),
        fields=("caller",),
        description="A caller was authenticated. `caller` is `token:` or `link:` and the user, "
        "`key:` and the name of the key, or `anyone` if `AuthMode` is `none`.",
        action="Nothing.",
    ),
    "caller.rejected": LogEvent(
        functions=("authorize_request",),
        fields=("reason",),
        # Lambda counts a rejection as an error of the authorizer, so its own metric says nothing.
        metrics={CALLERS_REFUSED: _once},
        description="A request was rejected with 401. Lambda counts it as an error of the function "
        "too, because an authorizer rejects by raising.",
        action="Read `reason`; the caller does not see it. See "
        "[authentication](authentication.md#troubleshooting).",
    ),
    "caller.unchecked": LogEvent(
        functions=("authorize_request",),
        fields=("error",),
        optional=_ERROR,
        level="WARNING",
        metrics={CALLERS_UNCHECKED: _once},
        description="A request failed with 503, because a setting, the secret of the keys or the "
        "issuer's keys cannot be used.",
        action="See [AuthorizerErrorsAlarm](#authorizererrorsalarm).",
    ),
    "message.accepted": LogEvent(
        functions=("send_message", "test_integration", "accept_events"),
        fields=("user_id", "request_id", "deliveries", "skipped"),
        metrics={ACCEPTED: _accepted, ACCEPTED_BY_TYPE: _accepted_by_type},
        description="A message and its deliveries were stored. From here on none is lost. "
        "`skipped` has the reason for each integration that is not used.",
        action="Nothing.",
    ),
    "event.parked": LogEvent(
        functions=("accept_events",),
        fields=("error", "message_id"),
        optional=("identity", "request_id", "user_id"),
        level="WARNING",
        metrics={PARKED: _once},
        description="An event was parked, because it could not be parsed or is not a valid send. "
        "`identity` is the event's own ID, on the bus its `EventId`.",
        action="See [parked messages](#parked-messages); the parked message has the reason.",
    ),
    "message.parked": LogEvent(
        functions=("deliver_messages",),
        fields=("reason", "source"),
        level="WARNING",
        metrics={PARKED: _once},
        description="A queue message was parked, because it is neither a doorbell nor a dead "
        "letter of a known version.",
        action="See [parked messages](#parked-messages).",
    ),
    "feedback.applied": LogEvent(
        functions=("accept_feedback",),
        fields=(
            *_DELIVERY,
            *("round", "receipt", "ended", "status", "error_code", "lag_ms"),
        ),
        metrics={
            FAILED: partial(_ended_as, None),
            BOUNCED: partial(_ended_as, "bounced"),
            OPTED_OUT: partial(_ended_as, "opted_out"),
            COMPLAINED: partial(_has_receipt, "complained"),
            FEEDBACK_LAG_MS: partial(_value_of, "lag_ms"),
        },
        description="The report of a provider changed a delivery. `receipt` is its state then. "
        "`ended` tells whether a success became a failure; `status` and `error_code` are those "
        "after the report.",
        action="`ended` is true: look up the [error code](#error-codes).",
    ),
    "feedback.expired": LogEvent(
        functions=("accept_feedback",),
        fields=("user_id", "delivery_id", "integration_type"),
        description="The report of a provider was dropped, because its delivery is no longer "
        "stored.",
        action="Nothing.",
    ),
    "feedback.parked": LogEvent(
        functions=("accept_feedback",),
        fields=("reason", "message_id"),
        level="WARNING",
        metrics={PARKED: _once},
        description="A message in FeedbackQueue was parked, because it is no report about a "
        "delivery of this stack.",
        action="See [parked messages](#parked-messages); the parked message has the event.",
    ),
    "delivery.attempted": LogEvent(
        functions=("deliver_messages",),
        fields=(
            *_DELIVERY,
            *("round", "number", "max_attempts", "late_ms", "duration_ms"),
            *("outcome", "code", "detail", "status", "error_code"),
        ),
        metrics={
            ATTEMPT_MS: partial(_value_of, "duration_ms"),
            FIRST_ATTEMPT_AGE_MS: _age_of_first,
            RETRIED: _is_retry,
            **_ENDS,
        },
        description="An attempt was recorded with the `outcome` `delivered`, `retry` or "
        "`permanent`. `late_ms` is the time from the due time to the attempt. `status` and "
        "`error_code` are those of the delivery after the attempt.",
        action="Status `failed`: look up the [error code](#error-codes), then "
        "[redrive](#redriving).",
    ),
    "delivery.ended": LogEvent(
        functions=("deliver_messages",),
        fields=(*_DELIVERY, "status", "error_code", "round"),
        metrics=_ENDS,
        description="A round ended without another attempt: the delivery expired, is no longer "
        "enabled, or has no address; lost attempts used up its budget; or another delivery of a "
        "`first_success` message succeeded.",
        action="Look up the [error code](#error-codes).",
    ),
    "delivery.cancelled": LogEvent(
        functions=("cancel_delivery",),
        fields=_DELIVERY,
        metrics={SKIPPED: _once},
        description="A pending delivery was cancelled by `DELETE`.",
        action="Nothing.",
    ),
    "delivery.held": LogEvent(
        functions=(
            *("send_message", "accept_events", "deliver_messages", "retry_delivery"),
            "accept_feedback",
            "recover_deliveries",
        ),
        fields=(*_DELIVERY, "round", "reason", "until"),
        metrics={HELD: _once},
        description="A delivery waits until the user may be disturbed, or until its receiver is "
        "tried again: at acceptance, at a retry, or because that changed since. `reason` is "
        "`muted`, `paused` or `quiet_hours`.",
        action="Nothing.",
    ),
    "round.opened": LogEvent(
        functions=("retry_delivery", "recover_deliveries", "deliver_messages"),
        fields=(*_DELIVERY, "round"),
        description="A new round of a failed delivery was opened, by `POST …/retry`, by "
        "`POST …/deliveries/recover` or by a redriven dead letter.",
        action="Nothing.",
    ),
    "override.disabled": LogEvent(
        functions=("deliver_messages",),
        fields=_DELIVERY,
        description="A user's override was disabled, because the receiver returned 410.",
        action="Ask the user to correct `url`, or to set `enabled` again.",
    ),
    "address.suppressed": LogEvent(
        functions=("deliver_messages",),
        fields=(*_DELIVERY, "state"),
        metrics={
            BOUNCED: partial(_is_state, "bounced"),
            OPTED_OUT: partial(_is_state, "opted_out"),
        },
        description="A send met an address that is dead: the mail server knows no such mailbox "
        "(`bounced`), or the owner of the phone number opted out. Nothing is sent there any more.",
        action="Ask the user for another address, or delete the suppression: see "
        "[suppressed addresses](email.md#suppressed-addresses).",
    ),
    "integration.paused": LogEvent(
        functions=("deliver_messages",),
        fields=("user_id", "integration_type", "until"),
        metrics={PAUSED: _once},
        description="The receiver of a user's integration failed too often, or failed again after "
        "a pause: its deliveries are held until then.",
        action="Many users in a short time: see [paused receivers](#paused-receivers).",
    ),
    "integration.disabled": LogEvent(
        functions=("deliver_messages",),
        fields=("user_id", "integration_type", "until"),
        level="WARNING",
        description="The receiver of a user's integration failed for as long as `PauseRules` "
        "allows: its deliveries end as failed. `until` is null.",
        action="See [paused receivers](#paused-receivers).",
    ),
    "integration.recovered": LogEvent(
        functions=("deliver_messages", *_ENDS_PAUSES),
        fields=("user_id", "integration_type", "until"),
        description="The pause of an integration, or its disabling, has ended: a message was "
        "delivered, or the override was changed or deleted. `until` is null.",
        action="Nothing.",
    ),
    "preferences.changed": LogEvent(
        functions=("update_preferences", "delete_preferences", "unsubscribe"),
        fields=("user_id", "via", "fields", "category"),
        description="A user's preferences were changed or deleted. `fields` names the changed "
        "ones; `category` names the category if the change concerns exactly one.",
        action="Nothing.",
    ),
    "change.unpublished": LogEvent(
        functions=(
            *("update_preferences", "delete_preferences", "unsubscribe", "deliver_messages"),
            *_ENDS_PAUSES,
        ),
        fields=("user_id", "reason"),
        level="WARNING",
        description="EventBridge did not accept the event about changed preferences or about a "
        "paused, disabled or recovered integration, or its response was lost. The change is "
        "stored.",
        action="Check the outcome bus.",
    ),
    "category.changed": LogEvent(
        functions=("put_category", "delete_category"),
        fields=("category", "change"),
        description="An operator changed a category. `change` is `created`, `replaced` or "
        "`deleted`; `request.handled` of the same `api_request_id` names the caller.",
        action="Nothing.",
    ),
    "category.unsubscribed": LogEvent(
        functions=("unsubscribe",),
        fields=("user_id", "category", "action"),
        metrics={UNSUBSCRIBED: _is_unsubscribe},
        description="A user ended a category by email, with the link of an email. `action` is "
        "`unsubscribe`, or `undo` if the user took that back. The line holds neither the token "
        "nor the address.",
        action="Many of them for one category: send it less often.",
    ),
    "claim.taken_over": LogEvent(
        functions=("deliver_messages",),
        fields=(*_DELIVERY, "tries", "unknown"),
        metrics={DUPLICATE_RISK: _once},
        description="An expired claim was taken over, because its worker died or stalled. The "
        "lost attempt may have reached the receiver: a duplicate is possible.",
        action="Many of them: see [FunctionErrorsAlarm](#functionerrorsalarm).",
    ),
    "claim.given_back": LogEvent(
        functions=("deliver_messages",),
        fields=_DELIVERY,
        description="A claim was given back unsent, because too little time was left to send and "
        "record, or a read failed. The delivery is rung for again.",
        action="Many of them: see [DeliveryQueueAgeAlarm](#deliveryqueueagealarm).",
    ),
    "record.lost": LogEvent(
        functions=("deliver_messages",),
        fields=(*_DELIVERY, "outcome", "code", "detail"),
        level="WARNING",
        metrics={DUPLICATE_RISK: _once},
        description="The outcome of an attempt was dropped, because another worker had taken the "
        "delivery over, or the table did not respond until the invocation was over. A duplicate "
        "is possible.",
        action="Find `claim.taken_over` of the same `delivery_id`. Many of them: see "
        "[FunctionErrorsAlarm](#functionerrorsalarm).",
    ),
    "channel.failed": LogEvent(
        functions=("deliver_messages",),
        fields=(*_DELIVERY, "error"),
        level="WARNING",
        description="The code of a channel raised an error. This counts as a failed attempt.",
        action="Report it: it is a fault in our code.",
    ),
    "doorbell.lost": LogEvent(
        functions=(
            *("send_message", "test_integration", "accept_events"),
            *("deliver_messages", "retry_delivery", "cancel_delivery", "accept_feedback"),
            *("update_preferences", "delete_preferences", "recover_deliveries"),
            *_ENDS_PAUSES,
        ),
        fields=("user_id", "request_id"),
        level="WARNING",
        description="SQS did not accept a doorbell. The sweeper rings within two minutes.",
        action="Many of them: check the throttles of SQS, and the function's role and key.",
    ),
    "dead_letter.delayed": LogEvent(
        functions=("deliver_messages", "accept_feedback"),
        fields=("user_id", "request_id"),
        level="WARNING",
        description="SQS did not accept a dead letter. The sweeper sends it.",
        action="Many of them: check the throttles of SQS, and the function's role and key.",
    ),
    "dead_letter.dropped": LogEvent(
        functions=("deliver_messages",),
        fields=_DELIVERY,
        level="WARNING",
        description="A redriven dead letter opened no round, because hours and mutes of the user "
        "would hold it for longer than its content is kept.",
        action="Retry the delivery with `now=true`, or ask the user to end the mute.",
    ),
    "hold.unchecked": LogEvent(
        functions=(
            *("send_message", "accept_events", "deliver_messages", "retry_delivery"),
            "accept_feedback",
            "recover_deliveries",
        ),
        fields=("user_id", "request_id"),
        level="WARNING",
        description="A delivery was held, and the user's preferences could not be read again "
        "after that. If they changed in that moment, it is sent at its old time.",
        action="Many of them: check the throttles of the overrides table.",
    ),
    "hours.never_open": LogEvent(
        functions=(
            *("send_message", "preview_message", "accept_events", "deliver_messages"),
            *("retry_delivery", "update_preferences", "accept_feedback", "recover_deliveries"),
            *_ENDS_PAUSES,
        ),
        fields=("user_id", "time_zone"),
        level="WARNING",
        description="A user's hours do not open within 16 days, because the zone leaves out local "
        "days. They are ignored.",
        action="Ask the user to choose wider hours.",
    ),
    "replan.done": LogEvent(
        functions=(
            *("update_preferences", "delete_preferences", "deliver_messages"),
            *_ENDS_PAUSES,
        ),
        fields=("user_id", "examined", "changed", "complete"),
        description="Held deliveries were planned again after a change of preferences, or after "
        "the end of a pause: of "
        "`examined` messages, `changed` deliveries moved. `complete` is false if there were too "
        "many: the others keep their time.",
        action="Nothing.",
    ),
    "outcome.unpublished": LogEvent(
        functions=("deliver_messages", "cancel_delivery", "accept_feedback"),
        fields=(*_DELIVERY, "reason"),
        level="WARNING",
        description="EventBridge did not accept the outcome event of a delivery that ended, or its "
        "response was lost.",
        action="Check the outcome bus; the delivery history has the outcome.",
    ),
    "message.returned": LogEvent(
        functions=("deliver_messages", "accept_events", "accept_feedback"),
        fields=("message_id", "source", "error"),
        optional=_ERROR,
        level="WARNING",
        description="A queue message failed and was returned to its queue, which delivers it "
        "again.",
        action="Read `reason` or `where`. `BrokenSettingError` is [a setting]"
        "(#broken-settings); `UnavailableError` is an AWS service. `TooEarlyError` is the "
        "report of a provider that came before the record of its delivery.",
    ),
    "batch.handled": LogEvent(
        functions=("deliver_messages", "accept_events", "accept_feedback"),
        fields=("source", "records", "failed", "duration_ms"),
        description="A batch of queue messages was handled. `failed` of them were returned.",
        action="`failed` above 0: find `message.returned`.",
    ),
    "row.unreadable": LogEvent(
        functions=("sweep_deliveries",),
        fields=("user_id", "message_id", "error"),
        level="WARNING",
        description="A row could not be read by the sweeper, which skipped it.",
        action="Repair or delete the row by hand.",
    ),
    "sweep.finished": LogEvent(
        functions=("sweep_deliveries",),
        fields=("rung", "dead_letters", "passed", "faults", "oldest_due_seconds"),
        metrics={
            OLDEST_DUE_SECONDS: partial(_value_of, "oldest_due_seconds"),
            WHOLE_SWEEPS: _without_faults,
        },
        description="A sweep finished. `rung` rows were rung for, `dead_letters` had dead letters "
        "sent, `passed` needed nothing, and `faults` failed. `oldest_due_seconds` is the "
        "delay of the most overdue delivery.",
        action="Minutes of delay: see [OldestDueAlarm](#oldestduealarm). `faults` above 0: see "
        "[SweepsMissingAlarm](#sweepsmissingalarm).",
    ),
}
