"""The bodies that create and change an override."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from dispatcher.configuration.resolution import RANGES
from dispatcher.errors import FieldError, InvalidInputError, at
from dispatcher.integrations import catalogue
from dispatcher.validation import Strict, field_errors, read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dispatcher.integrations.integration import Config, Integration

LARGEST_CONFIG = 16 * 1024
"""Bytes of JSON in UTF-8, written without spaces."""


def _integration_type(value: str) -> str:
    name = value.upper()
    # isascii: upper() maps a few foreign letters onto ASCII ones.
    if value.isascii() and name in catalogue():
        return name
    message = f"must be one of {', '.join(catalogue())}"
    raise ValueError(message)


IntegrationType = Annotated[
    str, AfterValidator(_integration_type), Field(json_schema_extra={"enum": [*catalogue()]})
]


_Priority = Annotated[int, Field(ge=RANGES["priority"][0], le=RANGES["priority"][1])]
_RetryCount = Annotated[int, Field(ge=RANGES["retry_count"][0], le=RANGES["retry_count"][1])]
_RetryDelay = Annotated[
    int, Field(ge=RANGES["retry_delay_seconds"][0], le=RANGES["retry_delay_seconds"][1])
]


class ChangeBody(Strict):
    """The settings that a PUT changes; an explicit null gives one back to the default."""

    enabled: bool | None = None
    """Whether messages go over this integration; false is an opt-out that nothing overrules."""
    priority: _Priority | None = None
    """1 is delivered first."""
    retry_count: _RetryCount | None = None
    """Retries after the first try."""
    retry_delay_seconds: _RetryDelay | None = None
    """Seconds between the end of a try and the next one."""
    config: dict[str, Any] | None = None
    """The integration's own settings, at most 16 KiB."""

    def given(self) -> dict[str, Any]:
        """Return what the body named, null included."""
        return {
            name: getattr(self, name)
            for name in type(self).model_fields
            if name in self.model_fields_set
        }


class OverrideBody(ChangeBody):
    """A new override: what the user wants different from the default."""

    integration_type: IntegrationType
    """The integration to set, in any case."""

    def settings(self) -> dict[str, Any]:
        """Return the settings to store: a new override is enabled unless it says otherwise."""
        given = self.given()
        del given["integration_type"]
        return {"enabled": True, **given}


def override_body(body: object, environ: Mapping[str, str]) -> OverrideBody:
    """Read the body of a new override; its config is read by ``override_config``."""
    return read(OverrideBody, body, environ, nulls=False)


def change_body(body: object, environ: Mapping[str, str]) -> ChangeBody:
    """Read the body of a PUT, which must change something."""
    change = read(ChangeBody, body, environ, nulls=True)
    if not change.given():
        raise InvalidInputError(
            FieldError("", f"must name at least one of {', '.join(ChangeBody.model_fields)}")
        )
    return change


def override_config(integration: Integration, config: object, environ: Mapping[str, str]) -> Config:
    """Read an integration's own settings by its own rules."""
    # Pydantic's hook for a TypedDict, set here so that the integrations need not import pydantic.
    setattr(integration.config_type, "__pydantic_config__", Strict.model_config)  # noqa: B010 - not in its type
    if len(json.dumps(config, ensure_ascii=False, separators=(",", ":")).encode()) > LARGEST_CONFIG:
        raise InvalidInputError(
            FieldError("/config", f"must be at most {LARGEST_CONFIG} bytes of JSON")
        )
    try:
        read: Config = TypeAdapter(integration.config_type).validate_python(config, context=environ)
    except ValidationError as error:
        raise InvalidInputError(
            *at("/config", field_errors(error, integration.config_type.__annotations__))
        ) from None
    return read
