"""Why a user did not get a message: each cause is a finding with its next step."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dispatch_cli.diagnosis import findings

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HEALTHY = {"status": "healthy", "integrations": {"SMS": {"configured": False}}}
ENABLED = {"effective_configs": {"TEST": {}}, "disabled_integrations": {}}


def delivery(status, **fields):
    """Return a delivery that is one hour old."""
    return {
        "delivery_id": "d-1",
        "integration_type": "TEST",
        "status": status,
        "attempts": 1,
        "max_attempts": 4,
        "created_at": "2026-11-23T11:00:00.000Z",
        "last_attempt_at": "2026-11-23T11:00:05.000Z",
        "delivered_at": "2026-11-23T11:00:05.000Z",
        "next_attempt_at": None,
        "error_code": None,
        **fields,
    }


def found(*deliveries, configuration=ENABLED, health=HEALTHY):
    """Return kind and text of each finding."""
    all_findings = findings("ada", configuration, deliveries, health, NOW)
    return [(finding.kind, finding.text) for finding in all_findings]


FINE = ("fine", "Messages to ada are delivered, the last one 59 min ago.")
SUCCESS = delivery("success")


@pytest.mark.parametrize(
    ("deliveries", "expected"),
    [
        ([], [("fault", "No message was sent to ada recently.")]),
        ([SUCCESS], [FINE]),
        (
            [delivery("failed", error_code="http_503"), SUCCESS],
            [("fault", "TEST failed 59 min ago: the receiver has a server error (HTTP 503).")],
        ),
        # The first message can arrive last.
        (
            [delivery("success", delivered_at="2026-11-23T10:00:00.000Z"), SUCCESS],
            [FINE],
        ),
        # A failure before the last success does not matter.
        ([SUCCESS, delivery("failed", error_code="http_503")], [FINE]),
        # A pending delivery does not hide a failure.
        (
            [
                delivery("pending", attempts=0, next_attempt_at="2026-11-23T12:00:30.000Z"),
                delivery("failed", error_code="expired"),
            ],
            [
                ("fault", "TEST failed 59 min ago: its expires_at has passed."),
                ("choice", "TEST is due in 30 s."),
            ],
        ),
        (
            [delivery("pending", error_code="timeout", next_attempt_at="2026-11-23T12:02:00.000Z")],
            [
                (
                    "fault",
                    "TEST has not succeeded yet: the receiver did not respond within 10 s.",
                )
            ],
        ),
        (
            [delivery("pending", next_attempt_at="2026-11-23T11:50:00.000Z")],
            [("fault", "TEST was due 10 min ago and was not attempted.")],
        ),
        (
            [delivery("pending"), SUCCESS],
            [FINE, ("choice", "TEST waits for an integration of higher priority.")],
        ),
        (
            [delivery("skipped", error_code="cancelled")],
            [
                ("fine", "Messages to ada are delivered."),
                ("choice", "TEST was skipped 59 min ago: it was cancelled."),
            ],
        ),
    ],
)
def test_findings_of_the_history(deliveries, expected):
    """The last ended delivery of each integration and all pending ones are diagnosed."""
    assert found(*deliveries) == expected


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        (
            {"effective_configs": {}, "disabled_integrations": {"TEST": "disabled_by_user"}},
            [
                ("fault", "No integration is enabled for ada: messages are not delivered."),
                ("choice", "TEST is not used: the user has opted out."),
            ],
        ),
        (
            {**ENABLED, "disabled_integrations": {"WEBHOOK": "disabled_by_receiver"}},
            [
                (
                    "fault",
                    "WEBHOOK is not used: disabled because the webhook returned 410 (gone).",
                )
            ],
        ),
        (
            {"effective_configs": {"SMS": {}}, "disabled_integrations": {}},
            [
                (
                    "fault",
                    "SMS is enabled but not configured on this system: it fails immediately.",
                )
            ],
        ),
        ({**ENABLED, "disabled_integrations": {"TOOL": "disabled_by_default"}}, [FINE]),
    ],
)
def test_findings_of_the_configuration(configuration, expected):
    """Integrations that a user or a receiver disabled are findings; defaults are not."""
    assert found(SUCCESS, configuration=configuration) == expected


def test_findings_of_the_health():
    """A degraded service is a fault, with the service's detail."""
    health = {"status": "degraded", "detail": "cannot reach EMAIL", "integrations": {}}

    assert found(SUCCESS, health=health) == [
        ("fault", "The service is degraded: cannot reach EMAIL.")
    ]


def test_a_failed_delivery_has_the_command_that_retries_it():
    """There is no such command if a retry cannot succeed."""
    deliveries = [
        delivery("failed", error_code="http_503"),
        delivery("failed", error_code="content_expired", integration_type="CLI"),
    ]

    advice = [finding.advice for finding in findings("ada", ENABLED, deliveries, HEALTHY, NOW)]

    assert advice == [
        (
            "Check that the receiver is up and its address is correct; then retry.\n"
            "To retry: dispatch retry ada d-1"
        ),
        "Send it again.",
    ]


@pytest.mark.parametrize("code", ["not_configured", "no_address"])
def test_a_missing_configuration_precedes_the_retry(code):
    """A retry before the configuration would fail again, so the advice names the order."""
    (finding,) = findings("ada", ENABLED, [delivery("failed", error_code=code)], HEALTHY, NOW)

    *_, retry = finding.advice.splitlines()
    assert retry == "To retry after that: dispatch retry ada d-1"


def test_a_request_without_deliveries():
    """The finding is about the request, not about the user's messages."""
    (finding,) = findings("ada", ENABLED, [], HEALTHY, NOW, request_id="none")

    assert (finding.kind, finding.text, finding.advice) == (
        "fault",
        "ada has no deliveries of request none.",
        "To see whether every integration was skipped: dispatch request ada none",
    )


def test_doctor_diagnoses_a_single_request(dispatch):
    """With --request-id, deliveries of other requests are ignored."""
    dispatch("send", "ada", "Hello")

    result = dispatch("doctor", "ada", "--request-id", "none")

    assert "ada has no deliveries of request none." in result.stdout
