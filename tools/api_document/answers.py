"""The shapes of what the API answers. Every answer that a test sees is held to them."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from dispatcher.configuration.bodies import IntegrationType

Time = Annotated[
    str,
    Field(
        json_schema_extra={
            "format": "date-time",
            "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
        }
    ),
]
Identifier = Annotated[str, Field(json_schema_extra={"format": "uuid"})]
Status = Literal["pending", "success", "failed", "skipped"]
Reason = Literal[
    "disabled_by_default", "not_configured", "disabled_by_user", "disabled_by_receiver"
]


class Configuration(TypedDict):
    """The settings of one integration."""

    enabled: bool
    """Whether messages go over it."""
    priority: int
    """1 is delivered first."""
    retry_count: int
    """Retries after the first try."""
    retry_delay_seconds: int
    """Seconds between the end of a try and the next one."""
    config: dict[str, Any]
    """The integration's own settings."""


class IntegrationDefaults(TypedDict):
    """What holds for users who did not say otherwise."""

    default_integrations: dict[str, Configuration]
    """All integrations by name, in priority order."""


class Settings(TypedDict, total=False):
    """What a user set; what is not here follows the defaults."""

    enabled: bool
    """Whether messages go over the integration."""
    priority: int
    """1 is delivered first."""
    retry_count: int
    """Retries after the first try."""
    retry_delay_seconds: int
    """Seconds between the end of a try and the next one."""
    config: dict[str, Any]
    """The integration's own settings; secrets read `***`."""


class EffectiveConfiguration(TypedDict):
    """What a delivery to a user would use now, and why it would use nothing else."""

    user_id: str
    """The user."""
    user_overrides: dict[str, Settings]
    """What the user set, by integration."""
    effective_configs: dict[str, Configuration]
    """The integrations that a message would use, in delivery order."""
    disabled_integrations: dict[str, Reason]
    """Why it would use no other."""
    using_integration_defaults: bool
    """Whether the user has no override."""


class Reset(TypedDict):
    """What a reset removed."""

    user_id: str
    """The user."""
    removed: list[IntegrationType]
    """The integrations whose overrides are gone."""
    using_integration_defaults: Literal[True]
    """The user has no override any more."""


class Override(Settings):
    """A user's override of one integration."""

    integration_type: IntegrationType
    """The integration."""
    created_at: Time
    """When it was created."""
    updated_at: Time
    """When it was last changed."""


class NewOverride(Override):
    """A new override, with the secret that its receiver needs."""

    signing_secret: NotRequired[str]
    """WEBHOOK only: what its requests are signed with (Standard Webhooks); never shown again."""


class Overrides(TypedDict):
    """All overrides of a user."""

    user_id: str
    """The user."""
    integrations: list[Override]
    """The overrides."""


class RotatedSecret(TypedDict):
    """Another signing secret."""

    signing_secret: str
    """The new secret; never shown again."""
    previous_valid_until: Time | None
    """Until when requests are signed with the secret before it too."""


class AcceptedDelivery(TypedDict):
    """A delivery that will be made."""

    delivery_id: Identifier
    """What to ask for it by."""
    integration_type: IntegrationType
    """The integration that delivers."""
    priority: int
    """1 is delivered first."""
    status: Literal["pending"]
    """Nothing was tried yet."""


class Skipped(TypedDict):
    """An integration over which nothing is delivered."""

    integration_type: IntegrationType
    """The integration."""
    reason: Literal[
        "disabled_by_default",
        "not_configured",
        "disabled_by_user",
        "disabled_by_receiver",
        "no_address",
    ]
    """Why."""
    detail: NotRequired[str]
    """What to do about it."""


class Accepted(TypedDict):
    """What becomes of a message; the same request again gets the same answer."""

    request_id: str
    """The name of the request: the caller's, or one that was made for it."""
    user_id: str
    """The user."""
    deliveries: list[AcceptedDelivery]
    """The deliveries, in the order in which they are made."""
    skipped: list[Skipped]
    """The integrations that deliver nothing, and why."""


