"""Reads the reports of providers about messages that they accepted.

Amazon SES reports by EventBridge, AWS End User Messaging by SNS, which may wrap either event. The
events name user, delivery and round in tags that the worker set.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from dispatcher.delivery.doorbells import LATEST, UnreadableError
from dispatcher.delivery.rows import place_of
from dispatcher.identifiers import DELIVERY_ID, UNSTORABLE, USER_ID
from dispatcher.lines import one_line
from dispatcher.strict_json import MalformedJsonError, read_json

if TYPE_CHECKING:
    from dispatcher.strict_json import JsonObject

LONGEST_DETAIL = 80
"""Bytes of a receipt's detail."""

SOURCES = frozenset({"aws.ses", "aws.sms-voice"})
"""Sources of EventBridge events that report about messages."""

GAVE_UP = frozenset({"MailboxFull", "MessageTooLarge", "ContentRejected", "AttachmentRejected"})
"""Subtypes of a transient bounce after which SES does not try again."""

NOT_DELIVERED = frozenset(
    {
        *("TEXT_BLOCKED", "TEXT_CARRIER_BLOCKED", "TEXT_PROTECT_BLOCKED", "TEXT_SPAM"),
        *("TEXT_INVALID", "TEXT_INVALID_MESSAGE", "TEXT_TTL_EXPIRED"),
        *("TEXT_UNREACHABLE", "TEXT_CARRIER_UNREACHABLE"),
    }
)
"""Events of text messages that the provider could not deliver."""

_ADDRESS = re.compile(r"[^\s<>@]+@[^\s<>@]+")
_PHONE_NUMBER = re.compile(r"\+[1-9][0-9]{1,14}")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]{1,172}={0,2}")
_ROUND = re.compile(r"[1-9][0-9]{0,8}")
_ADDRESS_IN_TEXT = re.compile(r"<?[^\s<>@]+@[^\s<>@]+>?|\+?[0-9]{7,15}")
_LONGEST_ADDRESS = 320
"""Characters: 64 for the name, 255 for the domain."""
_LONGEST_TEXT = 2_000
"""Characters of a provider's text that are read."""


class Meaning(NamedTuple):
    """The meaning of a kind of event."""

    receipt: str | None
    """The state of the receipt."""
    error_code: str | None = None
    """How a success ends."""
    suppress: str | None = None
    """The state of the address's suppression."""


DELAYED, DELIVERED = Meaning("delayed"), Meaning("delivered")
BOUNCED = Meaning("bounced", "bounced", "bounced")
UNDELIVERED = Meaning("bounced", "undelivered")
COMPLAINED = Meaning("complained", suppress="complained")
REJECTED = Meaning(None, "rejected")
OPTED_OUT = Meaning("opted_out", "opted_out", "opted_out")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEvent:
    """A provider's report about one delivery."""

    user_id: str
    delivery_id: str
    round: int
    integration_type: str
    meaning: Meaning
    at: float | None
    """``None`` if the event names no time."""
    address: str | None
    """Set if the event suppresses it."""
    detail: str


def read(body: str, stack: str) -> ProviderEvent:
    """Read the body of a queue message.

    Raises ``UnreadableError``, which does not quote the message, for everything that is not a
    report about a delivery of this stack.
    """
    message = _json(body)
    if message.get("Type") == "Notification":
        message = _json(_text(message, "Message"))
    event, sent_at = message, None
    if "detail" in message:
        if _text(message, "source") not in SOURCES:
            raise UnreadableError("the event's source is no provider of messages")
        event, sent_at = _part(message, "detail"), message.get("time")
    kind = _text(event, "eventType")
    if kind.startswith("TEXT_"):
        return _of_text_message(event, kind, stack)
    return _of_email(event, kind, stack, sent_at)


def _of_email(event: JsonObject, kind: str, stack: str, sent_at: object) -> ProviderEvent:
    mail = _part(event, "mail")
    tags = _part(mail, "tags")
    # First: whatever else is wrong with an event of another stack does not matter here.
    if _tag(tags, "dispatcher") != stack:
        raise UnreadableError("the event belongs to another stack")
    part: JsonObject
    recipients: list[JsonObject] = []
    match kind:
        case "Bounce":
            part = _part(event, "bounce")
            recipients, meaning = _parts(part, "bouncedRecipients"), _bounce(part)
        case "Complaint":
            part = _part(event, "complaint")
            recipients, meaning = _parts(part, "complainedRecipients"), COMPLAINED
            # "not-spam" is no complaint: the email arrived, and was wanted.
            if _text(part, "complaintFeedbackType") == "not-spam":
                meaning = DELIVERED
        case "Delivery":
            part, meaning = _part(event, "delivery"), DELIVERED
        case "DeliveryDelay":
            part, meaning = _part(event, "deliveryDelay"), DELAYED
            recipients = _parts(part, "delayedRecipients")
        case "Reject":
            part, meaning = _part(event, "reject"), REJECTED
        case _:
            raise UnreadableError("the event type reports nothing about a delivery")
    address = _email_address(mail, recipients)
    if meaning.suppress and address is None:
        raise UnreadableError("the event names no email address")
    words = (
        *(_text(one, name) for one in recipients[:1] for name in ("diagnosticCode", "status")),
        *(_text(part, name) for name in ("smtpResponse", "reason", "complaintFeedbackType")),
        *(_text(part, name) for name in ("delayType", "bounceSubType")),
    )
    return ProviderEvent(
        **_names(tags),
        integration_type="EMAIL",
        meaning=meaning,
        at=_time(part.get("timestamp"), sent_at, mail.get("timestamp")),
        address=address if meaning.suppress else None,
        detail=_detail(next(filter(None, words), ""), address),
    )


