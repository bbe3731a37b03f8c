"""Request bodies of sends and previews, strictly validated.

Only functions that read a body import this module, because it imports pydantic.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
)

from dispatcher.configuration.bodies import IntegrationTypes  # noqa: TC001 - pydantic reads it
from dispatcher.errors import FieldError, InvalidInputError
from dispatcher.identifiers import CATEGORY, CATEGORY_RULE, REQUEST_ID, REQUEST_ID_RULE
from dispatcher.integrations import rules, slack
from dispatcher.integrations.integration import Check, Recipient
from dispatcher.integrations.rules import whole
from dispatcher.messages.templating import Scalar, render, rendered_size
from dispatcher.validation import Strict, Time, distinct, read

if TYPE_CHECKING:
    from collections.abc import Mapping


LARGEST_CONTENT = 128 * 1024
"""Bytes of UTF-8, before and after the variables are filled in."""

LONGEST_SUBJECT = 998
"""Characters of a line by RFC 5322 (2.1.1)."""

LONGEST_WAIT = 30 * 86_400
"""Seconds that ``deliver_at`` may lie ahead."""

_INK = (
    r"[^\s\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff]"
)
"""A visible character: no white space, control or format character, filler or variation selector.

In the syntax of both Python and JSON Schema.
"""

_VISIBLE = re.compile(_INK)

_VARIABLE = re.compile(r"[_A-Za-z][_A-Za-z0-9]{0,63}")


def _request_id(value: str) -> str:
    if REQUEST_ID.fullmatch(value):
        return value
    raise ValueError(REQUEST_ID_RULE)


def _category(value: str) -> str:
    if CATEGORY.fullmatch(value):
        return value
    raise ValueError(CATEGORY_RULE)


def _one_line(value: str) -> str:
    # splitlines knows every line break (also NEL and U+2028) that could end an email header.
    if len((value + "x").splitlines()) > 1:
        message = "must be one line"
        raise ValueError(message)
    return value


def _fits_a_line(subject: str, variables: Mapping[str, Scalar]) -> bool:
    # The size is checked first, because it limits the rendering. A character has at most 4 bytes.
    if rendered_size(subject, variables) > 4 * LONGEST_SUBJECT:
        return False
    line = render(subject, variables)
    return 0 < len(line) <= LONGEST_SUBJECT and len((line + "x").splitlines()) == 1


def _some_text(value: str) -> str:
    if _VISIBLE.search(value) is None:
        message = "must not be blank"
        raise ValueError(message)
    if len(value.encode()) > LARGEST_CONTENT:
        message = f"must be at most {LARGEST_CONTENT} bytes of UTF-8"
        raise ValueError(message)
    return value


def _scalar(value: object) -> object:
    # Checked before the union, which would report four errors that name Python types.
    if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    message = "must be text, a finite number, true or false"
    raise ValueError(message)


def _variables(values: dict[str, Scalar]) -> dict[str, Scalar]:
    for name in values:
        if not _VARIABLE.fullmatch(name):
            message = "names must be 1-64 letters, digits or _ and not begin with a digit"
            raise ValueError(message)
    return values


# The rules above as far as JSON Schema can express them, for the OpenAPI document.
_TEXT = r"[^\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]*"
_LINE = {"pattern": r"^[^\u0000-\u0008\u000a-\u001f\u0085\u2028\u2029\ufffe\uffff]+$"}

RequestId = Annotated[
    str,
    AfterValidator(_request_id),
    Field(json_schema_extra=whole(REQUEST_ID.pattern)),
]
Label = Annotated[
    str,
    Field(min_length=1, max_length=256, json_schema_extra=_LINE),
    AfterValidator(_one_line),
]


class RecipientBody(Strict):
    """The addresses for this message, used where the user's override has none."""

    # By module: inside a class pydantic takes a bare name for the field of that name.
    email: Annotated[str, Check(rules.email_address, rules.EMAIL)] | None = None
    """The email address for EMAIL, with which SLACK also looks the user up."""
    phone_number: Annotated[str, Check(rules.phone_number, rules.PHONE_NUMBER)] | None = None
    """The phone number for SMS, in E.164 form."""
    slack_user_id: Annotated[str, Check(slack.slack_user_id, whole(slack.SLACK_USER_ID))] | None = (
        None
    )
    """The user's Slack ID in the workspace."""
    slack_channel: Annotated[str, Check(slack.channel_id, whole(slack.CHANNEL_ID))] | None = None
    """The ID of the Slack channel to post in."""


