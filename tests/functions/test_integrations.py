"""Integrations that AWS itself carries, from a message to what arrives."""

from __future__ import annotations

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sns import sns_backends

from dispatcher import wiring

SMS = {"integration_type": "SMS", "config": {"phone_number": "+14155552671"}}


@pytest.fixture
def everything(service, monkeypatch):
    """A service with all integrations enabled that need no separate server."""
    monkeypatch.setenv("SMS_ENABLED", "true")
    for name in ("CLI", "TOOL"):
        monkeypatch.setenv(f"INTEGRATION_DEFAULTS_{name}_ENABLED", "true")
    wiring.reset()
    assert service.ask("create_override", SMS)[0] == 201
    return service


def test_one_message_goes_over_all_of_them(everything):
    """Each within the rights of the worker, with the provider's own IDs in the history."""
    everything.ask("send_message")
    everything.deliver()

    _, body = everything.ask("list_deliveries")
    found = {one["integration_type"]: one for one in body["deliveries"]}
    phones = sns_backends[DEFAULT_ACCOUNT_ID]["eu-central-1"].sms_messages.values()
    assert {name: one["status"] for name, one in found.items()} == dict.fromkeys(
        ("SMS", "TEST", "CLI", "TOOL"), "success"
    )
    assert [number for number, _ in phones] == ["+14155552671"]
    assert set(found["SMS"]["metadata"]) == {"message_id", "parts"}
    assert set(found["TOOL"]["metadata"]) == {"event_id"}


def test_a_number_abroad_is_refused_where_it_is_written(everything):
    """Before anything is stored or sent."""
    config = {"phone_number": "+442071838750"}

    status, body = everything.ask("update_override", {"config": config}, integration_type="SMS")

    assert status == 422
    assert [field_error["pointer"] for field_error in body["errors"]] == ["/config/phone_number"]


def test_health_degrades_while_a_peer_is_gone(everything, monkeypatch):
    """The secret with Slack's token is missing: its parameter is named, and nothing is slow."""
    monkeypatch.setenv("SLACK_BOT_TOKEN_SECRET", "SlackBotTokenSecret")
    wiring.reset()

    status, body = everything.ask("get_health")

    assert (status, body["status"], body["detail"]) == (200, "degraded", "cannot reach SLACK")
    told = "the secret that SlackBotTokenSecret names could not be read: ResourceNotFoundException"
    slack = body["integrations"]["SLACK"]
    assert (slack["healthy"], slack["detail"]) == (False, told)
    assert body["integrations"]["CLI"]["healthy"] is None


def test_health_asks_ses_where_mail_goes_out_by_it(everything, monkeypatch):
    """One call that /health has the right to make; moto does not support it."""
    monkeypatch.setenv("EMAIL_SENDER", "news@example.com")
    wiring.reset()

    everything.ask("get_health")

    assert ("ses:GetAccount", "*") in everything.called
