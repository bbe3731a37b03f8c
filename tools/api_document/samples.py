"""Builds an example of each response from its schema and one sample value for each field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispatcher import VERSION
from tools.api_document.operations import (
    CATEGORY,
    DELIVERY_ID,
    EMAIL,
    HOURS,
    MESSAGE_ID,
    REQUEST_ID,
    SECURITY,
    SUPPRESSION_ID,
    USER,
)

TIME = "2026-11-23T09:30:00.000Z"

_CHANGEABLE = {"enabled": True, "reason": None, "changeable": True}
_PREFERENCES = {
    "user_id": USER,
    "time_zone": "Europe/Berlin",
    "language": None,
    "hours": HOURS,
    "muted_until": None,
    "categories": {"news": {"enabled": False}},
    "version": "5d41402abc4b2a76",
    "updated_at": TIME,
    "updated_via": "api",
    "effective": {
        "time_zone": {"value": "Europe/Berlin", "source": "user"},
        "open_now": True,
        "next_open_at": None,
        "without_category": {"integrations": {"TEST": _CHANGEABLE}},
        "categories": [
            {
                "category": CATEGORY,
                **{name: SECURITY[name] for name in ("title", "description", "group", "locked")},
                **{name: SECURITY[name] for name in ("urgent", "enabled")},
                "ignored": [],
                "integrations": {"TEST": _CHANGEABLE | {"changeable": False}},
            }
        ],
    },
}

SAMPLES: Mapping[str, Any] = {
    "user_id": USER,
    "delivery_id": DELIVERY_ID,
    "request_id": REQUEST_ID,
    "message_id": MESSAGE_ID,
    "session_id": "session-7",
    "agent_id": "it-agent",
    "subject": "Ticket 42",
    "content": "Hello **John**, your laptop is ready.",
    "mode": "all",
    "integration_type": "EMAIL",
    "status": "success",
    "priority": 1,
    "round": 1,
    "number": 1,
    "attempts": 1,
    "max_attempts": 6,
    "retry_count": 5,
    "retry_delay_seconds": 30,
    "duration_ms": 182,
    "outcome": "delivered",
    "reason": "disabled_by_default",
    "removed": ["EMAIL"],
    "metadata": {"message_id": "0102018f-mail-42"},
    "config": {"email_address": EMAIL, "format": "html"},
    "signing_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "service": "integration-dispatcher",
    "version": VERSION,
    "limit": 50,
    "offset": 0,
    "detail": "",
    **dict.fromkeys(("next_cursor", "deliver_at", "expires_at", "next_attempt_at", "healthy")),
    **dict.fromkeys(("error_code", "error_message", "code", "category", "held", "receipt")),
    "locked": False,
    # Where a field means something else, or has another value.
    "AcceptedDelivery.status": "pending",
    "CreatedOverrideResponse.integration_type": "WEBHOOK",
    "CreatedOverrideResponse.config": {"url": "https://hooks.example.com/notifications"},
    "EffectiveConfigurationResponse.using_integration_defaults": False,
    "EffectiveConfigurationResponse.disabled_integrations": {"SMS": "disabled_by_default"},
    "SuppressionResponse": {
        "suppression_id": SUPPRESSION_ID,
        "integration_type": "EMAIL",
        "state": "bounced",
        "address": "j•••@company.com",
        "at": TIME,
        "delivery_id": DELIVERY_ID,
        "detail": "550 5.1.1 user unknown",
    },
    "SkippedIntegration.reason": "no_address",
    "SkippedIntegration.detail": (
        "no address is known: set config.phone_number in the user's SMS override"
    ),
    "ListMessagesResponse.integration_type": "CLI",
    "MailboxMessageResponse.integration_type": "CLI",
    "MailboxMessageResponse.delivery_id": MESSAGE_ID,
    "IntegrationHealth.detail": "configured",
    "IntegrationSettings.config": {"include_agent_info": True},
    "CategoryResponse": {"category": CATEGORY, **SECURITY},
    "CategoriesResponse.version": 7,
    "PreferencesResponse": _PREFERENCES,
    "ChangedPreferencesResponse": {
        **_PREFERENCES,
        "rescheduled": {"deliveries": 3, "complete": True},
    },
    "PlannedDeliveryResponse.status": "pending",
    "PreviewResponse.category": CATEGORY,
    "RetryResponse.status": "pending",
    "RetryResponse.round": 2,
    "HealthResponse.status": "healthy",
    "HealthResponse.detail": None,
    "SkippedIntegration.integration_type": "SMS",
    "OpenApiDocument": {"openapi": "3.1.0", "info": {}, "paths": {}},
    "HtmlPage": "<!DOCTYPE html>…",
}


def sample(name: str, schemas: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON
    """Return an example of a named schema."""

    def of(schema: Mapping[str, Any], place: str) -> Any:  # noqa: ANN401 - any JSON
        for key in (place, place.rpartition(".")[2]):
            if key in SAMPLES:
                return SAMPLES[key]
        match schema:
            case {"$ref": ref}:
                inner = ref.rpartition("/")[2]
                return of(schemas[inner], inner)
            case {"properties": properties}:
                return {field: of(each, f"{place}.{field}") for field, each in properties.items()}
            case {"items": items}:
                return [of(items, place)]
            case {"additionalProperties": dict(values)}:
                return {"EMAIL": of(values, "")}
            case {"format": "date-time"}:
                return TIME
            case {"type": "boolean"}:
                return True
        raise ValueError(f"{place} has no sample")

    return of(schemas[name], name)