class SendBody(Strict):
    """A message for one user.

    ``deliver_at`` and ``expires_at`` are seconds since 1970 once read.
    """

    request_id: RequestId | None = None
    """The request's ID; a repeated request gets the same response, and nothing is sent twice."""
    session_id: Label | None = None
    """The ID of the conversation that the message belongs to."""
    agent_id: Label | None = None
    """The ID of the agent that sends the message."""
    category: (
        Annotated[str, AfterValidator(_category), Field(json_schema_extra=whole(CATEGORY.pattern))]
        | None
    ) = None
    """The name of the category that the message belongs to."""
    subject: (
        Annotated[
            str,
            Field(min_length=1, max_length=LONGEST_SUBJECT, json_schema_extra=_LINE),
            AfterValidator(_one_line),
        ]
        | None
    ) = None
    """The subject, one line; variables are filled in here too."""
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
    """The content in Markdown, at most 128 KiB; each integration renders it."""
    template_variables: Annotated[
        dict[str, Annotated[str | int | float | bool, BeforeValidator(_scalar)]],
        Field(
            max_length=64,
            json_schema_extra={
                "propertyNames": whole(_VARIABLE.pattern),
                # The pattern is for text; it does not apply to the other types.
                "additionalProperties": {
                    "type": ["string", "number", "boolean"],
                    **whole(_TEXT),
                },
            },
        ),
        AfterValidator(_variables),
    ] = Field(default_factory=dict)
    """The values of `$name` and `${name}` in subject and content."""
    recipient: RecipientBody = Field(default_factory=RecipientBody)
    """The addresses for this message."""
    integration_types: Annotated[IntegrationTypes, distinct("integration")] | None = None
    """The integrations to use if they are enabled, all if the field is missing; in any case."""
    mode: Literal["all", "first_success"] = "all"
    """The mode: all integrations deliver (default), or one after the other until one succeeds."""
    deliver_at: Time | None = None
    """The time of delivery, at most 30 days ahead; a time in the past means now."""
    expires_at: Time | None = None
    """The time after which the message is not delivered; later than now and `deliver_at`."""

    def fingerprint(self) -> bytes:
        """Return the SHA-256 of the fields that identify equal requests, without ``request_id``.

        ``integration_types`` is a set: its order does not matter.
        """
        # Without defaults: a field that a later version adds changes no fingerprint without it.
        fields = self.model_dump(exclude={"request_id"}, exclude_defaults=True)
        if self.integration_types:
            fields["integration_types"] = sorted(self.integration_types)
        canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).digest()

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
    """Read the body of a send; ``check_times`` checks its times."""
    send = read(SendBody, body, environ, nulls=False)
    field_errors = []
    if rendered_size(send.content, send.template_variables) > LARGEST_CONTENT:
        field_errors.append(
            FieldError(
                "/content", f"with its variables filled in must be at most {LARGEST_CONTENT} bytes"
            )
        )
    elif _VISIBLE.search(send.text()) is None:
        field_errors.append(
            FieldError("/content", "must not be blank once its variables are filled in")
        )
    if send.subject is not None and not _fits_a_line(send.subject, send.template_variables):
        field_errors.append(
            FieldError(
                "/subject",
                f"filled in, must be one line of 1-{LONGEST_SUBJECT} characters",
            )
        )
    if field_errors:
        raise InvalidInputError(*field_errors)
    return send


def preview_body(body: object, environ: Mapping[str, str]) -> SendBody:
    """Read the body of a preview: that of a send, whose content may be missing."""
    if isinstance(body, dict) and "content" not in body:
        body = {**body, "content": "-"}
    return send_body(body, environ)


def check_times(send: SendBody, now: float) -> None:
    """Reject a delivery time too far ahead, and a message that would already have expired."""
    begin = max(now, send.deliver_at or now)
    field_errors = []
    if begin > now + LONGEST_WAIT:
        field_errors.append(
            FieldError("/deliver_at", f"must be at most {LONGEST_WAIT // 86_400} days ahead")
        )
    if send.expires_at is not None and send.expires_at <= begin:
        field_errors.append(FieldError("/expires_at", "must be in the future and after deliver_at"))
    if field_errors:
        raise InvalidInputError(*field_errors)
