"""The parts of each response that this program reads: they tell a dispatcher from other servers.

A shape is a type (or a tuple of types); ``[shape]`` is a list of it; an object has at least the
named members, or, under ``"*"``, any members of one shape.
"""

from __future__ import annotations

from typing import Any

OPTIONAL_TEXT = (str, type(None))

OPTIONAL_OBJECT = (dict, type(None))

SETTINGS = {
    "enabled": bool,
    "priority": int,
    "retry_count": int,
    "retry_delay_seconds": int,
    "config": dict,
}
OVERRIDE = {"integration_type": str}
DELIVERY = {
    "delivery_id": str,
    "request_id": str,
    "subject": OPTIONAL_TEXT,
    "integration_type": str,
    "status": str,
    "round": int,
    "attempts": int,
    "max_attempts": int,
    "created_at": str,
    "last_attempt_at": OPTIONAL_TEXT,
    "delivered_at": OPTIONAL_TEXT,
    "next_attempt_at": OPTIONAL_TEXT,
    "error_code": OPTIONAL_TEXT,
    "locked": bool,
    "held": OPTIONAL_OBJECT,
    "receipt": OPTIONAL_OBJECT,
}
ATTEMPT = {
    "round": int,
    "number": int,
    "started_at": str,
    "duration_ms": (int, float, type(None)),
    "outcome": str,
    "code": OPTIONAL_TEXT,
}
DELIVERY_DETAIL = {
    **DELIVERY,
    "user_id": str,
    "session_id": OPTIONAL_TEXT,
    "priority": int,
    "first_attempt_at": OPTIONAL_TEXT,
    "error_message": OPTIONAL_TEXT,
    "metadata": dict,
    "attempt_log": [ATTEMPT],
}
SKIPPED = {"integration_type": str, "reason": str}
ACCEPTED = {
    "request_id": str,
    "user_id": str,
    "deliveries": [{"delivery_id": str, "integration_type": str, "status": str}],
    "skipped": [SKIPPED],
}
REQUEST = {
    "request_id": str,
    "user_id": str,
    "session_id": OPTIONAL_TEXT,
    "agent_id": OPTIONAL_TEXT,
    "subject": OPTIONAL_TEXT,
    "created_at": str,
    "deliver_at": OPTIONAL_TEXT,
    "expires_at": OPTIONAL_TEXT,
    "mode": str,
    "deliveries": [DELIVERY],
    "skipped": [SKIPPED],
}
PREVIEWED = {"integration_type": str, "locked": bool, "held": OPTIONAL_OBJECT}
CATEGORY = {
    "category": str,
    "title": str,
    "integrations": {"*": bool},
    "enabled": bool,
    "locked": bool,
    "urgent": bool,
    "reach_by": [str],
}
IN_EFFECT = {"*": {"enabled": bool, "reason": OPTIONAL_TEXT}}
PREFERENCES = {
    "user_id": str,
    "language": OPTIONAL_TEXT,
    "hours": OPTIONAL_OBJECT,
    "muted_until": OPTIONAL_TEXT,
    "categories": OPTIONAL_OBJECT,
    "updated_at": OPTIONAL_TEXT,
    "updated_via": OPTIONAL_TEXT,
    "version": str,
    "effective": {
        "time_zone": {"value": str, "source": str},
        "open_now": bool,
        "next_open_at": OPTIONAL_TEXT,
        "without_category": {"integrations": IN_EFFECT},
        "categories": [
            {
                "category": str,
                "enabled": bool,
                "locked": bool,
                "urgent": bool,
                "ignored": [str],
                "integrations": IN_EFFECT,
            }
        ],
    },
}
CHANGED_PREFERENCES = {**PREFERENCES, "rescheduled": {"deliveries": int, "complete": bool}}
SUPPRESSION = {
    "suppression_id": str,
    "integration_type": str,
    "state": str,
    "address": str,
    "at": str,
    "delivery_id": str,
    "detail": str,
}
MAILBOX_ITEM = {
    "message_id": str,
    "agent_id": OPTIONAL_TEXT,
    "subject": OPTIONAL_TEXT,
    "content": str,
    "created_at": str,
}
HEALTH = {
    "status": str,
    "service": str,
    "version": str,
    "integrations": {
        "*": {
            "configured": bool,
            "enabled_by_default": bool,
            "healthy": (bool, type(None)),
            "detail": str,
        }
    },
}
EFFECTIVE = {
    "user_id": str,
    "user_overrides": {"*": dict},
    "effective_configs": {"*": SETTINGS},
    "disabled_integrations": {"*": str},
}

