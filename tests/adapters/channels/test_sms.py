"""SMS through SNS: the sent message on moto, the outcome on a server that misbehaves."""

from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import parse_qs

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sns import sns_backends

from channels.sms import channel
from dispatcher.delivery.outcomes import Delivered, Permanent, Retry
from dispatcher.errors import BrokenSettingError
from dispatcher.integrations.integration import Address
from tests.adapters.channels.aws_peer import (
    ON_AWS,
    AwsBench,
    http,
    json_error,
    peer_of,
    sns_error,
)
from tests.adapters.channels.contract import (
    DELIVERY,
    NOW,
    ChannelContract,
    Injection,
    Trouble,
    injections,
    message_for,
)

NUMBER = Address("phone_number", "+14155552671")
ENVIRON = {"SMS_ENABLED": "true", "SMS_ALLOWED_COUNTRIES": "US"}

# Ten parts of 67 units: what is longer is cut, and counted in the unit tests.
INJECTIONS = tuple(
    Injection(one.name, one.changes, shown=one.payload[:300])
    for one in injections("content", "SMS") + injections("content", "LOG/CLI")
    if one.payload.isprintable()
)


@pytest.fixture
def bench(receive):
    """The channel before an SNS on loopback."""
    peer = peer_of("sns", receive)
    return AwsBench(peer, channel(ENVIRON, peer.client), "SMS", NUMBER)


class TestSms(ChannelContract):
    """The contract; an unknown outcome is final here."""

    integration_type = "SMS"
    troubles = ON_AWS
    expected = ChannelContract.expected | dict.fromkeys(
        (Trouble.SLOW, Trouble.GARBAGE, Trouble.LOST), Permanent
    )
    injections = INJECTIONS
    shows_agent = False
    bad_addresses = (
        Address("phone_number", "4155552671"),
        Address("phone_number", "+1\u0664155552671"),
        Address("phone_number", "+442071838750"),
        Address("phone_number", "+19005551234"),
        Address("phone_number", "+14155552671;ext=9"),
    )


@pytest.mark.parametrize("trouble", [Trouble.SLOW, Trouble.GARBAGE, Trouble.LOST])
def test_what_may_have_been_sent_is_not_sent_again(bench, trouble):
    """A text message costs money: the delivery ends with a separate code."""
    bench.prepare(trouble)

    outcome = bench.channel.deliver(bench.message())

    assert (type(outcome), outcome.code) == (Permanent, "unknown_outcome")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (sns_error(400, "Throttling"), (Retry, "unavailable")),
        (sns_error(429, "Throttled"), (Retry, "unavailable")),
        (sns_error(503, "ServiceUnavailable"), (Retry, "unavailable")),
        (sns_error(403, "ExpiredToken"), (Retry, "unavailable")),
        (sns_error(400, "InvalidParameter"), (Permanent, "refused")),
        (sns_error(403, "AuthorizationError"), (Permanent, "refused")),
        (sns_error(403, "OptedOut"), (Permanent, "opted_out")),
        (sns_error(403, "OptedOutException"), (Permanent, "opted_out")),
        (sns_error(500, "InternalError"), (Permanent, "unknown_outcome")),
        (http(502, "<html>bad gateway"), (Permanent, "unknown_outcome")),
    ],
)
def test_errors_of_sns_have_a_class(bench, answer, expected):
    """A temporary refusal is tried again, a permanent one is not, and a doubt never is."""
    bench.peer.answers.append(answer)

    outcome = bench.channel.deliver(bench.message())

    assert (type(outcome), outcome.code) == expected


# End User Messaging -------------------------------------------------------------------------------

VOICE = {
    **ENVIRON,
    "SMS_TRANSPORT": "end-user-messaging",
    "SMS_ORIGINATION_NUMBER": "+18005550100",
    "STACK_NAME": "dispatcher-dev",
}
OPTED_OUT_HERE = {"Reason": "DESTINATION_PHONE_NUMBER_OPTED_OUT"}


@pytest.fixture
def voice_bench(receive):
    """The channel before End User Messaging on loopback."""
    peer = peer_of("pinpoint-sms-voice-v2", receive)
    return AwsBench(peer, channel(VOICE, peer.client), "SMS", NUMBER)


class TestEndUserMessaging(TestSms):
    """The same contract as by SNS."""

    @pytest.fixture
    def bench(self, voice_bench):
        """The other transport."""
        return voice_bench


