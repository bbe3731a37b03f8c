"""The one list of routes: the template, the handlers and the answer to a wrong verb agree on it."""

from __future__ import annotations

from typing import NamedTuple

_USER = "/api/v1/users/{user_id}"


class Route(NamedTuple):
    """One verb on one path, and the folder of ``functions`` that answers it."""

    method: str
    path: str
    function: str


ROUTES = (
    Route("GET", "/health", "get_health"),
    Route("GET", "/openapi.json", "get_openapi"),
    Route("GET", "/docs", "get_docs"),
    Route("GET", "/api/v1/integration-defaults", "get_integration_defaults"),
    Route("GET", f"{_USER}/integration-defaults", "get_effective_configuration"),
    Route("POST", f"{_USER}/integration-defaults/reset", "reset_overrides"),
    Route("GET", f"{_USER}/integrations", "list_overrides"),
    Route("POST", f"{_USER}/integrations", "create_override"),
    Route("GET", f"{_USER}/integrations/{{integration_type}}", "get_override"),
    Route("PUT", f"{_USER}/integrations/{{integration_type}}", "update_override"),
    Route("DELETE", f"{_USER}/integrations/{{integration_type}}", "delete_override"),
    Route("POST", f"{_USER}/integrations/{{integration_type}}/test", "test_integration"),
    # Not .../WEBHOOK/...: beside {integration_type}, API Gateway would look for GET, PUT and DELETE
    # of WEBHOOK under the literal segment alone, and find none.
    Route("POST", f"{_USER}/integrations/{{integration_type}}/rotate-secret", "rotate_secret"),
    Route("POST", f"{_USER}/deliveries", "send_message"),
    Route("GET", f"{_USER}/deliveries", "list_deliveries"),
    Route("GET", f"{_USER}/deliveries/{{delivery_id}}", "get_delivery"),
    Route("POST", f"{_USER}/deliveries/{{delivery_id}}/retry", "retry_delivery"),
    Route("DELETE", f"{_USER}/deliveries/{{delivery_id}}", "cancel_delivery"),
    Route("GET", f"{_USER}/messages", "list_messages"),
    Route("DELETE", f"{_USER}/messages/{{message_id}}", "delete_message"),
)


def allowed(path: str) -> tuple[str, ...]:
    """Return the verbs that a path or a path's template answers, none for an unknown one."""
    asked = path.split("/")
    return tuple(sorted({route.method for route in ROUTES if _leads(route.path.split("/"), asked)}))


def _leads(template: list[str], asked: list[str]) -> bool:
    return len(template) == len(asked) and all(
        segment == part or (segment.startswith("{") and part != "")
        for segment, part in zip(template, asked, strict=True)
    )