def _bounce(bounce: JsonObject) -> Meaning:
    match bounce.get("bounceType"), bounce.get("bounceSubType"):
        case "Permanent", _:
            return BOUNCED
        case "Transient", str(subtype) if subtype in GAVE_UP:
            return UNDELIVERED
        case (("Transient" | "Undetermined"), _):
            # A later event tells how it ends; out-of-office replies never get one.
            return DELAYED
    raise UnreadableError("the bounceType is unknown")


def _of_text_message(event: JsonObject, kind: str, stack: str) -> ProviderEvent:
    context = _part(event, "context")
    # The topic belongs to the stack, so the context does not need to name it.
    if _tag(context, "dispatcher") not in {"", stack}:
        raise UnreadableError("the event belongs to another stack")
    description = _text(event, "messageStatusDescription")
    if kind == "TEXT_DELIVERED":
        meaning = DELIVERED
    elif kind in NOT_DELIVERED:
        opted_out = "opted" in description.lower() or _text(event, "messageStatus") == "OPTED_OUT"
        meaning = OPTED_OUT if opted_out else UNDELIVERED
    else:
        raise UnreadableError("the event type reports nothing about a delivery")
    number = _text(event, "destinationPhoneNumber")
    address = number if _PHONE_NUMBER.fullmatch(number) else None
    if meaning.suppress and address is None:
        raise UnreadableError("the event names no phone number")
    return ProviderEvent(
        **_names(context),
        integration_type="SMS",
        meaning=meaning,
        at=_time(event.get("eventTimestamp")),
        address=address if meaning.suppress else None,
        detail=_detail(description or _text(event, "messageStatus"), address),
    )


# Parts --------------------------------------------------------------------------------------------


class _Names(TypedDict):
    user_id: str
    delivery_id: str
    round: int


def _names(tags: JsonObject) -> _Names:
    user_id, delivery_id = _user_id(_tag(tags, "user")), _tag(tags, "delivery")
    if not DELIVERY_ID.fullmatch(delivery_id) or place_of(delivery_id) == -1:
        raise UnreadableError("the tag delivery is out of shape")
    number = _tag(tags, "round")
    if not _ROUND.fullmatch(number):
        raise UnreadableError("the tag round is out of shape")
    return {"user_id": user_id, "delivery_id": delivery_id, "round": int(number)}


def _user_id(tag: str) -> str:
    """Read a user ID in base64url, with or without padding."""
    if _BASE64URL.fullmatch(tag):
        text = tag.rstrip("=")
        try:
            decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
        except (binascii.Error, UnicodeDecodeError):
            decoded = ""
        if USER_ID.fullmatch(decoded):
            return decoded
    raise UnreadableError("the tag user is out of shape")


def _tag(tags: JsonObject, name: str) -> str:
    """Return the one value of a tag, which SES writes as a list; empty without one."""
    match tags.get(name):
        case str(value) | [str(value)]:
            return value
    return ""


def _email_address(mail: JsonObject, recipients: list[JsonObject]) -> str | None:
    """Return the address that the email was sent to.

    A recipient of a bounce may be another one: a mailbox that the address forwards to.
    """
    destination = mail.get("destination")
    given = destination if isinstance(destination, list) and len(destination) == 1 else []
    given = [*given, *(_text(one, "emailAddress") for one in recipients)]
    for text in given:
        if not isinstance(text, str) or len(text) > _LONGEST_TEXT or UNSTORABLE.search(text):
            continue
        # Not with parseaddr, which recurses: 500 parentheses exceed Python's limit.
        address = text.rpartition("<")[2].strip().removesuffix(">")
        if len(address) <= _LONGEST_ADDRESS and _ADDRESS.fullmatch(address):
            return address
    return None


def _detail(text: str, address: str | None) -> str:
    """Return the provider's words on one line, without addresses and numbers of people."""
    words = " ".join(one_line(text[:_LONGEST_TEXT]).split())
    kind, _, rest = words.partition(";")
    if kind.lower() in {"smtp", "x-unix", "x400"}:
        words = rest.strip()
    if address:
        words = re.sub(f"<?{re.escape(address)}>?", "…", words, flags=re.IGNORECASE)
    words = _ADDRESS_IN_TEXT.sub("…", words)
    return words.encode()[:LONGEST_DETAIL].decode(errors="ignore").rstrip()


def _time(*values: object) -> float | None:
    """Return the first value that is a time: RFC 3339, or milliseconds since 1970."""
    for value in values:
        seconds = -1.0
        if isinstance(value, str):
            try:
                read_at = datetime.fromisoformat(value)
                seconds = (read_at if read_at.tzinfo else read_at.replace(tzinfo=UTC)).timestamp()
            except (ValueError, OverflowError):
                continue
        elif isinstance(value, int | float) and not isinstance(value, bool):
            # Bounded first: the float of a large integer overflows.
            seconds = min(max(value, -1), LATEST * 1000) / 1000
        if 0 <= seconds < LATEST:
            return round(seconds, 3)
    return None


def _json(text: str) -> JsonObject:
    try:
        value = read_json(text)
    except MalformedJsonError as error:
        raise UnreadableError(f"the message {error}") from error
    if not isinstance(value, dict):
        raise UnreadableError("the message is not a JSON object")
    return dict(value)


def _part(event: JsonObject, name: str) -> JsonObject:
    value = event.get(name)
    return value if isinstance(value, dict) else {}


def _parts(event: JsonObject, name: str) -> list[JsonObject]:
    value = event.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text(event: JsonObject, name: str) -> str:
    value = event.get(name)
    return value if isinstance(value, str) else ""
