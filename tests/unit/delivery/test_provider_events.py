"""Reports of providers, read from any events."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.delivery import provider_events
from dispatcher.delivery.doorbells import UnreadableError
from dispatcher.delivery.provider_events import Meaning, ProviderEvent, read
from tests.feedback import EVENTS, SMS_EVENTS, STACK, event, in_sns

USER, DID = "ada", "019aae2c-8f00-7000-8a5b-3c1d2e4f5a01"
AT = 1_795_773_605.0
"""2026-11-27T10:00:05Z"""

MEANINGS = {
    "delivery": ("delivered", None, None, "250 2.6.0 Message received"),
    "delay": ("delayed", None, None, "452 4.2.2 mailbox full"),
    "bounce_permanent": ("bounced", "bounced", "bounced", "550 5.1.1 …: user unknown"),
    "bounce_suppressed": (
        *("bounced", "bounced", "bounced"),
        "Amazon SES did not send the message to this address because it is on the suppres",
    ),
    "bounce_undetermined": ("delayed", None, None, "Undetermined"),
    "bounce_general": ("delayed", None, None, "4.0.0"),
    "bounce_mailbox_full": ("bounced", "undelivered", None, "552 5.2.2 mailbox full"),
    "bounce_too_large": ("bounced", "undelivered", None, "552 5.3.4 message too big"),
    "bounce_content": ("bounced", "undelivered", None, "550 5.6.1 content rejected"),
    "bounce_attachment": ("bounced", "undelivered", None, "550 5.6.1 attachment rejected"),
    "complaint": ("complained", None, "complained", "abuse"),
    "complaint_not_spam": ("delivered", None, None, "not-spam"),
    "reject": (None, "rejected", None, "Bad content"),
    "text_delivered": ("delivered", None, None, "Message has been accepted by phone"),
    "text_blocked": ("bounced", "undelivered", None, "Phone is blocked"),
    "text_carrier_blocked": ("bounced", "undelivered", None, "Blocked as spam by phone carrier"),
    "text_invalid": ("bounced", "undelivered", None, "Destination phone number is invalid"),
    "text_opted_out": ("opted_out", "opted_out", "opted_out", "Phone number … is opted out"),
}
"""By recorded event: receipt, error code, suppression and detail."""


def read_event(message: object) -> ProviderEvent:
    """Read an event of this stack."""
    return read(json.dumps(message), STACK)


def changed(name: str, *path: str, **fields: object) -> dict:
    """Return a recorded event with other fields in one of its parts."""
    copy = event(name, USER, DID)
    part = copy
    for step in path:
        part = part[step]
    part.update(fields)
    return copy


def reason(message: object) -> str:
    """Return why an event is no report."""
    body = message if isinstance(message, str) else json.dumps(message)
    with pytest.raises(UnreadableError) as caught:
        read(body, STACK)
    return str(caught.value)


def test_every_recorded_event_is_expected():
    """No recorded event is left out of the table."""
    assert set(MEANINGS) == set(EVENTS)


@pytest.mark.parametrize("name", MEANINGS)
@pytest.mark.parametrize("wrap", [lambda one: one, in_sns], ids=["plain", "in SNS"])
def test_each_kind_of_event_has_its_meaning(name, wrap):
    """The event says what happened to which delivery, also where SNS wraps it."""
    receipt, error_code, suppress, detail = MEANINGS[name]
    number = "+14155552671" if name in SMS_EVENTS else "ada@example.com"

    assert read_event(wrap(EVENTS[name])) == ProviderEvent(
        user_id=USER,
        delivery_id=DID,
        round=1,
        integration_type="SMS" if name in SMS_EVENTS else "EMAIL",
        meaning=Meaning(receipt, error_code, suppress),
        # A rejection has no time; its envelope has.
        at=AT + 1 if name == "reject" else AT,
        address=number if suppress else None,
        detail=detail,
    )


def test_an_event_without_its_envelope_is_read():
    """SES publishes the same object to SNS without the envelope of EventBridge."""
    assert read_event(in_sns(EVENTS["delivery"]["detail"])).meaning == provider_events.DELIVERED


def test_tags_may_be_texts():
    """A tag is a list of one text, or the text itself."""
    names = {"dispatcher": STACK, "user": "YWRh", "delivery": DID, "round": "7"}

    assert read_event(changed("delivery", "detail", "mail", tags=names)).round == 7


@pytest.mark.parametrize("user_id", ["a", "ab", "abc", "john.doe@example.com", "x" * 128, "a|b:c-"])
def test_the_user_is_read_from_base64url(user_id):
    """With or without padding."""
    assert read_event(event("delivery", user_id, DID)).user_id == user_id
    padded = event("delivery", user_id, DID)
    tags = padded["detail"]["mail"]["tags"]
    tags["user"] = [tags["user"][0] + "=" * (-len(tags["user"][0]) % 4)]
    assert read_event(padded).user_id == user_id


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("not json", "the message is not valid JSON"),
        ("", "the message is not valid JSON: it is empty"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ('{"a":1,"a":2}', "contains a key twice"),
        ('{"a":NaN}', "NaN"),
        ("[" * 100_000, "nested deeper"),
        ({"Type": "Notification"}, "the message is not valid JSON"),
        ({"Type": "Notification", "Message": "hello"}, "the message is not valid JSON"),
        ({"Type": "SubscriptionConfirmation"}, "another stack"),
        ({"detail": {}, "source": "aws.s3"}, "source"),
        ({"detail": [], "source": "aws.ses"}, "another stack"),
        (event("delivery", USER, DID, stack="another"), "another stack"),
        (changed("delivery", "detail", "mail", tags=[]), "another stack"),
        (changed("delivery", "detail", "mail", "tags", dispatcher=[STACK, STACK]), "another stack"),
        (changed("text_delivered", "context", dispatcher="another"), "another stack"),
        (changed("delivery", "detail", eventType="Open"), "event type"),
        (changed("delivery", "detail", eventType={}), "event type"),
        (changed("text_delivered", eventType="TEXT_QUEUED"), "event type"),
        (changed("bounce_permanent", "detail", "bounce", bounceType="Odd"), "bounceType"),
        (changed("bounce_permanent", "detail", bounce=None), "bounceType"),
        (changed("delivery", "detail", "mail", "tags", user=["%%"]), "tag user"),
        (changed("delivery", "detail", "mail", "tags", user=["A"]), "tag user"),
        (changed("delivery", "detail", "mail", "tags", user=["w6TDpA"]), "tag user"),
        (changed("delivery", "detail", "mail", "tags", user=[]), "tag user"),
        (changed("delivery", "detail", "mail", "tags", delivery=["x"]), "tag delivery"),
        (changed("delivery", "detail", "mail", "tags", delivery=[DID[:-2] + "00"]), "tag delivery"),
        (changed("delivery", "detail", "mail", "tags", round=["0"]), "tag round"),
        (changed("delivery", "detail", "mail", "tags", round=[1]), "tag round"),
        (changed("delivery", "detail", "mail", "tags", round=["9" * 5000]), "tag round"),
        (changed("complaint", "detail", complaint={}, mail={**EVENTS["complaint"]["detail"]["mail"],
                 "destination": []}), "no email address"),
        (changed("text_opted_out", destinationPhoneNumber="0049"), "no phone number"),
    ],
)  # fmt: skip
def test_everything_else_is_unreadable(message, why):
    """The reason says what is wrong, and quotes nothing."""
    assert why in reason(message)


@pytest.mark.parametrize(
    ("destination", "recipients", "address"),
    [
        (["Ada@Example.com"], ["other@example.net"], "Ada@Example.com"),
        (["Ada <ada@example.com>"], [], "ada@example.com"),
        ([], ["ada@example.com"], "ada@example.com"),
        (["a@example.com", "b@example.com"], ["b@example.com"], "b@example.com"),
        ([7], ["ada@example.com"], "ada@example.com"),
        (["\ud800@example.com"], ["ada@example.com"], "ada@example.com"),
        ("text", ["ada@example.com"], "ada@example.com"),
        (['"Ada (CEO), <x>" <ada@example.com>'], [], "ada@example.com"),
        (["(" * 1500], ["ada@example.com"], "ada@example.com"),
        ([":" * 1500], ["ada@example.com"], "ada@example.com"),
        (["a b@example.com"], ["ada@example.com"], "ada@example.com"),
        (["a@b@example.com"], ["ada@example.com"], "ada@example.com"),
    ],
)
def test_the_suppressed_address_is_the_one_that_the_mail_was_sent_to(
    destination, recipients, address
):
    """A mailbox to which the address forwards may bounce in its place."""
    bounced = [{"emailAddress": one} for one in recipients]
    message = changed("bounce_permanent", "detail", "bounce", bouncedRecipients=bounced)
    message["detail"]["mail"]["destination"] = destination

    assert read_event(message).address == address


@pytest.mark.parametrize(
    ("code", "detail"),
    [
        ("smtp; 550 5.1.1 user unknown", "550 5.1.1 user unknown"),
        ("550 5.1.1 <ada@example.com> unknown", "550 5.1.1 … unknown"),
        ("smtp;550 ADA@EXAMPLE.COM: no, ada+x@example.com", "550 …: no, …"),
        ("SMTP; two\r\nlines\u0000 and\ttabs", "two lines and tabs"),
        ("x" * 5000, "x" * 80),
        ("ä" * 100, "ä" * 40),
        ("\ud800 half", "half"),
        ("", "5.1.1"),
    ],
)
def test_the_detail_has_no_address(code, detail):
    """It is one line of at most 80 bytes, in the provider's own words."""
    bounced = [{"emailAddress": "ada@example.com", "status": "5.1.1", "diagnosticCode": code}]
    message = changed("bounce_permanent", "detail", "bounce", bouncedRecipients=bounced)

    assert read_event(message).detail == detail


