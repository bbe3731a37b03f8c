"""What no code says of each operation: its group, its answers and examples of all it takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from dispatcher import paging
from dispatcher.delivery.rows import Status
from dispatcher.identifiers import REQUEST_ID
from dispatcher.integrations import catalogue
from dispatcher.integrations.rules import whole
from dispatcher.messages import history, mailbox

if TYPE_CHECKING:
    from collections.abc import Mapping

USER = "john.doe"
DELIVERY_ID = "019ab2c4-7d10-7c3e-9b1f-2a6d8e4f5c70"
MESSAGE_ID = "019ab2c4-8e21-7a4f-8c20-3b7e9f506d81"
TIME = "2026-11-23T09:30:00.000Z"

TAGS = {
    "Messages": "Send a message to a user, over whatever this user has switched on.",
    "Deliveries": "What became of messages: every delivery and every attempt.",
    "Configuration": "The defaults of the system, and what each user wants different.",
    "Mailbox": "Messages that wait for a terminal (CLI) or a test (TEST) to fetch them.",
    "Service": "The service itself.",
}


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """What a request says beside its body."""

    name: str
    description: str
    schema: Mapping[str, Any]
    place: Literal["query", "header"] = "query"
    example: str | int | None = None


@dataclass(frozen=True, kw_only=True)
class Response:
    """An answer that is no problem; without ``schema`` it has no body."""

    status: int
    says: str
    schema: str | None = None
    example: Mapping[str, Any] | str | None = None
    headers: tuple[str, ...] = ()
    content_type: str = "application/json"


@dataclass(frozen=True, kw_only=True)
class Example:
    """A body that works when it is pasted."""

    says: str
    body: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What is known of one operation beyond its handler."""

    tag: str
    answers: tuple[Response, ...]
    more: str = ""
    body: str | None = None
    examples: Mapping[str, Example] = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    path: Mapping[str, str] = field(default_factory=dict)
    """Other examples of path parameters than the usual ones."""
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The values of path parameters that the operation knows, where it does not know all."""
    conflict: bool = False


def _number(name: str, description: str, allowed: paging.Range) -> Parameter:
    low, high, default = allowed
    schema = {"type": "integer", "minimum": low, "maximum": high, "default": default}
    return Parameter(name=name, description=description, schema=schema)


_LIMIT = _number("limit", "The most that a page holds.", paging.LIMIT)
_CURSOR = {"type": "string", "maxLength": 64}
_REQUEST_ID = {"type": "string", **whole(REQUEST_ID.pattern)}
_IDEMPOTENCY_KEY = Parameter(
    name="Idempotency-Key",
    description=(
        "Makes the request safe to repeat: the same key again gets the same answer, and nothing is "
        "sent twice. Another way to give `request_id`."
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
    "request_id": "laptop-42-ready",
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
    "request_id": "laptop-42-ready",
    "session_id": "session-7",
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
_HEALTH = {
    "status": "healthy",
    "service": "integration-dispatcher",
    "version": "1.0.0",
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

#: By the folder of the function that answers, in the order in which they are best read.
OPERATIONS: dict[str, Operation] = {
    "send_message": Operation(
        tag="Messages",
        more=(
            "It is delivered over every integration that is enabled for the user, in order of "
            "priority, and retried as the user's settings say. With a `request_id` (or the header "
            "`Idempotency-Key`) it is safe to send again."
        ),
        body="SendBody",
        parameters=(_IDEMPOTENCY_KEY,),
        examples={
            "short": Example(
                says="Just a text", body={"content": "Your laptop is ready for pick-up."}
            ),
            "safe_to_repeat": Example(
                says="With a name of the caller's own and variables",
                body={
                    "request_id": "laptop-42-ready",
                    "session_id": "session-7",
                    "agent_id": "it-agent",
                    "subject": "Ticket $ticket",
                    "content": "Hello **$name**, your laptop is ready.",
                    "template_variables": {"name": "John", "ticket": 42},
                },
            ),
            "one_of_two": Example(
                says="Over the first of two integrations that works",
                body={
                    "content": "The build is broken.",
                    "integration_types": ["TEST", "CLI"],
                    "mode": "first_success",
                },
            ),
            "addressed": Example(
                says="With addresses for this message",
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
        answers=(
            Response(
                status=202,
                says="The message is stored and will be delivered.",
                schema="Accepted",
                example=_ACCEPTED,
                headers=("Location", "Idempotency-Replayed"),
            ),
        ),
    ),
    "test_integration": Operation(
        tag="Messages",
        more="The message says that it is a test. It uses the user's effective settings.",
        path={"integration_type": "TEST"},
        parameters=(_IDEMPOTENCY_KEY,),
        answers=(
            Response(
                status=202,
                says="The test message will be delivered.",
                schema="Accepted",
                example=_ACCEPTED,
                headers=("Location", "Idempotency-Replayed"),
            ),
        ),
    ),
    "list_deliveries": Operation(
        tag="Deliveries",
        more=(
            "An accepted delivery is there at once. Page on with `cursor`; `offset` is for jumping "
            "to a page, and costs more the deeper it is."
        ),
        parameters=(
            _LIMIT,
            _number("offset", "How many to skip; not with `cursor`.", history.OFFSET),
            Parameter(
                name="cursor", description="The `next_cursor` of the page before.", schema=_CURSOR
            ),
            Parameter(
                name="status",
                description="Only those that stand so.",
                schema={"type": "string", "enum": [str(one) for one in Status]},
            ),
            Parameter(
                name="integration_type",
                description="Only those over this integration.",
                schema={"type": "string", "enum": [*catalogue()]},
            ),
            Parameter(
                name="request_id", description="Only those of this request.", schema=_REQUEST_ID
            ),
        ),
        answers=(
            Response(
                status=200,
                says="A page of deliveries.",
                schema="Deliveries",
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
        answers=(
            Response(
                status=200,
                says="The delivery with its attempts.",
                schema="DetailedDelivery",
                example=_DELIVERY | {"attempt_log": [_ATTEMPT]},
            ),
        ),
    ),
    "cancel_delivery": Operation(
        tag="Deliveries",
        more="Only a delivery that is pending, and that no worker has taken yet, can be cancelled.",
        answers=(
            Response(
                status=200,
                says="The delivery, which will not be made.",
                schema="DetailedDelivery",
                example=_CANCELLED,
            ),
        ),
        conflict=True,
    ),
    "retry_delivery": Operation(
        tag="Deliveries",
        more="Only a delivery that has failed can be retried.",
        answers=(
            Response(
                status=202,
                says="The delivery is tried again.",
                schema="OpenedRound",
                example={"delivery_id": DELIVERY_ID, "round": 2, "status": "pending"},
            ),
        ),
        conflict=True,
    ),
    "get_integration_defaults": Operation(
        tag="Configuration",
        more="They hold for every user who did not override them, at once when they change.",
        answers=(
            Response(
                status=200,
                says="The defaults of all integrations.",
                schema="IntegrationDefaults",
                example={"default_integrations": {"TEST": _TEST}},
            ),
        ),
    ),
    "get_effective_configuration": Operation(
        tag="Configuration",
        more=(
            "Field by field the user's setting counts, else the operator's, else the built-in one; "
            "`config` is merged key by key."
        ),
        answers=(
            Response(
                status=200,
                says="What a message would use now, and why it would use nothing else.",
                schema="EffectiveConfiguration",
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
        more="A user without overrides is reset already. The delivery history stays.",
        answers=(
            Response(
                status=200,
                says="The user follows the defaults again.",
                schema="Reset",
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
        answers=(
            Response(
                status=200,
                says="The user's overrides.",
                schema="Overrides",
                example={"user_id": USER, "integrations": [_OVERRIDE]},
            ),
        ),
    ),
    "create_override": Operation(
        tag="Configuration",
        more=(
            "Name only what the user wants different from the default; `enabled` is true unless "
            "you say otherwise. WEBHOOK's answer carries the `signing_secret`, this once."
        ),
        body="NewOverrideBody",
        examples={
            "email": Example(
                says="Mail to another address, first of all, and tried harder",
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
                says="Slack as a threaded direct message",
                body={
                    "integration_type": "SLACK",
                    "config": {"user_email": "john.doe@company.com", "thread_replies": True},
                },
            ),
            "webhook": Example(
                says="A signed request to a system of the user's own",
                body={
                    "integration_type": "WEBHOOK",
                    "config": {
                        "url": "https://hooks.example.com/notifications",
                        "headers": {"Authorization": "Bearer 6f1d-example"},
                    },
                },
            ),
            "sms": Example(
                says="Text messages",
                body={
                    "integration_type": "SMS",
                    "config": {"phone_number": "+14155552671", "sender_id": "Helpdesk"},
                },
            ),
            "test": Example(
                says="A rehearsal: two tries fail, the third succeeds",
                body={
                    "integration_type": "TEST",
                    "retry_count": 2,
                    "retry_delay_seconds": 1,
                    "config": {"failure": "transient", "fail_attempts": 2},
                },
            ),
            "cli": Example(
                says="No messages in the terminal",
                body={"integration_type": "CLI", "enabled": False},
            ),
            "tool": Example(
                says="Events for one tool only",
                body={"integration_type": "TOOL", "config": {"tool_id": "ticket-sync"}},
            ),
        },
        answers=(
            Response(
                status=201,
                says="The override as it is stored.",
                schema="NewOverride",
                example=_OVERRIDE,
                headers=("Location",),
            ),
        ),
        conflict=True,
    ),
    "get_override": Operation(
        tag="Configuration",
        answers=(Response(status=200, says="The override.", schema="Override", example=_OVERRIDE),),
    ),
    "update_override": Operation(
        tag="Configuration",
        more=(
            "An explicit null gives a setting back to the default. `config`, when given, replaces "
            "the override's whole config."
        ),
        body="ChangeBody",
        examples={
            "mute": Example(says="No more messages over this integration", body={"enabled": False}),
            "retry": Example(
                says="More tries, further apart",
                body={"retry_count": 8, "retry_delay_seconds": 600},
            ),
            "give_back": Example(says="The default priority again", body={"priority": None}),
            "config": Example(
                says="Plain text to another address (EMAIL)",
                body={"config": {"email_address": "jd@company.com", "format": "text"}},
            ),
        },
        answers=(
            Response(
                status=200, says="The override as it is now.", schema="Override", example=_OVERRIDE
            ),
        ),
        conflict=True,
    ),
    "delete_override": Operation(
        tag="Configuration",
        answers=(Response(status=204, says="The override is gone; the default holds again."),),
    ),
    "rotate_secret": Operation(
        tag="Configuration",
        more="For 24 hours requests are signed with both secrets, so that the receiver can follow.",
        path={"integration_type": "WEBHOOK"},
        only={"integration_type": ("WEBHOOK",)},
        answers=(
            Response(
                status=200,
                says="The new secret, shown this once.",
                schema="RotatedSecret",
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
        more="They stay for 30 days, or until they are acknowledged.",
        parameters=(
            Parameter(
                name="integration_type",
                description="The mailbox.",
                schema={
                    "type": "string",
                    "enum": [*mailbox.TYPES],
                    "default": mailbox.TYPES[0],
                },
            ),
            Parameter(
                name="after", description="The `next_cursor` of the page before.", schema=_CURSOR
            ),
            _LIMIT,
        ),
        answers=(
            Response(
                status=200,
                says="A page of messages.",
                schema="Messages",
                example={
                    "user_id": USER,
                    "integration_type": "CLI",
                    "messages": [
                        {
                            "message_id": MESSAGE_ID,
                            "integration_type": "CLI",
                            "delivery_id": MESSAGE_ID,
                            "request_id": "laptop-42-ready",
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
        answers=(Response(status=204, says="The message has left the mailbox."),),
    ),
    "get_health": Operation(
        tag="Service",
        more="Nobody needs a credential to ask. What it tells may be a minute old.",
        answers=(
            Response(
                status=200,
                says="The service works; `degraded` names integrations that do not.",
                schema="Health",
                example=_HEALTH,
            ),
            Response(
                status=503,
                says="Nothing can be accepted or delivered.",
                schema="Health",
                example=_HEALTH | {"status": "unhealthy", "detail": "cannot reach DeliveryQueue"},
                headers=("Retry-After",),
            ),
        ),
    ),
    "get_openapi": Operation(
        tag="Service",
        more="Where the operator keeps the documentation private, it is not there.",
        answers=(
            Response(
                status=200,
                says="An OpenAPI 3.1 document.",
                schema="OpenApi",
                example={"openapi": "3.1.0", "info": {}, "paths": {}},
            ),
        ),
    ),
    "get_docs": Operation(
        tag="Service",
        more="Where the operator keeps the documentation private, it is not there.",
        answers=(
            Response(
                status=200,
                says="An HTML page that needs nothing from any other host.",
                schema="Page",
                example="<!DOCTYPE html>…",
                content_type="text/html; charset=utf-8",
            ),
        ),
    ),
}
