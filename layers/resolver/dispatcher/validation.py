"""Strict validation of request bodies: an error for each invalid value, with its JSON pointer.

Only functions that read a body import this module, because it imports pydantic.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    WithJsonSchema,
)

from dispatcher.errors import FieldError, InvalidInputError, json_pointer
from dispatcher.identifiers import UNSTORABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic_core import ErrorDetails

MOST_FIELD_ERRORS = 20
"""Field errors in one response at most, so that an invalid body causes no large response."""

LONGEST_NAME = 64
"""Characters of a field's name that a pointer shows."""

SENTENCES = {
    "bool_type": "must be true or false",
    "dict_type": "must be a JSON object",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "missing": "is required",
    "model_type": "must be a JSON object",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must not be empty",
    "string_type": "must be text",
    "too_long": "must have at most {max_length} items",
    "too_short": "must not be empty",
    "value_error": "{error}",
}
"""A sentence for each kind of pydantic's errors; ``value_error`` comes from our rules."""

# RFC 3339 with a mandatory offset; a space in place of the T is rejected.
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)

Body = TypeVar("Body", bound=BaseModel)


def distinct(what: str) -> AfterValidator:
    """Return the rule that no text of a list occurs twice; ``what`` names one in the error."""

    def once(values: list[str]) -> list[str]:
        if len(set(values)) < len(values):
            message = f"must name each {what} once"
            raise ValueError(message)
        return values

    return AfterValidator(once)


def _time(value: object) -> float:
    if isinstance(value, str) and _TIME.fullmatch(value):
        try:
            # Python reads at most microseconds; the service stores milliseconds.
            return round(
                datetime.fromisoformat(
                    re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", value.upper())
                ).timestamp(),
                3,
            )
        except (ValueError, OverflowError):
            pass
    message = "must be a time in RFC 3339 form with an offset, such as 2026-11-22T09:30:00Z"
    raise ValueError(message)


Time = Annotated[
    float, BeforeValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"})
]
"""A time in RFC 3339 form; seconds since 1970 once read."""


class Strict(BaseModel):
    """The base of all bodies: no type is coerced, and unknown fields are rejected."""

    # Built on first use: each function reads one kind of body.
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, defer_build=True
    )


def read(model: type[Body], body: object, environ: Mapping[str, str], *, nulls: bool) -> Body:
    """Read a body; ``InvalidInputError`` names up to 20 invalid values.

    With ``nulls``, null is accepted if the model accepts it.
    """
    wrong = [*_unstorable(body, "")] + ([] if nulls else [*_nulls(body, "")])
    if wrong:
        raise InvalidInputError(*wrong[:MOST_FIELD_ERRORS])
    try:
        return model.model_validate(body, context=environ)
    except ValidationError as error:
        # "from None": the original error quotes the input, and a log may show the chain.
        raise InvalidInputError(*field_errors(error, model.model_fields)) from None


def field_errors(error: ValidationError, known: Mapping[str, object]) -> list[FieldError]:
    """Return pydantic's errors with our own texts; ``known`` are the fields of the model."""
    errors = error.errors(include_url=False, include_input=False)
    return [
        FieldError(_pointer(found["loc"]), _sentence(found, _known(known, found["loc"])))
        for found in errors[:MOST_FIELD_ERRORS]
    ]


def _known(fields: Mapping[str, object], path: Sequence[str | int]) -> list[str]:
    """Return the field names of the object that contains a path."""
    for step in path[:-1]:
        annotation = getattr(fields.get(str(step)), "annotation", None)
        fields = next((model.model_fields for model in _models(annotation)), fields)
    return [getattr(field, "alias", None) or name for name, field in fields.items()]


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    """Yield the models in an annotation such as ``dict[str, Model | None] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _sentence(found: ErrorDetails, known: Sequence[str]) -> str:
    if found["type"] == "extra_forbidden":
        return f"is not a known field; the known ones are {', '.join(known)}"
    # Pydantic's own text names Python types and changes with its version.
    sentence = SENTENCES.get(found["type"], "is not valid")
    return sentence.format(**found.get("ctx", {}))


def _pointer(path: Sequence[str | int]) -> str:
    # Shortened: a name comes from the caller, may be as long as the body, and is in every error.
    return json_pointer(*(str(step)[:LONGEST_NAME] for step in path))


def _walk(value: object, pointer: str) -> Iterator[tuple[str, object]]:
    yield pointer, value
    if isinstance(value, dict):
        for key, part in value.items():
            inner = pointer + _pointer([key if UNSTORABLE.search(key) is None else "?"])
            if UNSTORABLE.search(key):
                yield inner, key
            yield from _walk(part, inner)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _walk(part, f"{pointer}/{index}")


def _unstorable(body: object, pointer: str) -> Iterator[FieldError]:
    for where, value in _walk(body, pointer):
        if isinstance(value, str) and UNSTORABLE.search(value):
            yield FieldError(
                where,
                "must not hold control characters, lone surrogates, U+FFFE or U+FFFF",
            )


def _nulls(body: object, pointer: str) -> Iterator[FieldError]:
    for where, value in _walk(body, pointer):
        if value is None:
            yield FieldError(where, "must not be null; leave the field out instead")
