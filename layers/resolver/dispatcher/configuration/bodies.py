"""The request bodies that create and change an override."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from dispatcher.configuration.resolution import RANGES
from dispatcher.errors import FieldError, InvalidInputError, at
from dispatcher.integrations import catalogue, read_type
from dispatcher.integrations.rules import within
from dispatcher.strict_json import JsonObject, size_of
from dispatcher.validation import Strict, field_errors, read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dispatcher.integrations.integration import Config, Integration
    from dispatcher.responses import OverrideSettings

LARGEST_CONFIG = 16 * 1024
"""Bytes of JSON in UTF-8, written without spaces."""


IntegrationType = Annotated[
    str, AfterValidator(read_type), Field(json_schema_extra={"enum": [*catalogue()]})
]

IntegrationTypes = Annotated[
    list[IntegrationType],
    Field(min_length=1, max_length=len(catalogue()), json_schema_extra={"uniqueItems": True}),
]
"""A choice of integrations; ``distinct`` adds the rule that the schema names."""


_Priority = Annotated[int, within(RANGES["priority"])]
_RetryCount = Annotated[int, within(RANGES["retry_count"])]
_RetryDelay = Annotated[int, within(RANGES["retry_delay_seconds"])]


class ChangeBody(Strict):
    """The settings to change; an explicit null restores the default of a setting."""

    enabled: bool | None = None
    """Whether messages are delivered over the integration; false opts the user out."""
    priority: _Priority | None = None
    """The place in the delivery order; 1 is delivered first."""
    retry_count: _RetryCount | None = None
    """The number of retries after the first attempt."""
    retry_delay_seconds: _RetryDelay | None = None
    """The seconds between the end of an attempt and the next one."""
    config: JsonObject | None = None
    """The integration's own settings, at most 16 KiB."""

    def given(self) -> JsonObject:
        """Return the fields that the body names, null included."""
        return {
            name: getattr(self, name)
            for name in type(self).model_fields
            if name in self.model_fields_set
        }


class OverrideBody(ChangeBody):
    """A new override; each missing setting follows the system default."""

    integration_type: IntegrationType
    """The integration, in any case."""

    def settings(self) -> OverrideSettings:
        """Return the settings to store: a new override is enabled unless the body disables it."""
        given = self.given()
        del given["integration_type"]
        # The fields of this model except the type are those of a user's settings.
        return cast("OverrideSettings", {"enabled": True, **given})


def override_body(body: object, environ: Mapping[str, str]) -> OverrideBody:
    """Read the body of a new override, except its config (see ``override_config``)."""
    return read(OverrideBody, body, environ, nulls=False)


def change_body(body: object, environ: Mapping[str, str]) -> ChangeBody:
    """Read the body of a PUT, which names at least one setting."""
    change = read(ChangeBody, body, environ, nulls=True)
    if not change.given():
        raise InvalidInputError(
            FieldError("", f"must name at least one of {', '.join(ChangeBody.model_fields)}")
        )
    return change


def override_config(integration: Integration, config: object, environ: Mapping[str, str]) -> Config:
    """Validate an override's ``config`` by the rules of its integration."""
    # Pydantic's hook for a TypedDict, set here so that the integrations need not import pydantic.
    setattr(integration.config_type, "__pydantic_config__", Strict.model_config)  # noqa: B010 - not in its type
    check_size(config)
    try:
        adapter: TypeAdapter[Config] = TypeAdapter(integration.config_type)
        return adapter.validate_python(config, context=environ)
    except ValidationError as error:
        raise InvalidInputError(
            *at("/config", field_errors(error, integration.config_type.__annotations__))
        ) from None


def check_size(config: object) -> None:
    """Raise ``InvalidInputError`` for a config above the limit, its stored secrets included."""
    if size_of(config) > LARGEST_CONFIG:
        raise InvalidInputError(
            FieldError("/config", f"must be at most {LARGEST_CONFIG} bytes of JSON")
        )
