"""The parts of the document that no code declares: ``declared.yaml``, and schemas of parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pydantic import BaseModel

from dispatcher import paging
from dispatcher.delivery.rows import Status
from dispatcher.identifiers import CATEGORY, DELIVERY_ID, REQUEST_ID, SUPPRESSION_ID, USER_ID
from dispatcher.integrations import catalogue
from dispatcher.integrations.rules import whole
from dispatcher.messages import history, mailbox
from tools.api_document.samples import DECLARED
from tools.api_document.schemas import Json


class Response(NamedTuple):
    """A response that is not a problem; without ``schema`` it has no body."""

    status: int
    schema: str
    description: str


class Operation(BaseModel, extra="forbid"):
    """The declared parts of one operation; the rest comes from its handler."""

    responses: dict[str | int, str]
    """Status, and the schema of a body → description."""
    body: str | None = None
    headers: list[str] = []
    parameters: dict[str, str] = {}
    """Name → description."""
    path: dict[str, str] = {}
    only: dict[str, str] = {}
    """The only values of path parameters."""
    problems: list[int] = []

    def successes(self) -> list[Response]:
        """Return the responses in order; the first one is the usual one."""
        split = [(str(key).partition(" "), text) for key, text in self.responses.items()]
        return [Response(int(status), schema, text) for (status, _, schema), text in split]


GROUPS: Mapping[str, Mapping[str, Operation]] = {
    name: {function: Operation(**one) for function, one in group["operations"].items()}
    for name, group in DECLARED["groups"].items()
}

OPERATIONS = {name: one for group in GROUPS.values() for name, one in group.items()}
"""By the folder of the function, in the order of the document."""


def parameter(function: str, name: str, description: str) -> Json:
    """Return a query parameter or a header of a request."""
    if number := NUMBERS.get(name):
        # In words: a generated client would send a "default" of the schema with every request.
        description += f" Default: {number.default}."
        schema = {"type": "integer", "minimum": number.range.low, "maximum": number.range.high}
    else:
        schema = SCHEMAS.get(f"{function} {name}") or SCHEMAS[name]
    place = "header" if name[0].isupper() else "query"
    shared = {"name": name, "in": place, "required": False}
    return {**shared, "description": description, "schema": schema}


def _text(pattern: str, **more: str) -> Json:
    return {"type": "string", **more, **whole(pattern)}


def _enum(values: Iterable[str]) -> Json:
    return {"type": "string", "enum": [str(value) for value in values]}


NUMBERS = {"limit": paging.LIMIT, "offset": history.OFFSET}

SCHEMAS: Mapping[str, Json] = {
    "user_id": _text(USER_ID.pattern),
    "integration_type": _enum(catalogue()),
    "list_messages integration_type": _enum(mailbox.TYPES),
    "category": _text(CATEGORY.pattern),
    "suppression_id": _text(SUPPRESSION_ID.pattern),
    "delivery_id": _text(DELIVERY_ID.pattern, format="uuid"),
    "request_id": _text(REQUEST_ID.pattern),
    "message_id": _text(DELIVERY_ID.pattern, format="uuid"),
    "Idempotency-Key": _text(REQUEST_ID.pattern),
    "If-Match": {"type": "string"},
    "cursor": _text(DELIVERY_ID.pattern),
    "after": _text(DELIVERY_ID.pattern),
    "status": _enum(Status),
    "now": _enum(("true", "false")),
}
"""Of all other parameters; one of them has other values in one function."""