_USER = ("api", "v1", "users", "*")
RESPONSES: tuple[tuple[str, tuple[str, ...], Any], ...] = (
    ("GET", ("health",), HEALTH),
    ("GET", ("api", "v1", "integration-defaults"), {"default_integrations": {"*": SETTINGS}}),
    ("GET", (*_USER, "integration-defaults"), EFFECTIVE),
    ("POST", (*_USER, "integration-defaults", "reset"), {"removed": [str]}),
    ("GET", (*_USER, "integrations"), {"user_id": str, "integrations": [OVERRIDE]}),
    ("POST", (*_USER, "integrations"), OVERRIDE),
    ("GET", (*_USER, "integrations", "*"), OVERRIDE),
    ("PUT", (*_USER, "integrations", "*"), OVERRIDE),
    ("POST", (*_USER, "integrations", "*", "test"), ACCEPTED),
    (
        "POST",
        (*_USER, "integrations", "*", "rotate-secret"),
        {"signing_secret": str, "previous_valid_until": str},
    ),
    (
        "GET",
        (*_USER, "deliveries"),
        {"user_id": str, "deliveries": [DELIVERY], "next_cursor": OPTIONAL_TEXT},
    ),
    ("POST", (*_USER, "deliveries"), ACCEPTED),
    ("GET", (*_USER, "deliveries", "*"), DELIVERY_DETAIL),
    ("POST", (*_USER, "deliveries", "*", "retry"), {"round": int}),
    ("GET", (*_USER, "requests", "*"), REQUEST),
    ("GET", ("api", "v1", "categories"), {"categories": [CATEGORY]}),
    ("PUT", ("api", "v1", "categories", "*"), CATEGORY),
    ("GET", (*_USER, "preferences"), PREFERENCES),
    ("PUT", (*_USER, "preferences"), CHANGED_PREFERENCES),
    (
        "POST",
        (*_USER, "preview"),
        {"user_id": str, "deliveries": [PREVIEWED], "skipped": [SKIPPED]},
    ),
    ("GET", (*_USER, "suppressions"), {"user_id": str, "suppressions": [SUPPRESSION]}),
    ("GET", (*_USER, "messages"), {"messages": [MAILBOX_ITEM], "next_cursor": OPTIONAL_TEXT}),
)
"""Method, path and shape of each response; any object or null is accepted from other routes."""


def field_error(method: str, path: tuple[str, ...], response: object) -> str | None:
    """Return the JSON pointer of the first member with another shape; ``None`` if all fit."""
    for route_method, pattern, shape in RESPONSES:
        if route_method == method and _matches(pattern, path):
            return _field_error(shape, response)
    return _field_error((dict, type(None)), response)


def _matches(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    return len(pattern) == len(path) and all(
        part in {"*", segment} for part, segment in zip(pattern, path, strict=True)
    )


def _field_error(shape: Any, value: object, pointer: str = "") -> str | None:
    if isinstance(shape, list):
        if not isinstance(value, list):
            return pointer
        parts = [(shape[0], str(index), item) for index, item in enumerate(value)]
    elif isinstance(shape, dict):
        if not isinstance(value, dict):
            return pointer
        members = dict.fromkeys(value, shape["*"]) if "*" in shape else shape
        missing = next((name for name in members if name not in value), None)
        if missing is not None:
            return f"{pointer}/{missing}"
        parts = [(members[name], name, value[name]) for name in members]
    else:
        return None if isinstance(value, shape) else pointer
    field_errors = (_field_error(part, item, f"{pointer}/{name}") for part, name, item in parts)
    return next((pointer for pointer in field_errors if pointer is not None), None)
