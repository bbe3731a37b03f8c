"""The parts of each operation that no code declares: group, statuses, parameters and examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, Literal, NamedTuple

from dispatcher import paging
from dispatcher.delivery.rows import Status
from dispatcher.identifiers import CATEGORY as CATEGORY_PATTERN
from dispatcher.identifiers import DELIVERY_ID as DELIVERY_ID_PATTERN
from dispatcher.identifiers import REQUEST_ID as REQUEST_ID_PATTERN
from dispatcher.integrations import catalogue
from dispatcher.integrations.rules import whole
from dispatcher.messages import history, mailbox

USER = "john.doe"
DELIVERY_ID = "019ab2c4-7d10-7c3e-9b1f-2a6d8e4f5c70"
REQUEST_ID = "laptop-42-ready"
CATEGORY = "security"
SUPPRESSION_ID = "EMAIL-9f86d081884c7d65"
MESSAGE_ID = "019ab2c4-8e21-7a4f-8c20-3b7e9f506d81"
EMAIL, PHONE = "john.doe@company.com", "+14155552671"

TAGS = {
    "Messages": "Send a message to a user and follow the request.",
    "Deliveries": "Read, retry and cancel deliveries.",
    "Configuration": "Read the system defaults; read and change users' overrides.",
    "Preferences": "Read and change categories of messages, and users' hours, mutes and choices.",
    "Mailbox": "Read and acknowledge messages that CLI and TEST delivered.",
    "Service": "Read the state and the documentation of the service.",
}


class Parameter(NamedTuple):
    """A query parameter or a header of a request."""

    name: str
    description: str
    schema: Mapping[str, Any]
    place: Literal["query", "header"] = "query"


class Response(NamedTuple):
    """A response that is not a problem; without ``schema`` it has no body."""

    schema: str | None
    description: str
    status: int = 200
    headers: tuple[str, ...] = ()
    content_type: str = "application/json"
    example: Mapping[str, Any] = {}
    """The fields in which the example differs from that of the schema."""


class Example(NamedTuple):
    """A request body that the service accepts."""

    summary: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Operation:
    """The declared parts of one operation; the rest comes from its handler."""

    tag: str
    response: Response
    details: str = ""
    _: KW_ONLY
    body: str | None = None
    examples: Mapping[str, Example] = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    path: Mapping[str, str] = field(default_factory=dict)
    """Examples of path parameters that differ from the common ones."""
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The values of path parameters, where the operation supports only some."""
    conflict: bool = False
    precondition: bool = False
    alternative: Response | None = None
    """A second response that is not a problem."""


def _number(description: str, parameter: paging.Parameter) -> Parameter:
    schema = {
        "type": "integer",
        "minimum": parameter.range.low,
        "maximum": parameter.range.high,
    }
    return Parameter(
        name=parameter.name,
        # In words: a generated client would send a "default" of the schema with every request.
        description=f"{description} Default: {parameter.default}.",
        schema=schema,
    )


def _enum(values: Iterable[str]) -> dict[str, Any]:
    return {"type": "string", "enum": [str(value) for value in values]}


_LIMIT = _number("The largest number of items on a page.", paging.LIMIT)
_CURSOR = {"type": "string", **whole(DELIVERY_ID_PATTERN.pattern)}
_REQUEST_ID = {"type": "string", **whole(REQUEST_ID_PATTERN.pattern)}
_IDEMPOTENCY_KEY = Parameter(
    name="Idempotency-Key",
    description=(
        "The idempotency key, another way to set `request_id`. A repeated request gets the same "
        "response, and nothing is sent twice."
    ),
    schema=_REQUEST_ID,
    place="header",
)

_CATEGORY_OF_MESSAGE = Parameter(
    name="category",
    description="The category of the messages. Default: messages without a category.",
    schema={"type": "string", **whole(CATEGORY_PATTERN.pattern)},
)
SECURITY: Mapping[str, Any] = {
    "title": "Security",
    "description": "Sign-ins and key changes",
    "group": "Account",
    "order": 10,
    "enabled": True,
    "integrations": {"SMS": True},
    "locked": True,
    "reach_by": ["EMAIL", "SMS"],
    "urgent": True,
}
HOURS = {
    "windows": [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "18:00"}],
}
_CANCELLED: Mapping[str, Any] = {
    "status": "skipped",
    "error_code": "cancelled",
    "attempts": 0,
    "metadata": {},
    **dict.fromkeys(("first_attempt_at", "last_attempt_at", "delivered_at")),
    "error_message": "cancelled before it was sent",
    "attempt_log": [],
}
_UNHEALTHY = {"status": "unhealthy", "detail": "cannot reach DeliveryQueue"}

