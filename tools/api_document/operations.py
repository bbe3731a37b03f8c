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


class Parameter(NamedTuple):
    """A query parameter or a header of a request."""

    name: str
    description: str
    schema: Mapping[str, Any]
    place: Literal["query", "header"] = "query"


class Response(NamedTuple):
    """A response that is not a problem; without ``schema`` it has no body."""

    description: str
    schema: str | None = None
    status: int = 200
    headers: tuple[str, ...] = ()
    content_type: str = "application/json"


@dataclass(frozen=True)
class Operation:
    """The declared parts of one operation; the rest comes from its handler."""

    response: Response
    _: KW_ONLY
    body: str | None = None
    parameters: tuple[Parameter, ...] = ()
    path: Mapping[str, str] = field(default_factory=dict)
    """Examples of path parameters that differ from the common ones."""
    only: Mapping[str, str] = field(default_factory=dict)
    """The only values of path parameters."""
    conflict: bool = False
    precondition: bool = False
    not_found: bool = False
    """Whether 404 is possible although the path names nothing that may be missing."""
    alternative: Response | None = None
    """A second response that is not a problem."""


class Tag(NamedTuple):
    """A group of operations, by the folders of their functions."""

    description: str
    operations: Mapping[str, Operation]


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
    "Idempotency-Key",
    "The idempotency key, another way to set `request_id`. A repeated request gets the same "
    "response, and nothing is sent twice.",
    _REQUEST_ID,
    "header",
)
_SENT = ("SendMessageResponse", 202, ("Location", "Idempotency-Replayed"))

_MESSAGES = {
    "send_message": Operation(
        Response("The message is stored and will be delivered.", *_SENT),
        body="SendMessageRequest",
        parameters=(_IDEMPOTENCY_KEY,),
    ),
    "test_integration": Operation(
        Response("The test message is stored and will be delivered.", *_SENT),
        path={"integration_type": "TEST"},
        parameters=(_IDEMPOTENCY_KEY,),
    ),
    "get_request": Operation(Response("The request with its deliveries.", "RequestResponse")),
}

_DELIVERIES = {
    "list_deliveries": Operation(
        Response("A page of deliveries.", "ListDeliveriesResponse"),
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
        Response("The delivery with its attempts.", "DeliveryDetailResponse")
    ),
    "cancel_delivery": Operation(
        Response("The cancelled delivery.", "DeliveryDetailResponse"), conflict=True
    ),
    "recover_deliveries": Operation(
        Response("The new rounds.", "RecoverResponse", 202),
        body="RecoverRequest",
        alternative=Response("The deliveries that a call would open.", "RecoverResponse"),
    ),
    "retry_delivery": Operation(
        Response("The new round.", "RetryResponse", 202),
        parameters=(
            Parameter(
                "now",
                "Whether the round ignores hours and mutes. Default: false.",
                _enum(("true", "false")),
            ),
        ),
        conflict=True,
    ),
}

_CONFIGURATION = {
    "get_integration_defaults": Operation(Response("The system defaults.", "DefaultsResponse")),
    "get_effective_configuration": Operation(
        Response("The effective configuration.", "EffectiveConfigurationResponse"),
        parameters=(
            Parameter(
                "category",
                "The category of the messages. Default: messages without a category.",
                {"type": "string", **whole(CATEGORY_PATTERN.pattern)},
            ),
        ),
    ),
    "reset_overrides": Operation(
        Response("The integrations whose overrides were removed.", "ResetResponse")
    ),
    "list_overrides": Operation(Response("The user's overrides.", "ListOverridesResponse")),
    "create_override": Operation(
        Response("The new override.", "CreatedOverrideResponse", 201, ("Location",)),
        body="CreateOverrideRequest",
        conflict=True,
    ),
    "get_override": Operation(Response("The override.", "OverrideDetailResponse")),
    "update_override": Operation(
        Response("The changed override.", "OverrideResponse"),
        body="UpdateOverrideRequest",
        conflict=True,
    ),
    "delete_override": Operation(Response("The override is deleted.", status=204)),
    "rotate_secret": Operation(
        Response("The new secret.", "RotatedSecretResponse"),
        only={"integration_type": "WEBHOOK"},
        conflict=True,
    ),
    "list_suppressions": Operation(
        Response("The suppressed addresses.", "ListSuppressionsResponse")
    ),
    "delete_suppression": Operation(Response("The suppression is deleted.", status=204)),
}

_PREFERENCES = {
    "list_categories": Operation(Response("The categories.", "CategoriesResponse")),
    "put_category": Operation(
        Response("The replaced category.", "CategoryResponse"),
        body="PutCategoryRequest",
        alternative=Response("The new category.", "CategoryResponse", 201),
        conflict=True,
    ),
    "delete_category": Operation(Response("The category is deleted.", status=204), conflict=True),
    "get_preferences": Operation(
        Response("The preferences.", "PreferencesResponse", headers=("ETag",))
    ),
    "update_preferences": Operation(
        Response("The changed preferences.", "ChangedPreferencesResponse", headers=("ETag",)),
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
    "delete_preferences": Operation(Response("The preferences are deleted.", status=204)),
    "preview_message": Operation(
        Response("The deliveries that a send would make.", "PreviewResponse"),
        body="PreviewRequest",
    ),
}

_MAILBOX = {
    "list_messages": Operation(
        Response("A page of messages.", "ListMessagesResponse"),
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
    "delete_message": Operation(Response("The message is removed.", status=204)),
}

_SESSIONS = {
    "get_session": Operation(Response("The rights of the credential.", "SessionResponse")),
    "create_session": Operation(
        Response("The session has started.", "StartedSessionResponse", 201),
        body="StartSessionRequest",
        not_found=True,
    ),
    "create_preferences_link": Operation(
        Response("The link.", "PreferencesLinkResponse", 201),
        body="PreferencesLinkRequest",
        not_found=True,
    ),
}

_SERVICE = {
    "get_overview": Operation(Response("The numbers of the system.", "OverviewResponse")),
    "get_health": Operation(
        Response("The service works; with `degraded`, an integration fails.", "HealthResponse"),
        alternative=Response(
            "No message can be accepted or delivered.", "HealthResponse", 503, ("Retry-After",)
        ),
    ),
    "get_openapi": Operation(Response("An OpenAPI 3.1 document.", "OpenApiDocument")),
    "get_docs": Operation(
        Response(
            "An HTML page that loads nothing from other hosts.",
            "HtmlPage",
            content_type="text/html; charset=utf-8",
        ),
    ),
}

TAGS = {
    "Messages": Tag("Send a message to a user and follow the request.", _MESSAGES),
    "Deliveries": Tag("Read, retry and cancel deliveries.", _DELIVERIES),
    "Configuration": Tag(
        "Read the system defaults; read and change users' overrides.", _CONFIGURATION
    ),
    "Preferences": Tag(
        "Read and change categories of messages, and users' hours, mutes and choices.",
        _PREFERENCES,
    ),
    "Mailbox": Tag("Read and acknowledge messages that CLI and TEST delivered.", _MAILBOX),
    "Sessions": Tag(
        "Read the rights of a credential; make and open links to preferences.", _SESSIONS
    ),
    "Service": Tag("Read the state and the documentation of the service.", _SERVICE),
}

OPERATIONS = {
    function: operation for tag in TAGS.values() for function, operation in tag.operations.items()
}
"""By the folder of the function, in the order of the document."""