@pytest.mark.parametrize(
    ("left", "validity"),
    [(None, None), (600.9, 600), (5.0, 5), (0.2, 5), (259_200.0, 259_200), (400_000.0, 259_200)],
)
def test_end_user_messaging_learns_which_delivery_a_message_belongs_to(voice_bench, left, validity):
    """The reports return the context; the validity is within the API's limits of 5 s to 3 days.

    Source: End User Messaging SMS API Reference, SendTextMessage.
    """
    expires_at = None if left is None else NOW + left
    message = voice_bench.message(user_id="ada@example.com", round=3, expires_at=expires_at)

    outcome = voice_bench.channel.deliver(message)

    assert outcome == Delivered({"message_id": "m-1", "parts": 1})
    [(_, headers, body)] = voice_bench.peer.receiver.requests
    expected = {
        "DestinationPhoneNumber": "+14155552671",
        "OriginationIdentity": "+18005550100",
        "MessageBody": "Rain\nTake an umbrella",
        "MessageType": "TRANSACTIONAL",
        "ConfigurationSetName": "dispatcher-dev",
        "Context": {"user": "YWRhQGV4YW1wbGUuY29t", "delivery": DELIVERY, "round": "3"},
    }
    assert headers["X-Amz-Target"] == "PinpointSMSVoiceV2.SendTextMessage"
    assert headers["Connection"] == "close"
    assert json.loads(body) == expected | ({} if left is None else {"TimeToLive": validity})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (json_error(400, "ThrottlingException"), (Retry, "unavailable")),
        (json_error(400, "ConflictException", **OPTED_OUT_HERE), (Permanent, "opted_out")),
        (
            json_error(400, "ConflictException", Reason="RESOURCE_NOT_ACTIVE"),
            (Permanent, "refused"),
        ),
        (json_error(400, "ConflictException"), (Permanent, "refused")),
        (json_error(400, "ValidationException", **OPTED_OUT_HERE), (Permanent, "refused")),
        (json_error(400, "AccessDeniedException"), (Permanent, "refused")),
        (json_error(500, "InternalServerException"), (Permanent, "unknown_outcome")),
    ],
)
def test_errors_of_end_user_messaging_have_a_class(voice_bench, answer, expected):
    """Its opt-out is a conflict with a reason; never a second send after an unknown outcome."""
    voice_bench.peer.answers.append(answer)

    outcome = voice_bench.channel.deliver(voice_bench.message())

    assert (type(outcome), outcome.code) == expected
    assert len(voice_bench.peer.receiver.requests) == 1


@pytest.mark.parametrize(
    ("transport", "answer"),
    [
        ("sns", sns_error(403, "OptedOut")),
        ("end-user-messaging", json_error(400, "ConflictException", **OPTED_OUT_HERE)),
    ],
)
def test_a_number_that_opted_out_is_suppressed(receive, transport, answer):
    """By both transports; the number stays out of the outcome."""
    service = "sns" if transport == "sns" else "pinpoint-sms-voice-v2"
    peer = peer_of(service, receive)
    peer.answers.append(answer)
    sms = channel({**VOICE, "SMS_TRANSPORT": transport}, peer.client)

    outcome = sms.deliver(message_for("SMS", NUMBER))

    assert outcome == Permanent(
        "opted_out", "the receiver has opted out of text messages", suppress="opted_out"
    )


def test_end_user_messaging_needs_a_number(voice_bench):
    """The template demands it; without one, nothing is sent."""
    environ = {**VOICE, "SMS_ORIGINATION_NUMBER": ""}

    outcome = channel(environ, voice_bench.peer.client).deliver(voice_bench.message())

    assert (type(outcome), outcome.code) == (Retry, "broken_setting")
    assert outcome.detail.startswith("SMS_ORIGINATION_NUMBER is missing")
    assert voice_bench.peer.receiver.requests == []


def test_an_unknown_transport_is_a_broken_setting(aws):
    """The worker names the variable in the outcome."""
    with pytest.raises(BrokenSettingError, match="SMS_TRANSPORT is 'pinpoint': set it to sns or"):
        channel({**ENVIRON, "SMS_TRANSPORT": "pinpoint"}, aws)


# SNS ----------------------------------------------------------------------------------------------


def test_where_nobody_listens_nothing_was_sent(bench):
    """The connection was never made, so another attempt cannot be a second message."""
    bench.peer.receiver.close()

    outcome = bench.channel.deliver(bench.message())

    assert outcome == Retry(
        "unavailable", "SNS did not accept the message: EndpointConnectionError"
    )


