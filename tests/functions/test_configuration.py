"""Defaults, overrides and what they come to, as a caller sees them."""

from __future__ import annotations

import json
import os

import boto3
import pytest

from dispatcher.access.policy import READ, Caller
from dispatcher.integrations import catalogue
from tests.catalogues import unused
from tests.functions.service import ROUTED, TIME, Like

EMAIL = {
    "integration_type": "EMAIL",
    "enabled": True,
    "priority": 1,
    "retry_count": 5,
    "retry_delay_seconds": 30,
    "config": {"email_address": "john.doe@company.com", "format": "html"},
}
TIMES = {"created_at": TIME, "updated_at": TIME}
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Type": "application/json",
}


def test_the_defaults_of_all_integrations_are_shown(service):
    """All in priority order, and nothing is asked of AWS for it."""
    status, body = service.ask("get_integration_defaults")

    assert status == 200
    assert service.called == []
    assert list(body["default_integrations"].items()) == [
        (
            name,
            {
                "enabled": name == "TEST",
                "priority": one.priority,
                "retry_count": one.retry_count,
                "retry_delay_seconds": one.retry_delay_seconds,
                "config": one.config,
            },
        )
        for name, one in catalogue().items()
    ]


def test_a_user_without_overrides_has_the_defaults(service):
    """Nothing is stored for such a user, and one read finds that out."""
    status, body = service.ask("get_effective_configuration")

    assert status == 200
    assert service.called == [("dynamodb:GetItem", "OverridesTable")]
    assert body == {
        "user_id": "jane@example.com",
        "user_overrides": {},
        "effective_configs": {
            "TEST": {
                "enabled": True,
                "priority": 5,
                "retry_count": 1,
                "retry_delay_seconds": 10,
                "config": {},
            }
        },
        "disabled_integrations": unused(os.environ, "TEST"),
        "using_integration_defaults": True,
    }


def test_a_new_override_is_answered_as_stored_with_its_place(service):
    """The guide's own example; the place is relative to the request."""
    response = service.response("create_override")

    assert response == {
        "statusCode": 201,
        "headers": {**HEADERS, "Location": "integrations/EMAIL"},
        "body": response["body"],
        "isBase64Encoded": False,
    }
    assert json.loads(response["body"]) == {**EMAIL, **TIMES}
    assert service.called == [("dynamodb:UpdateItem", "OverridesTable")]


def test_a_second_override_of_the_same_kind_is_a_conflict(service):
    """The first stays as it is."""
    service.ask("create_override")

    status, body = service.ask("create_override", {"integration_type": "EMAIL", "enabled": False})

    assert status == 409
    assert body["type"] == "urn:integration-dispatcher:problem:conflict"
    assert service.ask("get_override") == (200, {**EMAIL, **TIMES, "health": None})


def test_an_override_shows_in_the_effective_configuration(service):
    """Its fields before the default's, its config merged into the default's."""
    service.ask("create_override")

    status, body = service.ask("get_effective_configuration", user_id="john.doe")

    settings = {name: EMAIL[name] for name in EMAIL if name != "integration_type"}
    assert status == 200
    assert body["user_overrides"] == {"EMAIL": settings}
    assert list(body["effective_configs"]) == ["EMAIL", "TEST"]
    assert body["effective_configs"]["EMAIL"] == {
        **settings,
        "config": {**EMAIL["config"], "include_agent_info": True},
    }
    assert body["using_integration_defaults"] is False


def test_overrides_are_listed(service):
    """Each with what the user set, and when."""
    service.ask("create_override", user_id="jane@example.com")

    listed = service.ask("list_overrides")

    assert listed == (200, {"user_id": "jane@example.com", "integrations": [{**EMAIL, **TIMES}]})


def test_an_update_changes_what_it_names(service):
    """The rest stays; the integration may be named in any case."""
    service.ask("create_override")

    updated = service.ask("update_override", integration_type="email")

    assert updated == (200, {**EMAIL, **TIMES, "enabled": False, "retry_count": 10})
    assert service.called == [
        ("dynamodb:GetItem", "OverridesTable"),
        ("dynamodb:UpdateItem", "OverridesTable"),
    ]


@pytest.mark.parametrize("function", ["get_override", "update_override", "delete_override"])
def test_an_override_that_is_not_there_is_not_found(service, function):
    """A PUT or DELETE of a missing override returns 404 and creates none."""
    status, body = service.ask(function)

    assert status == 404
    assert body["type"] == "urn:integration-dispatcher:problem:not-found"
    assert body["detail"] == "User john.doe has no EMAIL override; create one with POST."


