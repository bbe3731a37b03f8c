"""Delivers SMS: one text message through SNS, sent at most once.

A duplicate costs money and annoys the user. So if the outcome of an attempt is unknown, the
delivery is not retried.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from botocore.parsers import ResponseParserError

from channels.aws_errors import AwsError, Failure, failure, named
from channels.characters import character_ends
from channels.plain import plain
from channels.reports import names as report_names
from dispatcher.delivery.outcomes import (
    UNKNOWN_OUTCOME,
    Delivered,
    Outcome,
    Permanent,
    Retry,
)
from dispatcher.errors import BrokenSettingError
from dispatcher.integrations.sms import reachable_number, sender_id
from dispatcher.variables import required

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sns.type_defs import MessageAttributeValueTypeDef

    from channels import ClientFactory
    from dispatcher.delivery.ports import Channel, Message

MOST_PARTS = 10
"""Billed parts of one message at most; SNS accepts at most 1,600 characters."""

# GSM 03.38: characters of one septet, and characters of two.
_SEPTET = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_TWO_SEPTETS = frozenset("\f^{}\\[~]|€")
ORIGINATION_NUMBER = "SMS_ORIGINATION_NUMBER"
TRANSPORT = "SMS_TRANSPORT"

SHORTEST_VALIDITY, LONGEST_VALIDITY = 5, 259_200
"""Seconds of SendTextMessage's ``TimeToLive``."""

OPTED_OUT: Literal["opted_out"] = "opted_out"
"""The code of a number whose owner wants no text messages, and the state of its suppression."""

# SNS, "AWS.MM.SMS.OriginationNumber": a phone number or a short code of this account.
_ORIGINATION = re.compile(r"[+]?[0-9]{5,14}")


class Alphabet(NamedTuple):
    """An SMS encoding: characters in a message of one part, and in each of several parts."""

    single: int
    each: int
    mark: str
    """Mark at the end of a shortened text, in characters of this alphabet."""


GSM_7 = Alphabet(single=160, each=153, mark="...")
UCS_2 = Alphabet(single=70, each=67, mark="…")


class Transport(Protocol):
    """Sends one text message to one number."""

    @property
    def service(self) -> str:
        """The name of the service for people."""

    def send(self, message: Message, number: str, text: str) -> str:
        """Send the text once and return the service's message ID.

        Raise what the service's client raises, ``ValueError`` for a stored sender ID that cannot be
        used, or ``BrokenSettingError``.
        """

    def has_opted_out(self, error: Exception) -> bool:
        """Return whether the service refused the number because its owner opted out."""


@dataclass(frozen=True, slots=True)
class TextMessage:
    """Implements ``ports.Channel``."""

    transport: Transport
    environ: Mapping[str, str]

    def deliver(self, message: Message) -> Outcome:
        """Check the number again, because permitted countries may have changed, and send."""
        try:
            number = reachable_number(message.address.value, self.environ)
        except ValueError as error:
            return Permanent("number_refused", f"the number {error}")
        except BrokenSettingError as error:
            return Retry("broken_setting", str(error))
        text = fitted(plain_text(message))
        try:
            message_id = self.transport.send(message, number, text)
        except BrokenSettingError as error:
            return Retry("broken_setting", str(error))
        except AwsError as error:
            return self._failed(error)
        except ValueError as error:
            return Permanent("invalid_config", f"the stored sender_id cannot be used: it {error}")
        return Delivered({"message_id": message_id, "parts": parts(text)})

    def _failed(self, error: Exception) -> Outcome:
        service = self.transport.service
        if self.transport.has_opted_out(error):
            detail = "the receiver has opted out of text messages"
            return Permanent(OPTED_OUT, detail, suppress=OPTED_OUT)
        detail = f"{service} did not accept the message: {named(error)}"
        match failure(error):
            case Failure.REFUSED:
                return Permanent("refused", detail)
            case Failure.UNKNOWN:
                return Permanent(
                    UNKNOWN_OUTCOME,
                    f"{service} may have accepted the message, so it is not sent again: "
                    f"{named(error)}",
                )
            case _:
                return Retry("unavailable", detail)


@dataclass(frozen=True, slots=True)
class Sns:
    """Sends by SNS, which reports nothing later."""

    client: SNSClient
    environ: Mapping[str, str]
    service: str = "SNS"

    def send(self, message: Message, number: str, text: str) -> str:
        """Publish the text to the number."""
        wanted = attributes(message, origination_number(self.environ))
        response = self.client.publish(PhoneNumber=number, Message=text, MessageAttributes=wanted)
        return response["MessageId"]

    def has_opted_out(self, error: Exception) -> bool:
        """Return whether the error is SNS's own for a number that opted out."""
        return named(error) in {"OptedOut", "OptedOutException"}


class SmsVoiceClient(Protocol):
    """The call of End User Messaging that is used; its types are not installed."""

    def send_text_message(self, **request: Any) -> Mapping[str, Any]:  # noqa: ANN401 - untyped API
        """Send one text message."""


