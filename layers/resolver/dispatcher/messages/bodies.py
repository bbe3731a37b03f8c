"""What callers may say: the bodies of a send and of an override, checked strictly and whole.

Only functions that take a body import this module (and pydantic with it).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    WithJsonSchema,
)

from dispatcher.configuration.bodies import IntegrationType  # noqa: TC001 - pydantic reads it
from dispatcher.errors import FieldError, InvalidInputError
from dispatcher.identifiers import REQUEST_ID
from dispatcher.integrations import catalogue, rules, slack
from dispatcher.integrations.integration import Check, Recipient
from dispatcher.integrations.rules import whole
from dispatcher.messages.templating import render, rendered_size
from dispatcher.validation import Strict, read

if TYPE_CHECKING:
    from collections.abc import Mapping


LARGEST_CONTENT = 128 * 1024
"""Bytes of UTF-8, before and after the variables are filled in."""

LONGEST_SUBJECT = 998
"""Characters: what RFC 5322 (2.1.1) allows a line."""

LONGEST_WAIT = 30 * 86_400
"""Seconds that ``deliver_at`` may lie ahead."""

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


def _distinct(values: list[str]) -> list[str]:
    if len(set(values)) < len(values):
        message = "must name each integration once"
        raise ValueError(message)
    return values


def _scalar(value: object) -> object:
    # Before the union: it would tell four field_errors, each at the name of a Python type.
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


class RecipientBody(Strict):
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


class SendBody(Strict):
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


def send_body(body: object, environ: Mapping[str, str]) -> SendBody:
    """Read the body of a send; what depends on the time of day is ``check_times``' matter."""
    send = read(SendBody, body, environ, nulls=False)
    field_errors = []
    if rendered_size(send.content, send.template_variables) > LARGEST_CONTENT:
        field_errors.append(
            FieldError(
                "/content", f"with its variables filled in must be at most {LARGEST_CONTENT} bytes"
            )
        )
    if send.subject is not None and not _fits_a_line(send.subject, send.template_variables):
        field_errors.append(
            FieldError(
                "/subject",
                f"filled in, must be one line of at most {LONGEST_SUBJECT} characters",
            )
        )
    if field_errors:
        raise InvalidInputError(*field_errors)
    return send


def check_times(send: SendBody, now: float) -> None:
    """Refuse a delivery too far ahead, and one that would be too late before it began."""
    begin = max(now, send.deliver_at or now)
    field_errors = []
    if begin > now + LONGEST_WAIT:
        field_errors.append(
            FieldError("/deliver_at", f"must lie at most {LONGEST_WAIT // 86_400} days ahead")
        )
    if send.expires_at is not None and send.expires_at <= begin:
        field_errors.append(
            FieldError("/expires_at", "must lie in the future and after deliver_at")
        )
    if field_errors:
        raise InvalidInputError(*field_errors)
