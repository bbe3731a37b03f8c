"""The one list of routes, with the scopes that each requires.

The template, the handlers, the authorization and the 405 responses agree on it.
"""

from __future__ import annotations

from typing import NamedTuple

from dispatcher.access.policy import ADMIN, ANY, PREFERENCES, READ, SEND, WRITE

_USER = "/api/v1/users/{user_id}"
_TYPE = f"{_USER}/integrations/{{integration_type}}"
_CATEGORIES = "/api/v1/categories"


class Route(NamedTuple):
    """One method of one path, and the folder of ``functions`` that serves it."""

    method: str
    path: str
    function: str
    scopes: tuple[str, ...] | None
    """The scopes of which a caller needs one; ``ANY`` if it needs only a credential, ``None`` if
    the route needs no credential."""


ROUTES = (
    Route("GET", "/health", "get_health", None),
    Route("GET", "/openapi.json", "get_openapi", None),
    Route("GET", "/docs", "get_docs", None),
    Route("GET", "/api/v1/overview", "get_overview", (ADMIN,)),
    Route("GET", "/api/v1/session", "get_session", ANY),
    Route("POST", "/api/v1/session", "create_session", None),
    Route("GET", "/api/v1/integration-defaults", "get_integration_defaults", (READ,)),
    Route("GET", _CATEGORIES, "list_categories", (READ, PREFERENCES)),
    Route("PUT", f"{_CATEGORIES}/{{category}}", "put_category", (ADMIN,)),
    Route("DELETE", f"{_CATEGORIES}/{{category}}", "delete_category", (ADMIN,)),
    Route("GET", f"{_USER}/preferences", "get_preferences", (READ, PREFERENCES)),
    Route("PUT", f"{_USER}/preferences", "update_preferences", (WRITE, PREFERENCES)),
    Route("DELETE", f"{_USER}/preferences", "delete_preferences", (WRITE,)),
    Route("POST", f"{_USER}/preferences-link", "create_preferences_link", (WRITE,)),
    Route("POST", f"{_USER}/preview", "preview_message", (READ, SEND, PREFERENCES)),
    Route("GET", f"{_USER}/integration-defaults", "get_effective_configuration", (READ,)),
    Route("POST", f"{_USER}/integration-defaults/reset", "reset_overrides", (WRITE,)),
    Route("GET", f"{_USER}/integrations", "list_overrides", (READ,)),
    Route("POST", f"{_USER}/integrations", "create_override", (WRITE,)),
    Route("GET", _TYPE, "get_override", (READ,)),
    Route("PUT", _TYPE, "update_override", (WRITE,)),
    Route("DELETE", _TYPE, "delete_override", (WRITE,)),
    Route("POST", f"{_TYPE}/test", "test_integration", (SEND,)),
    # With a literal WEBHOOK beside {integration_type}, API Gateway would search for GET, PUT and
    # DELETE of WEBHOOK only under the literal segment, and find none.
    Route("POST", f"{_TYPE}/rotate-secret", "rotate_secret", (WRITE,)),
    Route("GET", f"{_USER}/suppressions", "list_suppressions", (READ,)),
    Route("DELETE", f"{_USER}/suppressions/{{suppression_id}}", "delete_suppression", (WRITE,)),
    Route("POST", f"{_USER}/deliveries", "send_message", (SEND,)),
    Route("GET", f"{_USER}/deliveries", "list_deliveries", (READ,)),
    Route("POST", f"{_USER}/deliveries/recover", "recover_deliveries", (SEND,)),
    Route("GET", f"{_USER}/deliveries/{{delivery_id}}", "get_delivery", (READ,)),
    Route("POST", f"{_USER}/deliveries/{{delivery_id}}/retry", "retry_delivery", (SEND,)),
    Route("DELETE", f"{_USER}/deliveries/{{delivery_id}}", "cancel_delivery", (SEND,)),
    Route("GET", f"{_USER}/requests/{{request_id}}", "get_request", (READ, SEND)),
    Route("GET", f"{_USER}/messages", "list_messages", (READ,)),
    Route("DELETE", f"{_USER}/messages/{{message_id}}", "delete_message", (WRITE,)),
)

PAGES = (
    Route("GET", "/console", "get_console", None),
    Route("GET", "/console/{proxy+}", "get_console", None),
    Route("GET", "/p/{token}", "get_console", None),
    Route("GET", "/u/{token}", "show_unsubscribe", None),
    Route("HEAD", "/u/{token}", "show_unsubscribe", None),
    Route("POST", "/u/{token}", "unsubscribe", None),
    Route("GET", "/", "get_console", None),
)
"""Pages for people, which are no operations of the API: its description does not list them."""

FALLBACK = Route("ANY", "/{proxy+}", "refuse_request", None)
"""All other requests. They pass the authorizer and require no scope."""


def scopes(method: str, path: str) -> tuple[str, ...] | None:
    """Return the scopes of a route; ``ValueError`` for a route that is not in the list."""
    [found] = [route for route in (*ROUTES, *PAGES, FALLBACK) if route[:2] == (method, path)]
    return found.scopes


def allowed(path: str) -> tuple[str, ...]:
    """Return the verbs that a path or a path's template accepts, none for an unknown one."""
    asked = path.split("/")
    every = (*ROUTES, *PAGES)
    found = [route for route in every if _leads(route.path.split("/"), asked)]
    # As in API Gateway, a path with fewer parameters hides the others: no delivery is "recover".
    fewest = min((route.path.count("{") for route in found), default=0)
    return tuple(sorted({route.method for route in found if route.path.count("{") == fewest}))


def _leads(template: list[str], asked: list[str]) -> bool:
    if template[-1] == "{proxy+}":
        # One segment or more.
        asked = [*asked[: len(template) - 1], "/".join(asked[len(template) - 1 :])]
    return len(template) == len(asked) and all(
        segment == part or (segment.startswith("{") and part != "")
        for segment, part in zip(template, asked, strict=True)
    )
