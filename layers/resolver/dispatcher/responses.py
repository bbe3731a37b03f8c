"""The shape of every response body, and the format of a time.

mypy checks the use cases against these types, and the OpenAPI document is generated from them: the
text below a field is its description there. Every field that is not ``NotRequired`` is always
present, null if unknown.
"""

# No "from __future__ import annotations": typing would compile each annotation's text again, which
# doubles the time that every cold start spends here (1.2 ms instead of 0.6 ms).

from datetime import UTC, datetime
from typing import Any, NotRequired, overload

# Not typing's: TypeAliasType is new in 3.12, and before it pydantic, with which the document's
# generator reads the types, accepts no other TypedDict.
from typing_extensions import TypeAliasType, TypedDict

Timestamp = TypeAliasType("Timestamp", str)
"""A time in RFC 3339, UTC, with milliseconds."""

Identifier = TypeAliasType("Identifier", str)
"""A UUID in lower case."""

# Open strings, so that a new value breaks no generated client; the document lists the known ones.

IntegrationType = TypeAliasType("IntegrationType", str)
"""The name of an integration, in upper case."""

DeliveryStatus = TypeAliasType("DeliveryStatus", str)
"""The state of a delivery. One that has ended changes only by a new round, or because a provider
reports that a message was not delivered after all."""

SkipReason = TypeAliasType("SkipReason", str)
"""The reason why an integration gets no delivery."""

HoldReason = TypeAliasType("HoldReason", str)
"""The reason why a delivery is held."""

ReceiptState = TypeAliasType("ReceiptState", str)
"""The last report of a provider about a message that it accepted."""

ErrorCode = TypeAliasType("ErrorCode", str)
"""The reason why an attempt or a delivery failed or was skipped; it can be a provider's code."""


# Configuration ------------------------------------------------------------------------------------


class IntegrationSettings(TypedDict):
    """The complete settings of one integration."""

    enabled: bool
    """Whether messages are delivered over the integration."""
    priority: int
    """The place in the delivery order; 1 is delivered first."""
    retry_count: int
    """The number of retries after the first attempt."""
    retry_delay_seconds: int
    """The seconds between the end of an attempt and the next one."""
    config: dict[str, Any]
    """The integration's own settings."""


class OverrideSettings(TypedDict, total=False):
    """The settings that a user has set; each missing one follows the system default."""

    enabled: bool
    """Whether messages are delivered over the integration; false opts the user out."""
    priority: int
    """The place in the delivery order; 1 is delivered first."""
    retry_count: int
    """The number of retries after the first attempt."""
    retry_delay_seconds: int
    """The seconds between the end of an attempt and the next one."""
    config: dict[str, Any]
    """The integration's own settings; secrets read `***`."""


class DefaultsResponse(TypedDict):
    """The system defaults of all integrations."""

    default_integrations: dict[str, IntegrationSettings]
    """The settings by integration, in priority order."""


class EffectiveConfigurationResponse(TypedDict):
    """The settings that a delivery to a user would use now."""

    user_id: str
    """The user's ID."""
    user_overrides: dict[str, OverrideSettings]
    """The settings that the user has set, by integration."""
    effective_configs: dict[str, IntegrationSettings]
    """The integrations that a delivery would use, in delivery order."""
    disabled_integrations: dict[str, SkipReason]
    """All other integrations, each with the reason."""
    using_integration_defaults: bool
    """Whether the user has no override."""


class OverrideResponse(OverrideSettings):
    """A user's override of one integration."""

    integration_type: IntegrationType
    """The integration."""
    created_at: Timestamp
    """The time of creation."""
    updated_at: Timestamp
    """The time of the last change."""


class ReceiverHealthResponse(TypedDict):
    """The state of an integration's receiver after failures."""

    state: str
    """The state: `failing`, `paused` (deliveries are held) or `disabled`."""
    failures: int
    """The number of failed rounds since the last success."""
    first_failed_at: Timestamp
    """The time of the first of them."""
    last_failed_at: Timestamp
    """The time of the last of them."""
    paused_until: Timestamp | None
    """The time at which one delivery tries again; null unless the state is `paused`."""


