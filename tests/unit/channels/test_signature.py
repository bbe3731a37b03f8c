"""Signatures that every library of Standard Webhooks verifies."""

from __future__ import annotations

import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from channels.signature import signature_headers, valid_secrets

KNOWN = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


def test_known_answer():
    """The specification's own example comes out, byte for byte."""
    body = b'{"test": 2432232314}'

    headers = signature_headers((KNOWN,), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)

    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize("secret", [KNOWN, OTHER])
def test_during_a_rotation_both_secrets_verify(secret):
    """Signed with two secrets, a message is genuine to a receiver that knows either."""
    body = '{"text":"Zoë"}'.encode()
    headers = signature_headers((KNOWN, OTHER), "id", int(time.time()), body)

    verified = Webhook(secret).verify(body, dict(headers))

    assert verified == {"text": "Zoë"}


def test_another_body_does_not_verify():
    """The signature covers the body."""
    headers = signature_headers((KNOWN,), "id", int(time.time()), b"{}")

    with pytest.raises(WebhookVerificationError) as refused:
        Webhook(KNOWN).verify(b"[]", dict(headers))

    assert str(refused.value) == "No matching signature found"


ROTATED = {
    "signing_secret": KNOWN,
    "previous_signing_secret": OTHER,
    "previous_valid_until": 1000.0,
}


@pytest.mark.parametrize(
    ("secrets", "now", "expect"),
    [
        ({}, 0.0, ()),
        ({"signing_secret": KNOWN}, 0.0, (KNOWN,)),
        (ROTATED, 999.9, (KNOWN, OTHER)),
        (ROTATED, 1000.0, (KNOWN,)),
    ],
)
def test_previous_secret_ends(secrets, now, expect):
    """The previous secret signs beside the current one until its time, and never alone."""
    document = dict(secrets)

    valid = valid_secrets(document, now)

    assert valid == expect