@dataclass(frozen=True, slots=True)
class EndUserMessaging:
    """Sends by AWS End User Messaging, whose reports return the ``Context``."""

    client: SmsVoiceClient
    environ: Mapping[str, str]
    service: str = "End User Messaging"

    def send(self, message: Message, number: str, text: str) -> str:
        """Send the text from the operator's number; its validity ends with ``expires_at``."""
        origination = origination_number(self.environ)
        if origination is None:
            raise BrokenSettingError(
                ORIGINATION_NUMBER, "is missing: set it to a number of this account"
            )
        request: dict[str, Any] = {
            "DestinationPhoneNumber": number,
            "OriginationIdentity": origination,
            "MessageBody": text,
            "MessageType": "TRANSACTIONAL",
            "ConfigurationSetName": required(self.environ, "STACK_NAME"),
            "Context": report_names(message),
        }
        if message.expires_at is not None:
            seconds = math.floor(message.expires_at - message.attempted_at)
            request["TimeToLive"] = min(max(seconds, SHORTEST_VALIDITY), LONGEST_VALIDITY)
        response = self.client.send_text_message(**request)
        if "MessageId" not in response:
            # botocore reads a body that is not JSON as an empty response.
            raise ResponseParserError("the response has no MessageId")
        return str(response["MessageId"])

    def has_opted_out(self, error: Exception) -> bool:
        """Return whether the error is a conflict whose reason is the opt-out."""
        response: Mapping[str, Any] = getattr(error, "response", {})
        return (
            named(error) == "ConflictException"
            and response.get("Reason") == "DESTINATION_PHONE_NUMBER_OPTED_OUT"
        )


def plain_text(message: Message) -> str:
    """Return subject and content as plain text."""
    return (
        plain("\n".join(filter(None, (message.subject, message.content))))
        .replace("\t", " ")
        .strip()
    )


def attributes(
    message: Message, origination: str | None
) -> dict[str, MessageAttributeValueTypeDef]:
    """Return the message type, the override's sender ID and the origination number.

    Raise ``ValueError`` if an older version stored a sender ID that SNS refuses.
    """
    sender = message.config.get("sender_id")
    values = {
        "AWS.SNS.SMS.SMSType": "Transactional",
        "AWS.SNS.SMS.SenderID": sender and sender_id(sender, {}),
        "AWS.MM.SMS.OriginationNumber": origination,
    }
    return {
        name: {"DataType": "String", "StringValue": value}
        for name, value in values.items()
        if value
    }


def origination_number(environ: Mapping[str, str]) -> str | None:
    """Return the number that messages are sent from; with ``None``, SNS chooses one."""
    value = environ.get(ORIGINATION_NUMBER, "")
    if value and not _ORIGINATION.fullmatch(value):
        raise BrokenSettingError(
            ORIGINATION_NUMBER,
            f"is {value!r}: set it to 5 to 14 digits, with or without a leading plus sign",
        )
    return value or None


def alphabet(text: str) -> Alphabet:
    """Return a text's encoding; one character outside of GSM-7 makes all of it UCS-2."""
    return GSM_7 if set(text) <= _SEPTET | _TWO_SEPTETS else UCS_2


def parts(text: str) -> int:
    """Return the number of billed parts; a character is never split between two parts."""
    used = alphabet(text)
    sizes = [_size(character, used) for character in text]
    if sum(sizes) <= used.single:
        return 1
    count, filled = 1, 0
    for size in sizes:
        filled += size
        if filled > used.each:
            count, filled = count + 1, size
    return count


def fitted(text: str) -> str:
    """Return the text, shortened to the permitted parts with a mark at its end."""
    # No part holds more characters than this, so the rest is not read.
    seen = text[: MOST_PARTS * GSM_7.each + 1]
    if seen == text and parts(text) <= MOST_PARTS:
        return text
    mark = alphabet(seen).mark
    lengths: Sequence[int] = [0, *character_ends(seen)]
    if parts(seen[: lengths[1]] + mark) > MOST_PARTS:
        # A single character with more accents than fit.
        lengths = range(len(seen) + 1)
    fitting = bisect_right(lengths, MOST_PARTS, key=lambda length: parts(seen[:length] + mark))
    return seen[: lengths[fitting - 1]].rstrip() + mark


def _size(character: str, used: Alphabet) -> int:
    if used is GSM_7:
        return 2 if character in _TWO_SEPTETS else 1
    return 2 if ord(character) > 0xFFFF else 1


def channel(environ: Mapping[str, str], aws: ClientFactory) -> Channel:
    """Build the channel from the function's environment."""
    transport = environ.get(TRANSPORT) or "sns"
    if transport == "sns":
        sns = aws("sns")
        sns.meta.events.register("before-send.sns", _close_afterwards, unique_id="close-afterwards")
        return TextMessage(Sns(sns, environ), environ)
    if transport == "end-user-messaging":
        voice = aws("pinpoint-sms-voice-v2")
        voice.meta.events.register(
            "before-send.pinpoint-sms-voice-v2", _close_afterwards, unique_id="close-afterwards"
        )
        return TextMessage(EndUserMessaging(voice, environ), environ)
    raise BrokenSettingError(TRANSPORT, f"is {transport!r}: set it to sns or end-user-messaging")


def _close_afterwards(request: Any, **_: object) -> None:  # noqa: ANN401 - botocore's own
    # Lambda freezes idle processes, so a kept connection may be dead; a send over a dead connection
    # has an unknown outcome.
    request.headers["Connection"] = "close"