def test_a_deleted_override_is_gone(service):
    """204 and an empty body; with the last override nothing of the user is left."""
    service.ask("create_override")

    response = service.response("delete_override")

    assert response == {
        "statusCode": 204,
        "headers": {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
        "body": "",
        "isBase64Encoded": False,
    }
    assert service.ask("get_override")[0] == 404


def test_a_reset_removes_all_overrides_and_can_be_repeated(service):
    """A reset without overrides succeeds, and its body is ignored."""
    service.ask("create_override")
    service.ask("create_override", {"integration_type": "TEST"})

    first = service.ask("reset_overrides", "{not json")
    second = service.ask("reset_overrides")

    reset = {"user_id": "john.doe", "using_integration_defaults": True}
    assert first == (200, {**reset, "removed": ["EMAIL", "TEST"]})
    assert second == (200, {**reset, "removed": []})


def test_a_webhooks_secrets_are_shown_once_or_never(service):
    """Only the first response shows the signing secret; no response shows the caller's secrets."""
    url, headers = "https://example.com/hook?key=abc", {"Authorization": "Bearer abc"}

    created = service.ask(
        "create_override",
        {"integration_type": "WEBHOOK", "config": {"url": url, "headers": headers}},
    )
    shown = service.ask("get_override", integration_type="WEBHOOK")

    override = {
        "integration_type": "WEBHOOK",
        "enabled": True,
        "config": {
            "url": "https://example.com/hook?key=***",
            "headers": {"Authorization": "***"},
        },
        **TIMES,
    }
    assert created == (201, {**override, "signing_secret": Like(r"whsec_[A-Za-z0-9+/=]{44}")})
    assert shown == (200, {**override, "health": None})


def test_a_secret_is_kept_by_its_placeholder(service):
    """A config can be sent back as it was read: the placeholder keeps the stored secret."""
    service.ask(
        "create_override",
        {
            "integration_type": "WEBHOOK",
            "config": {"url": "https://example.com/a", "headers": {"X-Key": "abc"}},
        },
    )
    config = {"url": "https://example.com/b", "headers": {"X-Key": "***"}}

    status, body = service.ask("update_override", {"config": config}, integration_type="WEBHOOK")

    assert (status, body["config"]) == (200, config)
    assert {right for right, _ in service.called} == {
        "dynamodb:GetItem",
        "dynamodb:UpdateItem",
        "kms:Decrypt",
        "kms:Encrypt",
    }


def test_a_wrong_override_is_refused_whole(service):
    """An invalid override is rejected with all its errors, and not stored."""
    body = {"integration_type": "EMAIL", "priority": 0, "retry_count": "3", "user_id": "eve"}

    status, answer = service.ask("create_override", body)

    assert status == 422
    assert [field_error["pointer"] for field_error in answer["errors"]] == [
        "/priority",
        "/retry_count",
        "/user_id",
    ]
    assert service.ask("get_override")[0] == 404


@pytest.mark.parametrize(
    "name", ["Delivery", "Retry", "DeadLetter", "Parked", "Intake", "Feedback"]
)
def test_health_looks_at_every_queue(service, name):
    """The feedback queue too: without it no report of a provider arrives."""
    sqs = boto3.client("sqs")
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=f"{name}Queue")["QueueUrl"])

    status, report = service.ask("get_health")

    assert (status, report["status"]) == (503, "unhealthy")
    assert report["detail"] == f"cannot reach {name}Queue"


def test_health_misses_no_feedback_queue_where_no_provider_reports(service, monkeypatch):
    """A stack without SES and End User Messaging has no such queue."""
    monkeypatch.setenv("FEEDBACK_QUEUE_URL", "")

    assert service.ask("get_health")[0] == 200


@pytest.mark.parametrize("missing", ["OVERRIDES_TABLE", "INTAKE_QUEUE_URL"])
def test_health_is_a_report_whatever_is_missing(service, monkeypatch, missing):
    """Its 503 has one body: problem details come from API Gateway alone."""
    monkeypatch.delenv(missing)

    status, report = service.ask("get_health")

    assert (status, report["status"], report["integrations"]) == (503, "unhealthy", {})
    assert report["detail"].startswith(f"{missing} ")


@pytest.mark.parametrize("function", sorted(ROUTED - {"get_health"}))
def test_a_broken_setting_is_named_and_nothing_is_guessed(service, monkeypatch, function):
    """Every route fails closed, also one that needs no default, and makes no call."""
    monkeypatch.setenv("INTEGRATION_DEFAULTS_SLACK_PRIORITY", "high")

    status, body = service.ask(function)

    assert status == 503
    assert body["type"] == "urn:integration-dispatcher:problem:broken-setting"
    assert body["detail"].startswith("INTEGRATION_DEFAULTS_SLACK_PRIORITY ")
    assert service.called == []


def test_a_broken_setting_makes_the_service_unhealthy(service, monkeypatch):
    """The report of the service's health names the setting."""
    monkeypatch.setenv("INTEGRATION_DEFAULTS_SLACK_PRIORITY", "high")

    status, report = service.ask("get_health")

    assert (status, report["status"]) == (503, "unhealthy")
    assert "INTEGRATION_DEFAULTS_SLACK_PRIORITY" in json.dumps(report)


def test_a_broken_setting_costs_no_caller_its_rights(service, monkeypatch):
    """A caller who may not use the route does not learn of the setting."""
    monkeypatch.setenv("INTEGRATION_DEFAULTS_SLACK_PRIORITY", "high")

    status, _ = service.ask("list_deliveries", caller=Caller("key:k", "eve", frozenset({READ})))

    assert status == 403