class OverrideDetailResponse(OverrideResponse):
    """A user's override of one integration, with the health of its receiver."""

    health: ReceiverHealthResponse | None
    """The health of the receiver; null if nothing failed since the last success."""


class ListedOverrideResponse(OverrideResponse):
    """A user's override of one integration in a list."""

    health: NotRequired[ReceiverHealthResponse]
    """The health of the receiver, if something failed since the last success."""


class CreatedOverrideResponse(OverrideResponse):
    """A new override; a WEBHOOK override comes with its signing secret."""

    signing_secret: NotRequired[str]
    """The secret that signs the requests (Standard Webhooks), WEBHOOK only; never shown again."""


class ListOverridesResponse(TypedDict):
    """All overrides of a user."""

    user_id: str
    """The user's ID."""
    integrations: list[ListedOverrideResponse]
    """The overrides, in the order of the system's integrations."""


class ResetResponse(TypedDict):
    """The result of a reset."""

    user_id: str
    """The user's ID."""
    removed: list[IntegrationType]
    """The integrations whose overrides were removed."""
    using_integration_defaults: bool
    """Always true: the user has no override any more."""


class RotatedSecretResponse(TypedDict):
    """A new signing secret."""

    signing_secret: str
    """The new secret; never shown again."""
    previous_valid_until: Timestamp | None
    """The time until which the previous secret signs too."""


class SuppressionResponse(TypedDict):
    """An address to which the user gets no more messages."""

    suppression_id: str
    """The identifier, with which the suppression can be deleted."""
    integration_type: IntegrationType
    """The integration that delivers to the address."""
    state: str
    """The reason: `bounced`, `complained` or `opted_out`."""
    address: str
    """The address, shortened."""
    at: Timestamp
    """The time at which it happened, by the provider's clock."""
    delivery_id: Identifier
    """The ID of the delivery that caused the suppression."""
    detail: str
    """The provider's words in short, or an empty text."""


class ListSuppressionsResponse(TypedDict):
    """The addresses of one user to which nothing is sent."""

    user_id: str
    """The user's ID."""
    suppressions: list[SuppressionResponse]
    """The suppressions, newest first."""


# Messages -----------------------------------------------------------------------------------------


class Hold(TypedDict):
    """Why a delivery is held, and until when."""

    reason: HoldReason
    """The reason."""
    until: Timestamp
    """The time of the delivery, unless the user's preferences change before."""
    detail: str
    """The same as a sentence, in the user's time zone."""


class Receipt(TypedDict):
    """The last report of the provider after it accepted the message."""

    state: ReceiptState
    """The state; a later report replaces it only if it says more."""
    at: Timestamp
    """The time of the report, by the provider's clock."""
    detail: str
    """The provider's own words, at most 80 bytes, without the address."""


class AcceptedDelivery(TypedDict):
    """A delivery of an accepted message."""

    delivery_id: Identifier
    """The delivery's ID."""
    integration_type: IntegrationType
    """The integration that delivers."""
    priority: int
    """The place in the delivery order; 1 is delivered first."""
    status: DeliveryStatus
    """The state at acceptance: `pending`."""
    locked: bool
    """Whether the integration is used only because the category is locked."""
    held: Hold | None
    """The hold of the delivery at acceptance."""


class SkippedIntegration(TypedDict):
    """An integration that gets no delivery of a message."""

    integration_type: IntegrationType
    """The integration."""
    reason: SkipReason
    """The reason."""
    detail: NotRequired[str]
    """The setting that would change it, where one would."""


class SendMessageResponse(TypedDict):
    """An accepted message. The same request again gets the same response."""

    request_id: str
    """The request's ID: the caller's, or a generated one."""
    user_id: str
    """The user's ID."""
    category: str | None
    """The category that the message belongs to."""
    deliveries: list[AcceptedDelivery]
    """The deliveries, in delivery order."""
    skipped: list[SkippedIntegration]
    """The integrations that get no delivery, each with the reason."""


