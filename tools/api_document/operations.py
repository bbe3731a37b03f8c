"""The parts of each operation that no code declares: group, statuses and parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal, NamedTuple

from dispatcher import paging
from dispatcher.delivery.rows import Status
from dispatcher.identifiers import CATEGORY as CATEGORY_PATTERN
from dispatcher.identifiers import DELIVERY_ID as DELIVERY_ID_PATTERN
from dispatcher.identifiers import REQUEST_ID as REQUEST_ID_PATTERN
from dispatcher.integrations import catalogue
from dispatcher.integrations.rules import whole
from dispatcher.messages import history, mailbox

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


@dataclass(frozen=True)
class Operation:
    """The declared parts of one operation; the rest comes from its handler."""

    tag: str
    response: Response
    _: KW_ONLY
    body: str | None = None
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
    schema = {"type": "integer", "minimum": parameter.range.low, "maximum": parameter.range.high}
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
        body="SendMessageRequest",
        parameters=(_IDEMPOTENCY_KEY,),
    ),
    "test_integration": Operation(
        "Messages",
        Response(
            "SendMessageResponse",
            "The test message is stored and will be delivered.",
            202,
            ("Location", "Idempotency-Replayed"),
        ),
        path={"integration_type": "TEST"},
        parameters=(_IDEMPOTENCY_KEY,),
    ),
    "get_request": Operation(
        "Messages", Response("RequestResponse", "The request with its deliveries.")
    ),
    "list_deliveries": Operation(
        "Deliveries",
        Response("ListDeliveriesResponse", "A page of deliveries."),
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
        "Deliveries", Response("DeliveryDetailResponse", "The cancelled delivery."), conflict=True
    ),
    "retry_delivery": Operation(
        "Deliveries",
        Response("RetryResponse", "The new round.", 202),
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
        "Configuration", Response("DefaultsResponse", "The system defaults.")
    ),
    "get_effective_configuration": Operation(
        "Configuration",
        Response("EffectiveConfigurationResponse", "The effective configuration."),
        parameters=(_CATEGORY_OF_MESSAGE,),
    ),
    "reset_overrides": Operation(
        "Configuration", Response("ResetResponse", "The integrations whose overrides were removed.")
    ),
    "list_overrides": Operation(
        "Configuration", Response("ListOverridesResponse", "The user's overrides.")
    ),
    "create_override": Operation(
        "Configuration",
        Response("CreatedOverrideResponse", "The new override.", 201, ("Location",)),
        body="CreateOverrideRequest",
        conflict=True,
    ),
    "get_override": Operation("Configuration", Response("OverrideResponse", "The override.")),
    "update_override": Operation(
        "Configuration",
        Response("OverrideResponse", "The changed override."),
        body="UpdateOverrideRequest",
        conflict=True,
    ),
    "delete_override": Operation("Configuration", Response(None, "The override is deleted.", 204)),
    "rotate_secret": Operation(
        "Configuration",
        Response("RotatedSecretResponse", "The new secret."),
        path={"integration_type": "WEBHOOK"},
        only={"integration_type": ("WEBHOOK",)},
        conflict=True,
    ),
    "list_suppressions": Operation(
        "Configuration", Response("ListSuppressionsResponse", "The suppressed addresses.")
    ),
    "delete_suppression": Operation(
        "Configuration", Response(None, "The suppression is deleted.", 204)
    ),
    "list_categories": Operation("Preferences", Response("CategoriesResponse", "The categories.")),
    "put_category": Operation(
        "Preferences",
        Response("CategoryResponse", "The replaced category."),
        body="PutCategoryRequest",
        alternative=Response("CategoryResponse", "The new category.", 201),
        conflict=True,
    ),
    "delete_category": Operation(
        "Preferences", Response(None, "The category is deleted.", 204), conflict=True
    ),
    "get_preferences": Operation(
        "Preferences", Response("PreferencesResponse", "The preferences.", headers=("ETag",))
    ),
    "update_preferences": Operation(
        "Preferences",
        Response("ChangedPreferencesResponse", "The changed preferences.", headers=("ETag",)),
        body="UpdatePreferencesRequest",
        parameters=(
            Parameter(
                "If-Match",
                "The `ETag` that the preferences must still have.",
                {"type": "string"},
                "header",
            ),
        ),
        conflict=True,
        precondition=True,
    ),
    "delete_preferences": Operation(
        "Preferences", Response(None, "The preferences are deleted.", 204)
    ),
    "preview_message": Operation(
        "Preferences",
        Response("PreviewResponse", "The deliveries that a send would make."),
        body="PreviewRequest",
    ),
    "list_messages": Operation(
        "Mailbox",
        Response("ListMessagesResponse", "A page of messages."),
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
        alternative=Response(
            "HealthResponse", "No message can be accepted or delivered.", 503, ("Retry-After",)
        ),
    ),
    "get_openapi": Operation("Service", Response("OpenApiDocument", "An OpenAPI 3.1 document.")),
    "get_docs": Operation(
        "Service",
        Response(
            "HtmlPage",
            "An HTML page that loads nothing from other hosts.",
            content_type="text/html; charset=utf-8",
        ),
    ),
}