class Delivery(TypedDict):
    """One message for one user over one integration."""

    delivery_id: Identifier
    """What to ask for it by; receivers of webhooks see it as `webhook-id`."""
    request_id: str
    """The request that it belongs to."""
    session_id: str | None
    """The conversation that the message belongs to."""
    user_id: str
    """The user."""
    integration_type: IntegrationType
    """The integration that delivers."""
    status: Status
    """Where it stands; `skipped` means that it was no longer wanted."""
    priority: int
    """1 is delivered first."""
    round: int
    """Counts from 1; every manual retry and every redriven dead letter begins another."""
    attempts: int
    """Tries of this round that ended."""
    max_attempts: int
    """Tries that a round may take."""
    created_at: Time
    """When the message was accepted."""
    first_attempt_at: Time | None
    """When the first try of this round began."""
    last_attempt_at: Time | None
    """When the last try began."""
    delivered_at: Time | None
    """When the receiver took it."""
    next_attempt_at: Time | None
    """When the next try is due."""
    error_code: str | None
    """Why it failed or was skipped, as a word for programs."""
    error_message: str | None
    """The same, as a sentence for people."""
    metadata: dict[str, Any]
    """The provider's own ids."""


class Attempt(TypedDict):
    """One try."""

    number: int
    """Its number within the round."""
    round: int
    """The round."""
    started_at: Time
    """When it began."""
    duration_ms: int | None
    """How long it took; null if the worker did not live to say."""
    outcome: str
    """What it came to: `delivered`, `retry`, `permanent` or `unknown`."""
    code: str | None
    """Why, as a word for programs."""
    detail: str
    """Why, as a sentence for people."""


class DetailedDelivery(Delivery):
    """A delivery with its attempts."""

    attempt_log: list[Attempt]
    """The last 25 tries, oldest first."""


class Deliveries(TypedDict):
    """A page of a user's deliveries, newest first."""

    user_id: str
    """The user."""
    deliveries: list[Delivery]
    """The deliveries, without their attempts; with a filter a page may be short."""
    limit: int
    """The most that a page holds."""
    offset: int
    """How many were skipped."""
    next_cursor: str | None
    """Leads to the next page; null on the last one."""


class OpenedRound(TypedDict):
    """The round of attempts that begins."""

    delivery_id: Identifier
    """The delivery."""
    round: int
    """The number of the round."""
    status: Literal["pending"]
    """It is tried again."""


class Message(TypedDict):
    """A message in a mailbox."""

    message_id: Identifier
    """What to acknowledge it by."""
    integration_type: Literal["CLI", "TEST"]
    """The integration that delivered it."""
    delivery_id: Identifier
    """The delivery that put it there."""
    request_id: str
    """The request that it belongs to."""
    session_id: str | None
    """The conversation that it belongs to."""
    agent_id: str | None
    """The agent that sent it."""
    subject: str | None
    """Its subject."""
    content: str
    """Its content."""
    created_at: Time
    """When it was delivered."""


class Messages(TypedDict):
    """A page of a user's mailbox, oldest first."""

    user_id: str
    """The user."""
    integration_type: Literal["CLI", "TEST"]
    """The mailbox."""
    messages: list[Message]
    """The messages; they stay for 30 days or until they are acknowledged."""
    limit: int
    """The most that a page holds."""
    next_cursor: str | None
    """Leads to the next page, as `after`; null on the last one."""


class IntegrationHealth(TypedDict):
    """How one integration stands."""

    configured: bool
    """Whether the operator set it up."""
    enabled_by_default: bool
    """Whether users who said nothing get messages over it."""
    healthy: bool | None
    """Whether its peer answers; null if there is none to ask."""
    detail: str
    """The same as a sentence."""


class Health(TypedDict):
    """How the service stands."""

    status: Literal["healthy", "degraded", "unhealthy"]
    """`degraded`: some integration cannot deliver; `unhealthy`: nothing can be accepted."""
    service: str
    """The service's name."""
    version: str
    """The service's version."""
    integrations: dict[str, IntegrationHealth]
    """Each integration by name."""
    detail: str | None
    """What cannot be reached."""
    timestamp: Time
    """When this was said; the look itself may be a minute old."""


class InputFlaw(TypedDict):
    """One thing to correct."""

    pointer: str
    """Where: a JSON pointer into the body, or the name of a parameter."""
    detail: str
    """What it must be."""


class Problem(TypedDict):
    """Why a request was refused (RFC 9457)."""

    type: Annotated[
        str,
        Field(json_schema_extra={"pattern": "^urn:integration-dispatcher:problem:[a-z-]+$"}),
    ]
    """The kind of problem, a name for programs."""
    title: str
    """The kind of problem, for people."""
    status: int
    """The status of the answer."""
    detail: str
    """What is wrong in this case."""
    instance: Annotated[str, Field(json_schema_extra={"pattern": "^urn:uuid:"})]
    """This one case, as the log names it."""
    errors: NotRequired[list[InputFlaw]]
    """With 422: what to correct, and where."""