#: By the folder of the function, in the order of the document.
OPERATIONS: dict[str, Operation] = {
    "send_message": Operation(
        "Messages",
        Response(
            "SendMessageResponse",
            "The message is stored and will be delivered.",
            202,
            ("Location", "Idempotency-Replayed"),
        ),
        "The message is delivered over every integration that is enabled for the user, in priority "
        "order. A `request_id` (or the header `Idempotency-Key`) makes the request safe to repeat.",
        body="SendMessageRequest",
        parameters=(_IDEMPOTENCY_KEY,),
        examples={
            "short": Example("Content only", {"content": "Your laptop is ready for pick-up."}),
            "safe_to_repeat": Example(
                "With a request ID and template variables",
                {
                    "request_id": REQUEST_ID,
                    "session_id": "session-7",
                    "agent_id": "it-agent",
                    "subject": "Ticket $ticket",
                    "content": "Hello **$name**, your laptop is ready.",
                    "template_variables": {"name": "John", "ticket": 42},
                },
            ),
            "one_of_two": Example(
                "Over the first of two integrations that succeeds",
                {
                    "content": "The build is broken.",
                    "integration_types": ["TEST", "CLI"],
                    "mode": "first_success",
                },
            ),
            "addressed": Example(
                "With addresses for this message",
                {
                    "content": "Welcome on board!",
                    "recipient": {
                        "email": EMAIL,
                        "phone_number": PHONE,
                        "slack_user_id": "U024BE7LH",
                    },
                },
            ),
        },
    ),
    "test_integration": Operation(
        "Messages",
        Response(
            "SendMessageResponse",
            "The test message is stored and will be delivered.",
            202,
            ("Location", "Idempotency-Replayed"),
        ),
        "Uses the user's effective settings, even if the integration is disabled.",
        path={"integration_type": "TEST"},
        parameters=(_IDEMPOTENCY_KEY,),
    ),
    "get_request": Operation(
        "Messages",
        Response("RequestResponse", "The request with its deliveries."),
        "Also returns requests without any delivery. A key of a service with the scope "
        "`dispatch:send` can follow its own requests this way.",
    ),
    "list_deliveries": Operation(
        "Deliveries",
        Response("ListDeliveriesResponse", "A page of deliveries."),
        "An accepted delivery appears immediately. Paginate with `cursor`, whose cost is "
        "constant, or with `offset`, whose cost grows with its value.",
        parameters=(
            _LIMIT,
            _number("The number of deliveries to skip; not with `cursor`.", history.OFFSET),
            Parameter("cursor", "The `next_cursor` of the previous page.", _CURSOR),
            Parameter("status", "The status of the returned deliveries.", _enum(Status)),
            Parameter(
                "integration_type",
                "The integration of the returned deliveries, in any case.",
                _enum(catalogue()),
            ),
            Parameter("request_id", "The request of the returned deliveries.", _REQUEST_ID),
        ),
    ),
    "get_delivery": Operation(
        "Deliveries", Response("DeliveryDetailResponse", "The delivery with its attempts.")
    ),
    "cancel_delivery": Operation(
        "Deliveries",
        Response("DeliveryDetailResponse", "The cancelled delivery.", example=_CANCELLED),
        "Returns 409 if the delivery is not pending or a worker is attempting it.",
        conflict=True,
    ),
    "retry_delivery": Operation(
        "Deliveries",
        Response("RetryResponse", "The new round.", 202),
        "Returns 409 unless the delivery has failed. The round respects the user's hours and mutes "
        "unless `now` is true.",
        parameters=(
            Parameter(
                "now",
                "Whether the round ignores hours and mutes. Default: false.",
                {"type": "string", "enum": ["true", "false"]},
            ),
        ),
        conflict=True,
    ),
    "get_integration_defaults": Operation(
        "Configuration",
        Response("DefaultsResponse", "The system defaults."),
        "A changed default applies immediately to all users who did not override it.",
    ),
    "get_effective_configuration": Operation(
        "Configuration",
        Response("EffectiveConfigurationResponse", "The effective configuration."),
        "Each field is the user's, else the operator's, else the built-in one; `config` is merged "
        "key by key. With `category`, the result is that for messages of this category.",
        parameters=(_CATEGORY_OF_MESSAGE,),
    ),
    "reset_overrides": Operation(
        "Configuration",
        Response("ResetResponse", "The integrations whose overrides were removed."),
        "Succeeds for a user without overrides. The delivery history is kept.",
    ),
    "list_overrides": Operation(
        "Configuration", Response("ListOverridesResponse", "The user's overrides.")
    ),
    "create_override": Operation(
        "Configuration",
        Response("CreatedOverrideResponse", "The new override.", 201, ("Location",)),
        "Missing fields follow the system defaults, except `enabled`, which is true if it is "
        "missing. Returns 409 if the override exists. Only the response to a new WEBHOOK override "
        "contains the `signing_secret`.",
        body="CreateOverrideRequest",
        examples={
            "email": Example(
                "Email to another address, with the highest priority and more retries",
                {
                    "integration_type": "EMAIL",
                    "enabled": True,
                    "priority": 1,
                    "retry_count": 5,
                    "retry_delay_seconds": 30,
                    "config": {"email_address": EMAIL, "format": "html"},
                },
            ),
            "slack": Example(
                "Slack direct messages in threads",
                {
                    "integration_type": "SLACK",
                    "config": {"user_email": EMAIL, "thread_replies": True},
                },
            ),
            "webhook": Example(
                "Signed webhooks to the user's own system",
                {
                    "integration_type": "WEBHOOK",
                    "config": {
                        "url": "https://hooks.example.com/notifications",
                        "headers": {"Authorization": "Bearer 6f1d-example"},
                    },
                },
            ),
            "sms": Example(
                "Text messages",
                {
                    "integration_type": "SMS",
                    "config": {"phone_number": PHONE, "sender_id": "Helpdesk"},
                },
            ),
            "test": Example(
                "A rehearsal: two attempts fail, the third succeeds",
                {
                    "integration_type": "TEST",
                    "retry_count": 2,
                    "retry_delay_seconds": 1,
                    "config": {"failure": "transient", "fail_attempts": 2},
                },
            ),
            "cli": Example(
                "No messages in the terminal", {"integration_type": "CLI", "enabled": False}
            ),
            "tool": Example(
                "Events for one tool only",
                {"integration_type": "TOOL", "config": {"tool_id": "ticket-sync"}},
            ),
        },
        conflict=True,
    ),
    "get_override": Operation("Configuration", Response("OverrideResponse", "The override.")),
    "update_override": Operation(
        "Configuration",
        Response("OverrideResponse", "The changed override."),
        "An explicit null restores the default of a setting. `config` replaces the override's "
        "whole config; a secret that is sent as `***` keeps its value.",
        body="UpdateOverrideRequest",
        examples={
            "mute": Example("Opt out of this integration", {"enabled": False}),
            "retry": Example(
                "More retries at longer intervals", {"retry_count": 8, "retry_delay_seconds": 600}
            ),
            "restore": Example("The default priority", {"priority": None}),
            "config": Example(
                "Plain text to another address (EMAIL)",
                {"config": {"email_address": "jd@company.com", "format": "text"}},
            ),
        },
        conflict=True,
    ),
    "delete_override": Operation("Configuration", Response(None, "The override is deleted.", 204)),
    "rotate_secret": Operation(
        "Configuration",
        Response("RotatedSecretResponse", "The new secret."),
        "The previous secret also signs for 24 hours.",
        path={"integration_type": "WEBHOOK"},
        only={"integration_type": ("WEBHOOK",)},
        conflict=True,
    ),
    "list_suppressions": Operation(
        "Configuration",
        Response("ListSuppressionsResponse", "The suppressed addresses."),
        "A message to a suppressed address is skipped. Another address of the user is used "
        "immediately.",
    ),
    "delete_suppression": Operation(
        "Configuration",
        Response(None, "The suppression is deleted.", 204),
        "Messages go to the address again. The account list of Amazon SES may hold the address "
        "too: `aws sesv2 delete-suppressed-destination --email-address ADDRESS` removes it there.",
    ),
    "list_categories": Operation("Preferences", Response("CategoriesResponse", "The categories.")),
    "put_category": Operation(
        "Preferences",
        Response("CategoryResponse", "The replaced category."),
        "The body replaces the whole category; missing fields get their defaults. Returns 409 "
        "above 100 categories or 64 KiB.",
        body="PutCategoryRequest",
        examples={
            "locked": Example("A category that users cannot disable", SECURITY),
            "opt_in": Example(
                "A category for users who choose it", {"title": "Beta features", "enabled": False}
            ),
        },
        alternative=Response("CategoryResponse", "The new category.", 201),
        conflict=True,
    ),
    "delete_category": Operation(
        "Preferences",
        Response(None, "The category is deleted.", 204),
        "Pending messages of the category are delivered as messages without a category.",
        conflict=True,
    ),
    "get_preferences": Operation(
        "Preferences",
        Response("PreferencesResponse", "The preferences.", headers=("ETag",)),
        "For a user without preferences, all fields that a user can set are null.",
    ),
    "update_preferences": Operation(
        "Preferences",
        Response("ChangedPreferencesResponse", "The changed preferences.", headers=("ETag",)),
        "An explicit null restores a default. `hours` is replaced as a whole; `categories` is "
        "merged by name. A change of hours, mute or time zone moves the held deliveries. Returns "
        "409 if a locked category is to be disabled, and 412 if the preferences have another tag "
        "than `If-Match` names.",
        body="UpdatePreferencesRequest",
        parameters=(
            Parameter(
                "If-Match",
                "The `ETag` that the preferences must still have.",
                {"type": "string"},
                "header",
            ),
        ),
        examples={
            "hours": Example("Working hours", {"time_zone": "Europe/Berlin", "hours": HOURS}),
            "unmute": Example("End of a mute", {"muted_until": None}),
            "category": Example(
                "One category disabled, another one disabled over SLACK",
                {
                    "categories": {
                        "news": {"enabled": False},
                        "builds": {"integrations": {"SLACK": False}},
                    }
                },
            ),
        },
        conflict=True,
        precondition=True,
    ),
    "delete_preferences": Operation(
        "Preferences",
        Response(None, "The preferences are deleted.", 204),
        "Succeeds for a user without preferences. Held deliveries are moved.",
    ),
    "preview_message": Operation(
        "Preferences",
        Response("PreviewResponse", "The deliveries that a send would make."),
        "The body is that of a send; `content` is optional and `request_id` is ignored. Metrics do "
        "not count previews.",
        body="PreviewRequest",
        examples={
            "category": Example("A message of a category", {"category": CATEGORY}),
            "later": Example("At a given time", {"deliver_at": "2026-11-23T09:30:00.000Z"}),
        },
    ),
    "list_messages": Operation(
        "Mailbox",
        Response("ListMessagesResponse", "A page of messages."),
        "Messages are kept for 30 days or until they are acknowledged.",
        parameters=(
            Parameter(
                "integration_type",
                f"The mailbox, in any case. Default: {mailbox.TYPES[0]}.",
                _enum(mailbox.TYPES),
            ),
            Parameter("after", "The `next_cursor` of the previous page.", _CURSOR),
            _LIMIT,
        ),
    ),
    "delete_message": Operation("Mailbox", Response(None, "The message is removed.", 204)),
    "get_health": Operation(
        "Service",
        Response("HealthResponse", "The service works; with `degraded`, an integration fails."),
        "Requires no credential. The probes are cached for 60 seconds.",
        alternative=Response(
            "HealthResponse",
            "No message can be accepted or delivered.",
            503,
            ("Retry-After",),
            example=_UNHEALTHY,
        ),
    ),
    "get_openapi": Operation(
        "Service",
        Response("OpenApiDocument", "An OpenAPI 3.1 document."),
        "Returns 404 if the operator set `PublicDocs=false`.",
    ),
    "get_docs": Operation(
        "Service",
        Response(
            "HtmlPage",
            "An HTML page that loads nothing from other hosts.",
            content_type="text/html; charset=utf-8",
        ),
        "Returns 404 if the operator set `PublicDocs=false`.",
    ),
}


def _with_each_type(examples: Mapping[str, Example]) -> Mapping[str, Example]:
    """Add an example for each integration that has none: an opt-out is valid for any."""
    opt_outs = {
        name.lower(): Example(f"Opt out of {name}", {"integration_type": name, "enabled": False})
        for name in catalogue()
        if name.lower() not in examples
    }
    return {**examples, **opt_outs}


OPERATIONS["create_override"] = replace(
    OPERATIONS["create_override"],
    examples=_with_each_type(OPERATIONS["create_override"].examples),
)