@pytest.mark.parametrize(
    ("timestamp", "at"),
    [
        ("2026-11-27T10:00:05.123Z", AT + 0.123),
        ("2026-11-27T11:00:05+01:00", AT),
        ("2026-11-27T10:00:05", AT),
        ("yesterday", AT + 1),
        ("9999-12-31T23:59:59Z", AT + 1),
        ("0001-01-01T00:00:00Z", AT + 1),
        (None, AT + 1),
        (True, AT + 1),
        ([], AT + 1),
        (10**400, AT + 1),
        (1_795_773_605_500, AT + 0.5),
    ],
)
def test_a_time_that_cannot_be_read_is_that_of_the_event(timestamp, at):
    """The next best time, by the provider's clock."""
    message = changed("delivery", "detail", "delivery", timestamp=timestamp)

    assert read_event(message).at == at


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def paths(value: object, path: tuple = ()) -> list[tuple]:
    """Return the paths of all parts of a JSON value."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path, *(one for key, part in items for one in paths(part, (*path, key)))]


PATHS = [(name, path) for name in EVENTS for path in paths(EVENTS[name]) if path]


@given(st.sampled_from(PATHS), json_values, st.booleans())
def test_any_value_anywhere_is_a_report_or_unreadable(where, value, wrapped):
    """The reader is total: no input raises another error."""
    name, path = where
    message = event(name, USER, DID)
    part = message
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value

    try:
        found = read_event(in_sns(message) if wrapped else message)
    except UnreadableError:
        return
    assert len(found.detail.encode()) <= 80
    assert found.address is None or found.address.encode()


@given(st.text() | json_values.map(json.dumps))
def test_any_text_is_unreadable(text):
    """No text by chance is a report."""
    assert reason(text)


@pytest.mark.parametrize("timestamp", [-(10**400), 10**400, -1e308, True, [], {}, "", "now"])
def test_a_time_that_is_none_is_left_out(timestamp):
    """The next time in the event counts, whatever the first value is."""
    message = changed("bounce_permanent", "detail", "bounce", timestamp=timestamp)
    message["time"] = "2026-11-27T10:00:05Z"

    assert read_event(message).at == AT
