"""Rotating a webhook's secret, as its owner and its receiver see it."""

from __future__ import annotations

import json

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.functions.service import TIME, Like
from tools.receiver import Receiver

SECRET = Like(r"whsec_[A-Za-z0-9+/]{43}=")


@pytest.fixture
def receiver():
    """A receiver of webhooks on loopback."""
    with Receiver() as running:
        yield running


@pytest.fixture
def issued(service, receiver, monkeypatch):
    """The first secret of a webhook to the receiver."""
    monkeypatch.setenv("WEBHOOK_ALLOWED_CIDRS", "127.0.0.0/8")
    monkeypatch.setenv("WEBHOOK_ALLOW_HTTP", "true")
    config = {"url": f"{receiver.url}/?token=t"}
    status, body = service.ask("create_override", {"integration_type": "WEBHOOK", "config": config})
    assert status == 201
    return body["signing_secret"]


def test_both_secrets_verify_for_a_day(service, receiver, issued):
    """A receiver with either is served; another user's is not."""
    status, rotated = service.ask("rotate_secret", integration_type="webhook")
    service.ask("test_integration", integration_type="WEBHOOK")
    service.deliver()

    [arrival] = receiver.arrivals
    assert (status, rotated) == (200, {"signing_secret": SECRET, "previous_valid_until": TIME})
    for secret in (issued, rotated["signing_secret"]):
        assert Webhook(secret).verify(arrival.body, arrival.headers) == json.loads(arrival.body)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 43 + "=").verify(arrival.body, arrival.headers)


def test_a_secret_is_shown_once(service, issued):
    """Neither reading nor changing the override shows it."""
    _, rotated = service.ask("rotate_secret")

    read = service.response("get_override", integration_type="WEBHOOK")["body"]
    changed = service.response("update_override", {"priority": 9}, integration_type="WEBHOOK")

    assert rotated["signing_secret"] not in read + changed["body"]
    assert issued not in read + changed["body"]


@pytest.mark.parametrize("integration_type", ["WEBHOOK", "SLACK", "FAX"])
def test_where_nothing_signs_there_is_nothing_to_rotate(service, integration_type):
    """No override, no signatures, no such integration."""
    status, _ = service.ask("rotate_secret", integration_type=integration_type)

    assert status == 404
