"""What callers may say: the bodies of a send and of an override, checked strictly and whole.

Only functions that take a body import this module (and pydantic with it).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)

from dispatcher.errors import Flaw, InvalidInputError, at
from dispatcher.identifiers import REQUEST_ID, UNSTORABLE
from dispatcher.integrations import catalogue, rules, slack
from dispatcher.integrations.integration import Check, Recipient
from dispatcher.integrations.rules import whole
from dispatcher.resolution import RANGES
from dispatcher.texts import render, rendered_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dispatcher.integrations.integration import Config, Integration

MOST_FLAWS = 20
"""Flaws that one answer lists: enough to work with, no flood from a body that is nonsense."""

LARGEST_CONTENT = 128 * 1024
"""Bytes of UTF-8, before and after the variables are filled in."""

LONGEST_SUBJECT = 998
"""Characters: what RFC 5322 (2.1.1) allows a line."""

LARGEST_CONFIG = 16 * 1024
"""Bytes of JSON in UTF-8, written without spaces."""

LONGEST_NAME = 64
"""Characters of a field's name that a pointer shows."""

LONGEST_WAIT = 30 * 86_400
"""Seconds that ``deliver_at`` may lie ahead."""

PLAIN = {
    "must be a valid boolean": "must be true or false",
    "must be a valid integer": "must be a whole number",
    "must be a valid list": "must be a list",
    "must be a valid string": "must be text",
}
"""Pydantic's words for a type, in those of JSON."""

# RFC 3339: an offset is not optional, and a space for the T is not accepted.
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)
_VARIABLE = re.compile(r"[_A-Za-z][_A-Za-z0-9]{0,63}")


def _time(value: object) -> float:
    if isinstance(value, str) and _TIME.fullmatch(value):
        try:
            # Python reads at most microseconds; we keep milliseconds.
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


def _request_id(value: str) -> str:
    if REQUEST_ID.fullmatch(value):
        return value
    message = "must be 1-256 visible ASCII characters"
    raise ValueError(message)


def _one_line(value: str) -> str:
    # splitlines knows every line break (NEL and U+2028 too) that a mail header could be cut at.
    if len((value + "x").splitlines()) > 1:
        message = "must be one line"
        raise ValueError(message)
    return value


def _fits_a_line(subject: str, variables: Mapping[str, Any]) -> bool:
    # The size first: it bounds what rendering may make. Four bytes hold any character.
    if rendered_size(subject, variables) > 4 * LONGEST_SUBJECT:
        return False
    line = render(subject, variables)
    return len(line) <= LONGEST_SUBJECT and len((line + "x").splitlines()) == 1


def _some_text(value: str) -> str:
    if not value.strip():
        message = "must not be blank"
        raise ValueError(message)
    if len(value.encode()) > LARGEST_CONTENT:
        message = f"must be at most {LARGEST_CONTENT} bytes of UTF-8"
        raise ValueError(message)
    return value


def _integration_type(value: str) -> str:
    name = value.upper()
    # isascii: upper() maps a few foreign letters onto ASCII ones.
    if value.isascii() and name in catalogue():
        return name
    message = f"must be one of {', '.join(catalogue())}"
    raise ValueError(message)


def _distinct(values: list[str]) -> list[str]:
    if len(set(values)) < len(values):
        message = "must name each integration once"
        raise ValueError(message)
    return values


def _scalar(value: object) -> object:
    # Before the union: it would tell four flaws, each at the name of a Python type.
    if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    message = "must be text, a finite number, true or false"
    raise ValueError(message)


def _variables(values: dict[str, Any]) -> dict[str, Any]:
    for name in values:
        if not _VARIABLE.fullmatch(name):
            message = "names must be 1-64 letters, digits or _ and not begin with a digit"
            raise ValueError(message)
    return values


# What the rules above mean, as far as JSON Schema can say it: the API's document is made of it.
_TEXT = r"[^\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]*"
_INK = r"[^\s\u0000-\u001f\ufffe\uffff]"
_LINE = {"pattern": r"^[^\u0000-\u0008\u000a-\u001f\u0085\u2028\u2029\ufffe\uffff]+$"}

IntegrationType = Annotated[
    str, AfterValidator(_integration_type), Field(json_schema_extra={"enum": [*catalogue()]})
]
RequestId = Annotated[
    str,
    AfterValidator(_request_id),
    Field(json_schema_extra=whole(REQUEST_ID.pattern)),
]
Time = Annotated[
    float, BeforeValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"})
]
Label = Annotated[
    str,
    Field(min_length=1, max_length=256, json_schema_extra=_LINE),
    AfterValidator(_one_line),
]


class _Strict(BaseModel):
    """Nothing is coerced and nothing unknown is passed over."""

    # Built on first use: each function reads one kind of body.
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, defer_build=True
    )


