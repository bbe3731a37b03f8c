"""Accepts messages that arrive as events, from the event bus or directly in the intake queue."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.errors import FieldError, InvalidInputError
from dispatcher.identifiers import REQUEST_ID, USER_ID, USER_ID_RULE
from dispatcher.strict_json import LARGEST_BODY, MalformedJsonError, read_json, size_of

if TYPE_CHECKING:
    from dispatcher.delivery.ports import Doorbells, EventLog
    from dispatcher.messages.acceptance import Acceptance
    from dispatcher.strict_json import JsonObject

SOURCE = "IntakeQueue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Passes messages from events to ``Acceptance``."""

    acceptance: Acceptance
    doorbells: Doorbells
    event_log: EventLog

    def take(self, body: str, message_id: str) -> None:
        """Accept the message of an event; park a malformed one, for a person to inspect.

        Raises ``UnavailableError`` or ``BrokenSettingError`` if the event has to be retried.
        """
        try:
            user_id, send = read_event(body, message_id)
            self.acceptance.accept(user_id, send)
        except (InvalidInputError, MalformedJsonError) as error:
            self.doorbells.park(body, reason=str(error), source=SOURCE)
            # Without the reason: it may quote names from the event, and the log has more readers.
            self.event_log.emit(
                "event.parked",
                error=type(error).__name__,
                message_id=message_id,
                **names_in(body),
            )


def read_event(body: str, message_id: str) -> tuple[str, JsonObject]:
    """Find user and send body in an EventBridge event, a CloudEvents envelope, or a bare message.

    The identity is the body's ``request_id``, else the CloudEvents ``source`` and ``id``, else the
    EventBridge ``id``, else the queue's own message ID.
    """
    message = _mapping(read_json(body), "")
    identity = message_id
    if "detail-type" in message and "detail" in message:
        identity = _text(message, "id") or message_id
        message = _mapping(message["detail"], "/detail")
    if message.get("specversion") == "1.0" and "data" in message:
        source, name = _text(message, "source"), _text(message, "id")
        if source and name:
            # A digest of both, because either may be too long or invalid as a request_id.
            digest = hashlib.sha256(f"{source}\n{name}".encode(errors="replace"))
            identity = f"ce-{digest.hexdigest()}"
        message = _mapping(message["data"], "/data")
    # A queue message may be larger; without its envelope it has the limit of a request's body.
    if len(body.encode(errors="replace")) > LARGEST_BODY and size_of(message) > LARGEST_BODY:
        raise InvalidInputError(FieldError("", f"must be at most {LARGEST_BODY} bytes"))
    if "user_id" not in message:
        raise InvalidInputError(FieldError("/user_id", "is required"))
    user_id = message.pop("user_id")
    if not isinstance(user_id, str) or not USER_ID.fullmatch(user_id):
        raise InvalidInputError(FieldError("/user_id", USER_ID_RULE))
    return user_id, {"request_id": identity, **message}


def names_in(body: str) -> dict[str, str]:
    """Return the well-formed names by which operators search for a parked event.

    ``identity`` is the event's own ID: EventBridge's, or else CloudEvents'.
    """
    try:
        event = read_json(body)
    except MalformedJsonError:
        return {}
    outer = event if isinstance(event, dict) else {}
    message = outer
    for wrapping in ("detail", "data"):
        inner = message.get(wrapping)
        message = inner if isinstance(inner, dict) else message
    found = {
        "identity": (REQUEST_ID, _text(outer, "id")),
        "request_id": (REQUEST_ID, _text(message, "request_id")),
        "user_id": (USER_ID, _text(message, "user_id")),
    }
    return {name: text for name, (form, text) in found.items() if form.fullmatch(text)}


def _text(message: JsonObject, name: str) -> str:
    value = message.get(name)
    return value if isinstance(value, str) else ""


def _mapping(value: object, pointer: str) -> JsonObject:
    if not isinstance(value, dict):
        raise InvalidInputError(FieldError(pointer, "must be a JSON object"))
    return dict(value)