class DeliveryResponse(TypedDict):
    """One message over one integration."""

    delivery_id: Identifier
    """The delivery's ID; receivers of webhooks get it as `webhook-id`."""
    request_id: str
    """The ID of the request that the delivery belongs to."""
    session_id: str | None
    """The ID of the conversation that the message belongs to."""
    subject: str | None
    """The message's subject, its variables filled in."""
    category: str | None
    """The category that the message belongs to."""
    user_id: str
    """The user's ID."""
    integration_type: IntegrationType
    """The integration that delivers."""
    locked: bool
    """Whether the integration is used only because the category was locked at acceptance."""
    status: DeliveryStatus
    """The state; `skipped` means that the delivery was no longer wanted."""
    priority: int
    """The place in the delivery order; 1 is delivered first."""
    round: int
    """The number of the round, from 1; every `/retry` and every redrive starts the next one."""
    attempts: int
    """The number of finished attempts of this round."""
    max_attempts: int
    """The number of attempts that a round may have."""
    created_at: Timestamp
    """The time when the message was accepted."""
    first_attempt_at: Timestamp | None
    """The start of the first attempt of this round."""
    last_attempt_at: Timestamp | None
    """The start of the last attempt."""
    delivered_at: Timestamp | None
    """The time when the receiver accepted the message; null if it bounced afterwards."""
    receipt: Receipt | None
    """The provider's last report about this round; null without one."""
    next_attempt_at: Timestamp | None
    """The time when the next attempt is due."""
    held: Hold | None
    """The hold that delays the delivery until then."""
    error_code: ErrorCode | None
    """The reason for the last failure, or why the delivery was skipped."""
    error_message: str | None
    """The same reason as a sentence."""
    metadata: dict[str, Any]
    """The provider's own IDs."""


class AttemptResponse(TypedDict):
    """One attempt of a delivery."""

    number: int
    """The attempt's number within its round."""
    round: int
    """The number of the round."""
    started_at: Timestamp
    """The time when the attempt began."""
    duration_ms: int | None
    """The duration in milliseconds; null if the worker stopped before it recorded the outcome."""
    outcome: str
    """The outcome: `delivered`, `retry`, `permanent` or `unknown`; other values may be added."""
    code: ErrorCode | None
    """The reason for an outcome other than `delivered`."""
    detail: str
    """The same reason as a sentence."""


class DeliveryDetailResponse(DeliveryResponse):
    """A delivery with its attempts."""

    attempt_log: list[AttemptResponse]
    """The last 25 attempts of all rounds, oldest first."""


class ListDeliveriesResponse(TypedDict):
    """A page of a user's deliveries, newest first."""

    user_id: str
    """The user's ID."""
    deliveries: list[DeliveryResponse]
    """The deliveries; a page filtered by status or integration may be short."""
    limit: int
    """The largest number of deliveries on a page."""
    offset: int
    """The number of deliveries before this page, if `offset` was used."""
    next_cursor: str | None
    """The `cursor` of the next page; null on the last page."""


class RequestResponse(TypedDict):
    """A request with the current state of all its deliveries."""

    request_id: str
    """The request's ID."""
    user_id: str
    """The user's ID."""
    session_id: str | None
    """The ID of the conversation that the message belongs to."""
    agent_id: str | None
    """The ID of the agent that sent the message."""
    subject: str | None
    """The message's subject, its variables filled in."""
    created_at: Timestamp
    """The time when the message was accepted."""
    deliver_at: Timestamp | None
    """The requested delivery time; null unless it was after the acceptance."""
    expires_at: Timestamp | None
    """The time after which the message is no longer delivered."""
    mode: str
    """The mode: `all`, or `first_success` (each integration only if those before it failed)."""
    deliveries: list[DeliveryResponse]
    """The deliveries, in delivery order."""
    skipped: list[SkippedIntegration]
    """The integrations that get no delivery, each with the reason."""


