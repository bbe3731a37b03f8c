"""The schemas of all that goes in and out, made from the types that the service itself uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import is_typeddict

from dispatcher.configuration.bodies import ChangeBody, OverrideBody
from dispatcher.integrations import catalogue
from dispatcher.messages import bodies
from tools.api_document import answers
from tools.api_document.prose import fields, prose

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic_core import core_schema

Json = dict[str, Any]

REF = "#/components/schemas/"


class _Schemas(GenerateJsonSchema):
    """Schemas without what a reader of an API has no use for: titles, and defaults of null."""

    nulls = True

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 - pydantic's own
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> Json:
        """Leave null out where the edge refuses it."""
        if self.nulls:
            return super().nullable_schema(schema)
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Json:
        """Leave out a default that only means "not given"."""
        made = super().default_schema(schema)
        return {name: value for name, value in made.items() if (name, value) != ("default", None)}


class _SchemasWithoutNulls(_Schemas):
    nulls = False


def schemas() -> Json:
    """Return the schemas of all that goes in and out, by name."""
    shapes = [one for one in vars(answers).values() if is_typeddict(one) and one.__doc__]
    shapes = [one for one in shapes if one.__module__ == answers.__name__]
    configs = [one.config_type for one in catalogue().values()]
    made = _generated(_SchemasWithoutNulls, [bodies.SendBody, OverrideBody])
    made |= _generated(_Schemas, [ChangeBody, *configs, *shapes])
    for one in (bodies.SendBody, bodies.RecipientBody, ChangeBody, OverrideBody):
        _describe(made[one.__name__], one)
    for shape in (*configs, *shapes):
        _describe(made[shape.__name__], shape)
        # The service closes a shape when it first reads one: it stands last whether it has or not.
        made[shape.__name__].pop("additionalProperties", None)
        made[shape.__name__]["additionalProperties"] = False
    made["ChangeBody"]["minProperties"] = 1
    made["ChangeBody"]["properties"]["config"]["anyOf"] = [
        *({"$ref": REF + one.__name__} for one in configs),
        {"type": "null"},
    ]
    made |= _new_overrides(made.pop("OverrideBody"))
    made["OpenApi"] = {
        "type": "object",
        "description": "This document.",
        "required": ["openapi", "info", "paths"],
    }
    made["Page"] = {"type": "string", "description": "An HTML page."}
    return dict(sorted(made.items()))


def _generated(how: type[GenerateJsonSchema], shapes: Iterable[type]) -> Json:
    mode: Literal["validation"] = "validation"
    _, made = TypeAdapter.json_schemas(
        [(one.__name__, mode, TypeAdapter[Any](one)) for one in shapes],
        ref_template=REF + "{model}",
        schema_generator=how,
    )
    plain: Json = _without_titles(made["$defs"])
    return plain


def _without_titles(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, list):
        return [_without_titles(one) for one in value]
    if not isinstance(value, dict):
        return value
    # A property that is called "title" holds a schema, not a text.
    return {
        name: _without_titles(part)
        for name, part in value.items()
        if name != "title" or isinstance(part, dict)
    }


def _new_overrides(body: Json) -> Json:
    """Return the body of a new override: one shape per integration, chosen by its type."""
    made: Json = {}
    chosen = {}
    common = dict(body["properties"])
    kind, config = common.pop("integration_type"), common.pop("config")
    for name, one in catalogue().items():
        shape = f"New{name.capitalize()}Override"
        made[shape] = body | {
            "description": f"A new override of {name}.",
            "properties": {
                "integration_type": {"const": name, "description": kind["description"]},
                **common,
                "config": {
                    "$ref": REF + one.config_type.__name__,
                    "description": config["description"],
                },
            },
        }
        if one.required:
            needed = {"config": {"required": [*one.required]}}
            made[shape]["anyOf"] = [
                {"required": ["config"], "properties": needed},
                {"required": ["enabled"], "properties": {"enabled": {"const": False}}},
            ]
        chosen[name] = REF + shape
    made["NewOverrideBody"] = {
        "description": "A new override: what the user wants different from the default.",
        "oneOf": [{"$ref": ref} for ref in chosen.values()],
        "discriminator": {"propertyName": "integration_type", "mapping": chosen},
    }
    return made


def _describe(schema: Json, shape: type) -> None:
    """Add what the source says of a class and, below each field, of the field."""
    schema["description"] = prose(shape.__doc__)
    for name, says in fields(shape):
        schema["properties"][name]["description"] = says