class RecipientBody(_Strict):
    """Addresses for this message, used where the user's override has none."""

    # By module: inside a class pydantic takes a bare name for the field of that name.
    email: Annotated[str, Check(rules.email_address, rules.EMAIL)] | None = None
    """For EMAIL, and for SLACK to look the user up by."""
    phone_number: Annotated[str, Check(rules.phone_number, rules.PHONE_NUMBER)] | None = None
    """For SMS: a valid number in E.164 form."""
    slack_user_id: Annotated[str, Check(slack.slack_user_id, whole(slack.SLACK_USER_ID))] | None = (
        None
    )
    """For SLACK: the user's id in the workspace."""
    slack_channel: Annotated[str, Check(slack.channel_id, whole(slack.CHANNEL_ID))] | None = None
    """For SLACK: the channel to post in."""


class SendBody(_Strict):
    """A message for one user.

    ``deliver_at`` and ``expires_at`` are seconds since 1970 once read.
    """

    request_id: RequestId | None = None
    """The caller's own name for the request, which makes it safe to repeat: see Idempotency-Key."""
    session_id: Label | None = None
    """The conversation that the message belongs to."""
    agent_id: Label | None = None
    """The agent that sends it."""
    subject: (
        Annotated[
            str,
            Field(min_length=1, max_length=LONGEST_SUBJECT, json_schema_extra=_LINE),
            AfterValidator(_one_line),
        ]
        | None
    ) = None
    """One line above the content; variables are filled in here too."""
    content: Annotated[
        str,
        AfterValidator(_some_text),
        Field(
            json_schema_extra={
                "minLength": 1,
                "maxLength": LARGEST_CONTENT,
                **whole(_TEXT + _INK + _TEXT),
            }
        ),
    ]
    """The message in Markdown, at most 128 KiB; each integration renders it in its own way."""
    template_variables: Annotated[
        dict[str, Annotated[str | int | float | bool, BeforeValidator(_scalar)]],
        Field(
            max_length=64,
            json_schema_extra={
                "propertyNames": whole(_VARIABLE.pattern),
                "additionalProperties": {
                    "anyOf": [
                        {"type": "string", **whole(_TEXT)},
                        {"type": "number"},
                        {"type": "boolean"},
                    ]
                },
            },
        ),
        AfterValidator(_variables),
    ] = Field(default_factory=dict)
    """What `$name` and `${name}` in subject and content stand for."""
    recipient: RecipientBody = Field(default_factory=RecipientBody)
    """Addresses for this message."""
    integration_types: (
        Annotated[
            list[IntegrationType],
            Field(
                min_length=1, max_length=len(catalogue()), json_schema_extra={"uniqueItems": True}
            ),
            AfterValidator(_distinct),
        ]
        | None
    ) = None
    """The integrations to use, as far as they are enabled; without it, all of them."""
    mode: Literal["all", "first_success"] = "all"
    """Whether every integration delivers, or one after the other until one has delivered."""
    deliver_at: Time | None = None
    """When to deliver, at most 30 days ahead; a time that has passed means now."""
    expires_at: Time | None = None
    """When it is no longer worth delivering; later than now and than `deliver_at`."""

    def fingerprint(self) -> str:
        """Return the SHA-256 of all that makes two requests the same, ``request_id`` left out."""
        canonical = json.dumps(
            self.model_dump(exclude={"request_id"}), sort_keys=True, separators=(",", ":")
        )
        return hashlib.sha256(canonical.encode()).hexdigest()

    def text(self) -> str:
        """Return the content with its variables filled in."""
        return render(self.content, self.template_variables)

    def headline(self) -> str | None:
        """Return the subject with its variables filled in."""
        return None if self.subject is None else render(self.subject, self.template_variables)

    def addressed_to(self) -> Recipient:
        """Return the caller's addresses."""
        return Recipient(**self.recipient.model_dump())


_Priority = Annotated[int, Field(ge=RANGES["priority"][0], le=RANGES["priority"][1])]
_RetryCount = Annotated[int, Field(ge=RANGES["retry_count"][0], le=RANGES["retry_count"][1])]
_RetryDelay = Annotated[
    int, Field(ge=RANGES["retry_delay_seconds"][0], le=RANGES["retry_delay_seconds"][1])
]


class ChangeBody(_Strict):
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


Body = TypeVar("Body", bound=BaseModel)


