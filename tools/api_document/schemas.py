"""The schemas of all bodies, generated from the types that the service itself uses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema
from typing_extensions import is_typeddict

from dispatcher import responses
from dispatcher.access import session_responses
from dispatcher.access.bodies import PreferencesLinkBody, StartSessionBody
from dispatcher.configuration import (
    hours,
    overview_responses,
    preference_responses,
    resolution,
    selection,
    suppressions,
)
from dispatcher.configuration.bodies import ChangeBody, OverrideBody
from dispatcher.configuration.preference_bodies import (
    CategoryBody,
    ChoiceBody,
    HoursBody,
    PreferencesBody,
    WindowBody,
)
from dispatcher.delivery.recover_body import RecoverBody
from dispatcher.delivery.rows import Status
from dispatcher.delivery.transitions import RANKS
from dispatcher.integrations import catalogue
from dispatcher.messages.bodies import RecipientBody, SendBody
from tools.api_document.prose import constants, fields, prose
from tools.api_document.samples import DECLARED
from tools.paths import ROOT

Json = dict[str, Any]

REF = "#/components/schemas/"

REQUESTS: Mapping[type, str] = {
    SendBody: "SendMessageRequest",
    RecipientBody: "Recipient",
    OverrideBody: "CreateOverrideRequest",
    ChangeBody: "UpdateOverrideRequest",
    CategoryBody: "PutCategoryRequest",
    PreferencesBody: "UpdatePreferencesRequest",
    HoursBody: "Hours",
    WindowBody: "HoursWindow",
    ChoiceBody: "CategoryChoice",
    RecoverBody: "RecoverRequest",
    StartSessionBody: "StartSessionRequest",
    PreferencesLinkBody: "PreferencesLinkRequest",
}
"""The bodies of requests, and their names in the document."""

PUBLIC_NAMES = {shape.__name__: name for shape, name in REQUESTS.items()}

INLINE: Mapping[str, Json] = DECLARED["inline_schemas"]
"""Formats of text, which every field repeats: a shared schema would be a class in some clients."""


class _Schemas(GenerateJsonSchema):
    """Schemas without titles, which do not help readers, and without defaults."""

    nulls = True

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 - pydantic's own
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> Json:
        """Write null as one more type, and leave it out where the edge rejects it."""
        inner = self.generate_inner(schema["schema"])
        if not self.nulls:
            return inner
        if "type" in inner:
            return {**inner, "type": [inner["type"], "null"]}
        return {"anyOf": [inner, {"type": "null"}]}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Json:
        """Leave out the default: generated clients send it, or require the field because of it."""
        return self.generate_inner(schema["schema"])


class _SchemasWithoutNulls(_Schemas):
    nulls = False


def schemas() -> Json:
    """Return the schemas of all bodies by name."""
    bodies = [
        shape
        for module in (
            responses,
            preference_responses,
            session_responses,
            overview_responses,
        )
        for shape in vars(module).values()
        if is_typeddict(shape) and shape.__module__ == module.__name__
    ]
    configs = [integration.config_type for integration in catalogue().values()]
    without_nulls = [SendBody, OverrideBody, CategoryBody, StartSessionBody, PreferencesLinkBody]
    generated = _generated(_SchemasWithoutNulls, without_nulls)
    generated |= _generated(_Schemas, [ChangeBody, PreferencesBody, RecoverBody, *configs, *bodies])
    for shape in (*REQUESTS, *configs, *bodies):
        _describe(generated[shape.__name__], shape)
    for shape in configs:
        # The service closes the type of a config when it first reads one: last in either case.
        generated[shape.__name__].pop("additionalProperties", None)
        generated[shape.__name__]["additionalProperties"] = False
    for shape in REQUESTS:
        # Fields of a later version, which every value breaks.
        properties = generated[shape.__name__]["properties"]
        for name in [name for name, one in properties.items() if one.get("type") == "null"]:
            del properties[name]
    for body in ("OverrideBody", "ChangeBody"):
        generated[body]["properties"]["config"]["description"] += f" {_config_keys()}"
    _describe_open_strings(generated)
    generated = {
        PUBLIC_NAMES.get(name, name): _tidy(schema)
        for name, schema in generated.items()
        if name not in INLINE
    }
    for name, facts in DECLARED["more_of_schemas"].items():
        schema = generated.setdefault(name, {})
        for field, more in facts.get("properties", {}).items():
            schema["properties"][field] |= more
        schema |= {key: fact for key, fact in facts.items() if key != "properties"}
    send = generated["SendMessageRequest"]
    preview = {name: part for name, part in send.items() if name != "required"}
    generated["PreviewRequest"] = preview | DECLARED["more_of_schemas"]["PreviewRequest"]
    return dict(sorted(generated.items()))


def _generated(generator: type[GenerateJsonSchema], shapes: Iterable[type]) -> Json:
    mode: Literal["validation"] = "validation"
    _, generated = TypeAdapter.json_schemas(
        [(shape.__name__, mode, TypeAdapter[Any](shape)) for shape in shapes],
        ref_template=REF + "{model}",
        schema_generator=generator,
    )
    plain: Json = generated["$defs"]
    return plain


def _describe(schema: Json, shape: type) -> None:
    """Add the descriptions of a class and its fields from the source."""
    schema["description"] = prose(shape.__doc__)
    models = getattr(shape, "model_fields", {})
    for name, description in fields(shape):
        alias = getattr(models.get(name), "alias", None)
        schema["properties"][alias or name]["description"] = description


def _describe_open_strings(generated: Json) -> None:
    descriptions = constants(responses)
    for name, values in _known_values().items():
        known = ", ".join(f"`{value}`" for value in values)
        generated[name]["description"] = (
            f"{descriptions[name]} Known values: {known}. New values may be added."
        )


def _known_values() -> Mapping[str, tuple[str, ...]]:
    """Return the values that open strings have now, by the name of their type."""
    return {
        "IntegrationType": tuple(catalogue()),
        "DeliveryStatus": tuple(map(str, Status)),
        "SkipReason": (
            resolution.DISABLED_BY_DEFAULT,
            resolution.NOT_CONFIGURED,
            resolution.DISABLED_BY_USER,
            resolution.DISABLED_BY_RECEIVER,
            resolution.DISABLED_AFTER_FAILURES,
            selection.NO_ADDRESS,
            selection.CATEGORY_DISABLED_BY_USER,
            selection.CATEGORY_DISABLED_BY_DEFAULT,
            selection.EXPIRES_WHILE_HELD,
            *suppressions.REASONS.values(),
        ),
        "HoldReason": (hours.MUTED, hours.PAUSED, hours.QUIET_HOURS),
        "ReceiptState": tuple(RANKS),
        "ErrorCode": _error_codes(),
    }


def _error_codes() -> tuple[str, ...]:
    # The runbook's table is complete: a test compares it with the code.
    runbook = (ROOT / "docs" / "operations.md").read_text()
    section = runbook.partition("\n## Error codes\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    return tuple(code for cell in cells for code in re.findall(r"`(\w+)`", cell))


def _config_keys() -> str:
    # In words, not as a choice of schemas: generated clients cannot choose by another field.
    schemas_by_type = ", ".join(
        f"`{integration.config_type.__name__}` ({name})"
        for name, integration in catalogue().items()
    )
    rules = [
        f"{name} requires `{key}` while it is enabled."
        for name, integration in catalogue().items()
        for key in integration.required
    ]
    return " ".join([f"The schemas {schemas_by_type} list the keys.", *rules])


def _tidy(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Write the schemas of ``INLINE`` in their places, use the public names, and omit titles."""
    if isinstance(value, list):
        return [_tidy(part) for part in value]
    match value:
        case {"anyOf": [{"$ref": str(ref)}, {"type": "null"}], **rest} if _name(ref) in INLINE:
            inline = INLINE[_name(ref)]
            return {**inline, "type": [inline["type"], "null"], **rest}
        case {"$ref": str(ref), **rest}:
            name = _name(ref)
            reference = {"$ref": REF + PUBLIC_NAMES.get(name, name)}
            return {**INLINE.get(name, reference), **rest}
        case dict():
            # A property that is called "title" holds a schema, not a text.
            return {
                name: _tidy(part)
                for name, part in value.items()
                if name != "title" or isinstance(part, dict)
            }
    return value


def _name(ref: str) -> str:
    return ref.removeprefix(REF)
