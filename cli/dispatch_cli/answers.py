"""What this program reads in the service's answers, so that it notices who else may answer.

A shape is a type (or several); ``[shape]`` is a list of it; an object has at least the members
that are named, or, under ``"*"``, any members of one shape.
"""

from __future__ import annotations

from typing import Any

MAYBE = (str, type(None))
"""A text, or null."""

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
    "integration_type": str,
    "status": str,
    "round": int,
    "attempts": int,
    "max_attempts": int,
    "created_at": str,
    "last_attempt_at": MAYBE,
    "delivered_at": MAYBE,
    "next_attempt_at": MAYBE,
    "error_code": MAYBE,
}
ATTEMPT = {
    "round": int,
    "number": int,
    "started_at": str,
    "duration_ms": (int, float, type(None)),
    "outcome": str,
    "code": MAYBE,
}
WHOLE_DELIVERY = {
    **DELIVERY,
    "user_id": str,
    "session_id": MAYBE,
    "priority": int,
    "first_attempt_at": MAYBE,
    "error_message": MAYBE,
    "metadata": dict,
    "attempt_log": [ATTEMPT],
}
SENT = {
    "request_id": str,
    "user_id": str,
    "deliveries": [{"delivery_id": str, "integration_type": str, "status": str}],
    "skipped": [{"integration_type": str, "reason": str}],
}
MESSAGE = {
    "message_id": str,
    "agent_id": MAYBE,
    "subject": MAYBE,
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
ANSWERS: tuple[tuple[str, tuple[str, ...], Any], ...] = (
    ("GET", ("health",), HEALTH),
    ("GET", ("api", "v1", "integration-defaults"), {"default_integrations": {"*": SETTINGS}}),
    ("GET", (*_USER, "integration-defaults"), EFFECTIVE),
    ("POST", (*_USER, "integration-defaults", "reset"), {"removed": [str]}),
    ("GET", (*_USER, "integrations"), {"user_id": str, "integrations": [OVERRIDE]}),
    ("POST", (*_USER, "integrations"), OVERRIDE),
    ("GET", (*_USER, "integrations", "*"), OVERRIDE),
    ("PUT", (*_USER, "integrations", "*"), OVERRIDE),
    ("POST", (*_USER, "integrations", "*", "test"), SENT),
    (
        "POST",
        (*_USER, "integrations", "*", "rotate-secret"),
        {"signing_secret": str, "previous_valid_until": str},
    ),
    (
        "GET",
        (*_USER, "deliveries"),
        {"user_id": str, "deliveries": [DELIVERY], "next_cursor": MAYBE},
    ),
    ("POST", (*_USER, "deliveries"), SENT),
    ("GET", (*_USER, "deliveries", "*"), WHOLE_DELIVERY),
    ("POST", (*_USER, "deliveries", "*", "retry"), {"round": int}),
    ("GET", (*_USER, "messages"), {"messages": [MESSAGE], "next_cursor": MAYBE}),
)
"""Verb, path and shape; of an answer that is not here nothing is read."""


def field_error(method: str, path: tuple[str, ...], answer: object) -> str | None:
    """Return where an answer is not as expected, as a JSON pointer; ``None`` if it is."""
    for verb, pattern, shape in ANSWERS:
        if verb == method and _matches(pattern, path):
            return _flaw(shape, answer)
    return _flaw((dict, type(None)), answer)


def _matches(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    return len(pattern) == len(path) and all(
        one in {"*", other} for one, other in zip(pattern, path, strict=True)
    )


def _flaw(shape: Any, value: object, where: str = "") -> str | None:
    if isinstance(shape, list):
        if not isinstance(value, list):
            return where
        parts = [(shape[0], str(index), one) for index, one in enumerate(value)]
    elif isinstance(shape, dict):
        if not isinstance(value, dict):
            return where
        members = dict.fromkeys(value, shape["*"]) if "*" in shape else shape
        absent = next((name for name in members if name not in value), None)
        if absent is not None:
            return f"{where}/{absent}"
        parts = [(members[name], name, value[name]) for name in members]
    else:
        return None if isinstance(value, shape) else where
    field_errors = (_flaw(part, one, f"{where}/{name}") for part, name, one in parts)
    return next((found for found in field_errors if found is not None), None)