def send_body(body: object, environ: Mapping[str, str]) -> SendBody:
    """Read the body of a send; what depends on the time of day is ``check_times``' matter."""
    send = _read(SendBody, body, environ, nulls=False)
    flaws = []
    if rendered_size(send.content, send.template_variables) > LARGEST_CONTENT:
        flaws.append(
            Flaw(
                "/content", f"with its variables filled in must be at most {LARGEST_CONTENT} bytes"
            )
        )
    if send.subject is not None and not _fits_a_line(send.subject, send.template_variables):
        flaws.append(
            Flaw(
                "/subject",
                f"filled in, must be one line of at most {LONGEST_SUBJECT} characters",
            )
        )
    if flaws:
        raise InvalidInputError(*flaws)
    return send


def check_times(send: SendBody, now: float) -> None:
    """Refuse a delivery too far ahead, and one that would be too late before it began."""
    begin = max(now, send.deliver_at or now)
    flaws = []
    if begin > now + LONGEST_WAIT:
        flaws.append(Flaw("/deliver_at", f"must lie at most {LONGEST_WAIT // 86_400} days ahead"))
    if send.expires_at is not None and send.expires_at <= begin:
        flaws.append(Flaw("/expires_at", "must lie in the future and after deliver_at"))
    if flaws:
        raise InvalidInputError(*flaws)


def override_body(body: object, environ: Mapping[str, str]) -> OverrideBody:
    """Read the body of a new override; its config is read by ``override_config``."""
    return _read(OverrideBody, body, environ, nulls=False)


def change_body(body: object, environ: Mapping[str, str]) -> ChangeBody:
    """Read the body of a PUT, which must change something."""
    change = _read(ChangeBody, body, environ, nulls=True)
    if not change.given():
        raise InvalidInputError(
            Flaw("", f"must name at least one of {', '.join(ChangeBody.model_fields)}")
        )
    return change


def override_config(integration: Integration, config: object, environ: Mapping[str, str]) -> Config:
    """Read an integration's own settings by its own rules."""
    # Pydantic's hook for a TypedDict, set here so that the integrations need not import pydantic.
    setattr(integration.config_type, "__pydantic_config__", _Strict.model_config)  # noqa: B010 - not in its type
    if len(json.dumps(config, ensure_ascii=False, separators=(",", ":")).encode()) > LARGEST_CONFIG:
        raise InvalidInputError(Flaw("/config", f"must be at most {LARGEST_CONFIG} bytes of JSON"))
    try:
        read: Config = TypeAdapter(integration.config_type).validate_python(config, context=environ)
    except ValidationError as error:
        raise InvalidInputError(
            *at("/config", _flaws(error, integration.config_type.__annotations__))
        ) from None
    return read


def _read(model: type[Body], body: object, environ: Mapping[str, str], *, nulls: bool) -> Body:
    wrong = [*_unstorable(body, "")] + ([] if nulls else [*_nulls(body, "")])
    if wrong:
        raise InvalidInputError(*wrong[:MOST_FLAWS])
    try:
        return model.model_validate(body, context=environ)
    except ValidationError as error:
        # "from None": the original error quotes the input, and a log may show the chain.
        raise InvalidInputError(*_flaws(error, model.model_fields)) from None


def _flaws(error: ValidationError, known: Mapping[str, Any]) -> list[Flaw]:
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        Flaw(_pointer(one["loc"]), _sentence(one["type"], one["msg"], _known(known, one["loc"])))
        for one in errors[:MOST_FLAWS]
    ]


def _known(fields: Mapping[str, Any], path: Sequence[str | int]) -> Mapping[str, Any]:
    """Return the fields of the object that a path leads into."""
    inner = fields.get(str(path[0])) if len(path) > 1 else None
    known: Mapping[str, Any] = getattr(getattr(inner, "annotation", None), "model_fields", fields)
    return known


def _sentence(kind: str, message: str, known: Mapping[str, Any]) -> str:
    if kind == "extra_forbidden":
        return f"is not a known field; the known ones are {', '.join(known)}"
    if kind in {"model_type", "dict_type"}:
        return "must be a JSON object"
    if kind == "missing":
        return "is required"
    # Pydantic begins its own sentences with "Input should", "String should" and the like.
    said = re.sub(r"^\w+ should ", "must ", message.removeprefix("Value error, "))
    return PLAIN.get(said, said)


def _pointer(path: Sequence[str | int]) -> str:
    # Cut: a name comes from the caller, may be as long as the body, and stands in every flaw.
    parts = (str(step)[:LONGEST_NAME] for step in path)
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


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


def _unstorable(body: object, pointer: str) -> Iterator[Flaw]:
    for where, value in _walk(body, pointer):
        if isinstance(value, str) and UNSTORABLE.search(value):
            yield Flaw(
                where,
                "must not hold control characters, lone surrogates, U+FFFE or U+FFFF",
            )


def _nulls(body: object, pointer: str) -> Iterator[Flaw]:
    for where, value in _walk(body, pointer):
        if value is None:
            yield Flaw(where, "must not be null; leave the field out instead")
