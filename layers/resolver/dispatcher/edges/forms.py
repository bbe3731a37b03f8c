"""Forms as browsers and mailbox providers post them: urlencoded or multipart."""

from __future__ import annotations

from email.message import Message
from email.parser import BytesParser
from urllib.parse import parse_qsl

from dispatcher.errors import FieldError, InvalidInputError

MOST_FIELDS = 10


def fields(content_type: str, data: bytes) -> list[tuple[str, str]]:
    """Return names and values in order; ``InvalidInputError`` for anything but a form."""
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind == "application/x-www-form-urlencoded":
            return _urlencoded(data)
        if kind == "multipart/form-data":
            return _multipart(content_type, data)
    except Exception:  # noqa: BLE001, S110 - on contradicting parameters the library's parser fails in many ways
        pass
    raise InvalidInputError(
        FieldError("", "must be application/x-www-form-urlencoded or multipart/form-data")
    )


def _urlencoded(data: bytes) -> list[tuple[str, str]]:
    text = data.decode()
    return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)


def _multipart(content_type: str, data: bytes) -> list[tuple[str, str]]:
    if not content_type.isprintable():
        raise ValueError("a header of more than one line")
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    whole = BytesParser().parsebytes(head + data)
    payload = whole.get_payload()
    # Text if it is not multipart after all.
    parts = payload if isinstance(payload, list) else []
    named = [
        (part.get_param("name", header="content-disposition"), part.get_payload(decode=True))
        for part in parts
        if isinstance(part, Message)
    ]
    found = [
        (name, value.decode())
        for name, value in named
        if isinstance(name, str) and isinstance(value, bytes)
    ]
    if len(found) < len(named) or not 0 < len(found) <= MOST_FIELDS:
        raise ValueError("a part that is not a field, no field, or too many")
    return found