class RetryResponse(TypedDict):
    """A new round of attempts."""

    delivery_id: Identifier
    """The delivery's ID."""
    round: int
    """The number of the new round."""
    status: DeliveryStatus
    """The new state: `pending`."""


class NotOpened(TypedDict):
    """A failed delivery of which no new round begins."""

    delivery_id: Identifier
    """The delivery's ID."""
    reason: SkipReason
    """The reason."""


class RecoverResponse(TypedDict):
    """The new rounds of a page of messages."""

    examined: int
    """The number of messages that were examined, at most 100."""
    opened: list[Identifier]
    """The deliveries of which a new round begins, or would begin in a dry run."""
    not_opened: list[NotOpened]
    """The failed deliveries that match and stay failed."""
    next_cursor: str | None
    """The `cursor` of the next page; null on the last page."""


class MailboxMessageResponse(TypedDict):
    """A message in a user's mailbox."""

    message_id: Identifier
    """The ID with which the message is acknowledged."""
    integration_type: IntegrationType
    """The integration that delivered the message: CLI or TEST."""
    delivery_id: Identifier
    """The ID of the delivery that put the message into the mailbox."""
    request_id: str
    """The ID of the request that the message belongs to."""
    session_id: str | None
    """The ID of the conversation that the message belongs to."""
    agent_id: str | None
    """The ID of the agent that sent the message."""
    subject: str | None
    """The message's subject."""
    content: str
    """The message's content."""
    created_at: Timestamp
    """The time of delivery."""


class ListMessagesResponse(TypedDict):
    """A page of a user's mailbox, oldest first."""

    user_id: str
    """The user's ID."""
    integration_type: IntegrationType
    """The mailbox: CLI or TEST."""
    messages: list[MailboxMessageResponse]
    """The messages; each stays for 30 days or until it is acknowledged."""
    limit: int
    """The largest number of messages on a page."""
    next_cursor: str | None
    """The `after` of the next page; null on the last page."""


# Service ------------------------------------------------------------------------------------------


class IntegrationHealth(TypedDict):
    """The state of one integration."""

    configured: bool
    """Whether the operator has set the integration up."""
    enabled_by_default: bool
    """Whether users without an override get messages over the integration."""
    healthy: bool | None
    """Whether the provider responds; null if there is no shared provider to probe."""
    detail: str
    """The same state as a sentence."""


class HealthResponse(TypedDict):
    """The state of the service."""

    status: str
    """The state: `healthy`, `degraded` (an integration fails) or `unhealthy` (all sends fail)."""
    service: str
    """The service's name."""
    version: str
    """The service's version."""
    integrations: dict[str, IntegrationHealth]
    """The state by integration."""
    detail: str | None
    """The dependencies that cannot be reached."""
    timestamp: Timestamp
    """The time of this response; the probes may be up to 60 seconds older."""


class InvalidField(TypedDict):
    """One invalid value of a request."""

    pointer: str
    """The JSON pointer of the value in the body, or `/` and the name of a parameter."""
    detail: str
    """The rule that the value breaks."""


class ProblemResponse(TypedDict):
    """The reason why a request failed (RFC 9457)."""

    type: str
    """The class of the problem, as a URN."""
    title: str
    """The class of the problem, as a phrase."""
    status: int
    """The response's HTTP status."""
    detail: str
    """The explanation of this occurrence."""
    instance: str
    """The URN of this occurrence, as it is logged."""
    errors: NotRequired[list[InvalidField]]
    """The invalid values, only with status 422."""


LAST_SECOND = 253_402_300_799.0
"""The last second of the year 9999, with which RFC 3339 ends; callers and issuers use later times
for "never"."""


@overload
def rfc3339(seconds: float) -> str: ...
@overload
def rfc3339(seconds: None) -> None: ...
@overload
def rfc3339(seconds: float | None) -> str | None: ...
def rfc3339(seconds: float | None) -> str | None:
    """Write a time as RFC 3339 in UTC with milliseconds; a later one as the last possible."""
    if seconds is None:
        return None
    return (
        datetime.fromtimestamp(round(min(seconds, LAST_SECOND) * 1000) / 1000, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )
