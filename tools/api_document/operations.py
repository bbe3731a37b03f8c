"""The parts of each operation that no code declares: group, statuses, parameters and examples."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from dispatcher import VERSION, paging
from dispatcher.delivery.rows import Status
from dispatcher.identifiers import DELIVERY_ID as DELIVERY_ID_PATTERN
from dispatcher.identifiers import REQUEST_ID as REQUEST_ID_PATTERN
from dispatcher.integrations import catalogue
from dispatcher.integrations.rules import whole
from dispatcher.messages import history, mailbox

if TYPE_CHECKING:
    from collections.abc import Mapping

USER = "john.doe"
DELIVERY_ID = "019ab2c4-7d10-7c3e-9b1f-2a6d8e4f5c70"
REQUEST_ID = "laptop-42-ready"
MESSAGE_ID = "019ab2c4-8e21-7a4f-8c20-3b7e9f506d81"
TIME = "2026-11-23T09:30:00.000Z"

TAGS = {
    "Messages": "Send a message to a user and follow the request.",
    "Deliveries": "Read, retry and cancel deliveries.",
    "Configuration": "Read the system defaults; read and change users' overrides.",
    "Mailbox": "Read and acknowledge messages that CLI and TEST delivered.",
    "Service": "Read the state and the documentation of the service.",
}


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A query parameter or a header of a request."""

    name: str
    description: str
    schema: Mapping[str, Any]
    place: Literal["query", "header"] = "query"
    example: str | int | None = None


@dataclass(frozen=True, kw_only=True)
class Response:
    """A response that is not a problem; without ``schema`` it has no body."""

    status: int
    description: str
    schema: str | None = None
    example: Mapping[str, Any] | str | None = None
    headers: tuple[str, ...] = ()
    content_type: str = "application/json"


@dataclass(frozen=True, kw_only=True)
class Example:
    """A request body that the service accepts."""

    summary: str
    body: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """The declared parts of one operation; the rest comes from its handler."""

    tag: str
    responses: tuple[Response, ...]
    details: str = ""
    body: str | None = None
    examples: Mapping[str, Example] = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    path: Mapping[str, str] = field(default_factory=dict)
    """Examples of path parameters that differ from the common ones."""
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The values of path parameters, where the operation supports only some."""
    conflict: bool = False


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

_OVERRIDE = {
    "integration_type": "EMAIL",
    "enabled": True,
    "priority": 1,
    "retry_count": 5,
    "retry_delay_seconds": 30,
    "config": {"email_address": "john.doe@company.com", "format": "html"},
    "created_at": TIME,
    "updated_at": TIME,
}
_TEST = {
    "enabled": True,
    "priority": 5,
    "retry_count": 1,
    "retry_delay_seconds": 10,
    "config": {},
}
_ACCEPTED = {
    "request_id": REQUEST_ID,
    "user_id": USER,
    "deliveries": [
        {
            "delivery_id": DELIVERY_ID,
            "integration_type": "EMAIL",
            "priority": 1,
            "status": "pending",
        }
    ],
    "skipped": [{"integration_type": "SMS", "reason": "disabled_by_default"}],
}
_DELIVERY = {
    "delivery_id": DELIVERY_ID,
    "request_id": REQUEST_ID,
    "session_id": "session-7",
    "subject": "Ticket 42",
    "user_id": USER,
    "integration_type": "EMAIL",
    "status": "success",
    "priority": 1,
    "round": 1,
    "attempts": 1,
    "max_attempts": 6,
    "created_at": TIME,
    "first_attempt_at": TIME,
    "last_attempt_at": TIME,
    "delivered_at": TIME,
    "next_attempt_at": None,
    "error_code": None,
    "error_message": None,
    "metadata": {"message_id": "0102018f-mail-42"},
}
_ATTEMPT = {
    "number": 1,
    "round": 1,
    "started_at": TIME,
    "duration_ms": 182,
    "outcome": "delivered",
    "code": None,
    "detail": "",
}
_CANCELLED = _DELIVERY | {
    "status": "skipped",
    "attempts": 0,
    "first_attempt_at": None,
    "last_attempt_at": None,
    "delivered_at": None,
    "error_code": "cancelled",
    "error_message": "cancelled before it was sent",
    "metadata": {},
    "attempt_log": [],
}
_REQUEST = {
    "request_id": REQUEST_ID,
    "user_id": USER,
    "session_id": "session-7",
    "agent_id": "it-agent",
    "subject": "Ticket 42",
    "created_at": TIME,
    "deliver_at": None,
    "expires_at": None,
    "mode": "all",
    "deliveries": [_DELIVERY],
    "skipped": [{"integration_type": "SMS", "reason": "disabled_by_default"}],
}
_HEALTH = {
    "status": "healthy",
    "service": "integration-dispatcher",
    "version": VERSION,
    "integrations": {
        "TEST": {
            "configured": True,
            "enabled_by_default": True,
            "healthy": None,
            "detail": "configured; there is no shared peer to probe",
        }
    },
    "detail": None,
    "timestamp": TIME,
}

#: By the folder of the function, in the order of the document.
OPERATIONS: dict[str, Operation] = {
    "send_message": Operation(
        tag="Messages",
        details=(
            "The message is delivered over every integration that is enabled for the user, in "
            "priority order. A `request_id` (or the header `Idempotency-Key`) makes the request "
            "safe to repeat."
        ),
        body="SendMessageRequest",
        parameters=(_IDEMPOTENCY_KEY,),
        examples={
            "short": Example(
                summary="Content only", body={"content": "Your laptop is ready for pick-up."}
            ),
            "safe_to_repeat": Example(
                summary="With a request ID and template variables",
                body={
                    "request_id": REQUEST_ID,
                    "session_id": "session-7",
                    "agent_id": "it-agent",
                    "subject": "Ticket $ticket",
                    "content": "Hello **$name**, your laptop is ready.",
                    "template_variables": {"name": "John", "ticket": 42},
                },
            ),
            "one_of_two": Example(
                summary="Over the first of two integrations that succeeds",
                body={
                    "content": "The build is broken.",
                    "integration_types": ["TEST", "CLI"],
                    "mode": "first_success",
                },
            ),
            "addressed": Example(
                summary="With addresses for this message",
                body={
                    "content": "Welcome on board!",
                    "recipient": {
                        "email": "john.doe@company.com",
                        "phone_number": "+14155552671",
                        "slack_user_id": "U024BE7LH",
                    },
                },
            ),
        },
        responses=(
            Response(
                status=202,
                description="The message is stored and will be delivered.",
                schema="SendMessageResponse",
                example=_ACCEPTED,
                headers=("Location", "Idempotency-Replayed"),
            ),
        ),
    ),
    "test_integration": Operation(
        tag="Messages",
        details="Uses the user's effective settings, even if the integration is disabled.",
        path={"integration_type": "TEST"},
        parameters=(_IDEMPOTENCY_KEY,),
        responses=(
            Response(
                status=202,
                description="The test message is stored and will be delivered.",
                schema="SendMessageResponse",
                example=_ACCEPTED,
                headers=("Location", "Idempotency-Replayed"),
            ),
        ),
    ),
    "get_request": Operation(
        tag="Messages",
        details=(
            "Also returns requests without any delivery. A key of a service with the scope "
            "`dispatch:send` can follow its own requests this way."
        ),
        responses=(
            Response(
                status=200,
                description="The request with its deliveries.",
                schema="RequestResponse",
                example=_REQUEST,
            ),
        ),
    ),
    "list_deliveries": Operation(
        tag="Deliveries",
        details=(
            "An accepted delivery appears immediately. Paginate with `cursor`, whose cost is "
            "constant, or with `offset`, whose cost grows with its value."
        ),
        parameters=(
            _LIMIT,
            _number("The number of deliveries to skip; not with `cursor`.", history.OFFSET),
            Parameter(
                name="cursor", description="The `next_cursor` of the previous page.", schema=_CURSOR
            ),
            Parameter(
                name="status",
                description="The status of the returned deliveries.",
                schema={"type": "string", "enum": [str(one) for one in Status]},
            ),
            Parameter(
                name="integration_type",
                description="The integration of the returned deliveries, in any case.",
                schema={"type": "string", "enum": [*catalogue()]},
            ),
            Parameter(
                name="request_id",
                description="The request of the returned deliveries.",
                schema=_REQUEST_ID,
            ),
        ),
        responses=(
            Response(
                status=200,
                description="A page of deliveries.",
                schema="ListDeliveriesResponse",
                example={
                    "user_id": USER,
                    "deliveries": [_DELIVERY],
                    "limit": 50,
                    "offset": 0,
                    "next_cursor": None,
                },
            ),
        ),
    ),
    "get_delivery": Operation(
        tag="Deliveries",
        responses=(
            Response(
                status=200,
                description="The delivery with its attempts.",
                schema="DeliveryDetailResponse",
                example=_DELIVERY | {"attempt_log": [_ATTEMPT]},
            ),
        ),
    ),
    "cancel_delivery": Operation(
        tag="Deliveries",
        details="Returns 409 if the delivery is not pending or a worker is attempting it.",
        responses=(
            Response(
                status=200,
                description="The cancelled delivery.",
                schema="DeliveryDetailResponse",
                example=_CANCELLED,
            ),
        ),
        conflict=True,
    ),
    "retry_delivery": Operation(
        tag="Deliveries",
        details="Returns 409 unless the delivery has failed.",
        responses=(
            Response(
                status=202,
                description="The new round.",
                schema="RetryResponse",
                example={"delivery_id": DELIVERY_ID, "round": 2, "status": "pending"},
            ),
        ),
        conflict=True,
    ),
    "get_integration_defaults": Operation(
        tag="Configuration",
        details="A changed default applies immediately to all users who did not override it.",
        responses=(
            Response(
                status=200,
                description="The system defaults.",
                schema="DefaultsResponse",
                example={"default_integrations": {"TEST": _TEST}},
            ),
        ),
    ),
    "get_effective_configuration": Operation(
        tag="Configuration",
        details=(
            "Each field is the user's, else the operator's, else the built-in one; `config` is "
            "merged key by key."
        ),
        responses=(
            Response(
                status=200,
                description="The effective configuration.",
                schema="EffectiveConfigurationResponse",
                example={
                    "user_id": USER,
                    "user_overrides": {"TEST": {"enabled": True, "priority": 1}},
                    "effective_configs": {"TEST": _TEST | {"priority": 1}},
                    "disabled_integrations": {"SMS": "disabled_by_default"},
                    "using_integration_defaults": False,
                },
            ),
        ),
    ),
    "reset_overrides": Operation(
        tag="Configuration",
        details="Succeeds for a user without overrides. The delivery history is kept.",
        responses=(
            Response(
                status=200,
                description="The integrations whose overrides were removed.",
                schema="ResetResponse",
                example={
                    "user_id": USER,
                    "removed": ["EMAIL"],
                    "using_integration_defaults": True,
                },
            ),
        ),
    ),
    "list_overrides": Operation(
        tag="Configuration",
        responses=(
            Response(
                status=200,
                description="The user's overrides.",
                schema="ListOverridesResponse",
                example={"user_id": USER, "integrations": [_OVERRIDE]},
            ),
        ),
    ),
    "create_override": Operation(
        tag="Configuration",
        details=(
            "Missing fields follow the system defaults, except `enabled`, which is true if it is "
            "missing. Returns 409 if the override exists. Only the response to a new WEBHOOK "
            "override contains the `signing_secret`."
        ),
        body="CreateOverrideRequest",
        examples={
            "email": Example(
                summary="Email to another address, with the highest priority and more retries",
                body={
                    "integration_type": "EMAIL",
                    "enabled": True,
                    "priority": 1,
                    "retry_count": 5,
                    "retry_delay_seconds": 30,
                    "config": {"email_address": "john.doe@company.com", "format": "html"},
                },
            ),
            "slack": Example(
                summary="Slack direct messages in threads",
                body={
                    "integration_type": "SLACK",
                    "config": {"user_email": "john.doe@company.com", "thread_replies": True},
                },
            ),
            "webhook": Example(
                summary="Signed webhooks to the user's own system",
                body={
                    "integration_type": "WEBHOOK",
                    "config": {
                        "url": "https://hooks.example.com/notifications",
                        "headers": {"Authorization": "Bearer 6f1d-example"},
                    },
                },
            ),
            "sms": Example(
                summary="Text messages",
                body={
                    "integration_type": "SMS",
                    "config": {"phone_number": "+14155552671", "sender_id": "Helpdesk"},
                },
            ),
            "test": Example(
                summary="A rehearsal: two attempts fail, the third succeeds",
                body={
                    "integration_type": "TEST",
                    "retry_count": 2,
                    "retry_delay_seconds": 1,
                    "config": {"failure": "transient", "fail_attempts": 2},
                },
            ),
            "cli": Example(
                summary="No messages in the terminal",
                body={"integration_type": "CLI", "enabled": False},
            ),
            "tool": Example(
                summary="Events for one tool only",
                body={"integration_type": "TOOL", "config": {"tool_id": "ticket-sync"}},
            ),
        },
        responses=(
            Response(
                status=201,
                description="The new override.",
                schema="CreatedOverrideResponse",
                example=_OVERRIDE,
                headers=("Location",),
            ),
        ),
        conflict=True,
    ),
    "get_override": Operation(
        tag="Configuration",
        responses=(
            Response(
                status=200,
                description="The override.",
                schema="OverrideResponse",
                example=_OVERRIDE,
            ),
        ),
    ),
    "update_override": Operation(
        tag="Configuration",
        details=(
            "An explicit null restores the default of a setting. `config` replaces the override's "
            "whole config; a secret that is sent as `***` keeps its value."
        ),
        body="UpdateOverrideRequest",
        examples={
            "mute": Example(summary="Opt out of this integration", body={"enabled": False}),
            "retry": Example(
                summary="More retries at longer intervals",
                body={"retry_count": 8, "retry_delay_seconds": 600},
            ),
            "restore": Example(summary="The default priority", body={"priority": None}),
            "config": Example(
                summary="Plain text to another address (EMAIL)",
                body={"config": {"email_address": "jd@company.com", "format": "text"}},
            ),
        },
        responses=(
            Response(
                status=200,
                description="The changed override.",
                schema="OverrideResponse",
                example=_OVERRIDE,
            ),
        ),
        conflict=True,
    ),
    "delete_override": Operation(
        tag="Configuration",
        responses=(Response(status=204, description="The override is deleted."),),
    ),
    "rotate_secret": Operation(
        tag="Configuration",
        details="The previous secret also signs for 24 hours.",
        path={"integration_type": "WEBHOOK"},
        only={"integration_type": ("WEBHOOK",)},
        responses=(
            Response(
                status=200,
                description="The new secret.",
                schema="RotatedSecretResponse",
                example={
                    "signing_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                    "previous_valid_until": "2026-11-24T09:30:00.000Z",
                },
            ),
        ),
        conflict=True,
    ),
    "list_messages": Operation(
        tag="Mailbox",
        details="Messages are kept for 30 days or until they are acknowledged.",
        parameters=(
            Parameter(
                name="integration_type",
                description=f"The mailbox, in any case. Default: {mailbox.TYPES[0]}.",
                schema={"type": "string", "enum": [*mailbox.TYPES]},
            ),
            Parameter(
                name="after", description="The `next_cursor` of the previous page.", schema=_CURSOR
            ),
            _LIMIT,
        ),
        responses=(
            Response(
                status=200,
                description="A page of messages.",
                schema="ListMessagesResponse",
                example={
                    "user_id": USER,
                    "integration_type": "CLI",
                    "messages": [
                        {
                            "message_id": MESSAGE_ID,
                            "integration_type": "CLI",
                            "delivery_id": MESSAGE_ID,
                            "request_id": REQUEST_ID,
                            "session_id": "session-7",
                            "agent_id": "it-agent",
                            "subject": "Ticket 42",
                            "content": "Hello **John**, your laptop is ready.",
                            "created_at": TIME,
                        }
                    ],
                    "limit": 50,
                    "next_cursor": None,
                },
            ),
        ),
    ),
    "delete_message": Operation(
        tag="Mailbox",
        responses=(Response(status=204, description="The message is removed."),),
    ),
    "get_health": Operation(
        tag="Service",
        details="Requires no credential. The probes are cached for 60 seconds.",
        responses=(
            Response(
                status=200,
                description="The service works; with `degraded`, an integration fails.",
                schema="HealthResponse",
                example=_HEALTH,
            ),
            Response(
                status=503,
                description="No message can be accepted or delivered.",
                schema="HealthResponse",
                example=_HEALTH | {"status": "unhealthy", "detail": "cannot reach DeliveryQueue"},
                headers=("Retry-After",),
            ),
        ),
    ),
    "get_openapi": Operation(
        tag="Service",
        details="Returns 404 if the operator set `PublicDocs=false`.",
        responses=(
            Response(
                status=200,
                description="An OpenAPI 3.1 document.",
                schema="OpenApiDocument",
                example={"openapi": "3.1.0", "info": {}, "paths": {}},
            ),
        ),
    ),
    "get_docs": Operation(
        tag="Service",
        details="Returns 404 if the operator set `PublicDocs=false`.",
        responses=(
            Response(
                status=200,
                description="An HTML page that loads nothing from other hosts.",
                schema="HtmlPage",
                example="<!DOCTYPE html>…",
                content_type="text/html; charset=utf-8",
            ),
        ),
    ),
}


def _with_each_type(examples: Mapping[str, Example]) -> Mapping[str, Example]:
    """Add an example for each integration that has none: an opt-out is valid for any."""
    opt_outs = {
        name.lower(): Example(
            summary=f"Opt out of {name}", body={"integration_type": name, "enabled": False}
        )
        for name in catalogue()
        if name.lower() not in examples
    }
    return {**examples, **opt_outs}


OPERATIONS["create_override"] = replace(
    OPERATIONS["create_override"],
    examples=_with_each_type(OPERATIONS["create_override"].examples),
)