def test_every_message_has_a_connection_of_its_own(bench):
    """One that slept with the function may be dead, and what is sent into it is unknown."""
    for _ in range(2):
        bench.channel.deliver(bench.message())

    said = [headers["Connection"] for _, headers, _ in bench.peer.receiver.requests]
    assert said == ["close", "close"]


@pytest.fixture
def sent(aws):
    """Deliver on moto, and return what the phone shows beside the outcome."""

    def deliver(message, environ=ENVIRON):
        outcome = channel(environ, aws).deliver(message)
        messages = sns_backends[DEFAULT_ACCOUNT_ID]["eu-central-1"].sms_messages
        return outcome, list(messages.values())

    return deliver


def test_a_message_is_text_to_a_number(sent):
    """Subject first, lines ended alike, and no control character."""
    message = message_for("SMS", NUMBER, content="Take\r\nan\tumbrella\x9b31m")

    outcome, [(number, text)] = sent(message)

    assert outcome == Delivered({"message_id": outcome.metadata["message_id"], "parts": 1})
    assert (number, text) == ("+14155552671", "Rain\nTake\nan umbrella31m")


def test_the_parts_that_are_billed_show_in_the_history(sent):
    """The parts that a message costs can be read off its delivery."""
    outcome, _ = sent(message_for("SMS", NUMBER, subject=None, content="ê" * 100))

    assert outcome.metadata["parts"] == 2


def test_a_country_that_was_taken_off_the_list_gets_nothing(sent):
    """The list counts when a message is sent, not when its number was stored."""
    message = message_for("SMS", NUMBER)

    outcome, messages = sent(message, {**ENVIRON, "SMS_ALLOWED_COUNTRIES": "CA"})

    assert outcome == Permanent(
        "number_refused", "the number must be a number of one of these countries: CA"
    )
    assert messages == []


@pytest.mark.parametrize(
    ("config", "origination", "expected"),
    [
        ({}, "", {"AWS.SNS.SMS.SMSType": "Transactional"}),
        (
            {"sender_id": "Acme"},
            "",
            {"AWS.SNS.SMS.SMSType": "Transactional", "AWS.SNS.SMS.SenderID": "Acme"},
        ),
        (
            {},
            "+18005550100",
            {
                "AWS.SNS.SMS.SMSType": "Transactional",
                "AWS.MM.SMS.OriginationNumber": "+18005550100",
            },
        ),
        (
            {},
            "12345",
            {"AWS.SNS.SMS.SMSType": "Transactional", "AWS.MM.SMS.OriginationNumber": "12345"},
        ),
    ],
)
def test_a_message_names_its_route_sender_and_origination_number(
    receive, config, origination, expected
):
    """SNS gets Transactional always, the override's sender, and the operator's number.

    Source: SNS Developer Guide, "Publishing SMS messages to a mobile phone": the attributes
    AWS.SNS.SMS.SenderID, AWS.SNS.SMS.SMSType and AWS.MM.SMS.OriginationNumber.
    """
    peer = peer_of("sns", receive)
    sms = channel({**ENVIRON, "SMS_ORIGINATION_NUMBER": origination}, peer.client)

    outcome = sms.deliver(replace(message_for("SMS", NUMBER), config=config))

    [(_, _, body)] = peer.receiver.requests
    fields = {name: value for name, [value] in parse_qs(body.decode()).items()}
    sent = {
        fields[f"MessageAttributes.entry.{number}.Name"]: (
            fields[f"MessageAttributes.entry.{number}.Value.DataType"],
            fields[f"MessageAttributes.entry.{number}.Value.StringValue"],
        )
        for number in range(1, len(expected) + 1)
    }
    assert isinstance(outcome, Delivered)
    assert sent == {name: ("String", value) for name, value in expected.items()}
    assert f"MessageAttributes.entry.{len(expected) + 1}.Name" not in fields


@pytest.mark.parametrize("origination", ["1234", "+1 800 555 0100", "ACME", "\u0661" * 6])
def test_a_bad_origination_number_is_the_operators_fault(bench, origination):
    """The error names the setting, and nothing is sent before it is corrected."""
    sms = channel({**ENVIRON, "SMS_ORIGINATION_NUMBER": origination}, bench.peer.client)

    outcome = sms.deliver(bench.message())

    assert (type(outcome), outcome.code) == (Retry, "broken_setting")
    assert "SMS_ORIGINATION_NUMBER" in outcome.detail
    assert bench.peer.receiver.requests == []
