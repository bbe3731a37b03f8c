"""Why a user did not get a message: each cause is found, and told with what to do."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dispatch_cli.diagnosis import findings

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HEALTHY = {"status": "healthy", "integrations": {"SMS": {"configured": False}}}
ON = {"effective_configs": {"TEST": {}}, "disabled_integrations": {}}


def delivery(status, **fields):
    """Return a delivery of an hour ago."""
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


def told(*deliveries, configuration=ON, health=HEALTHY):
    """Return kind and text of what is found."""
    found = findings("ada", configuration, deliveries, health, NOW)
    return [(one.kind, one.text) for one in found]


FINE = ("fine", "Messages to ada are delivered, the last one 59 min ago.")
SUCCESS = delivery("success")


@pytest.mark.parametrize(
    ("deliveries", "found"),
    [
        ([], [("fault", "Nobody has sent ada a message lately.")]),
        ([SUCCESS], [FINE]),
        (
            [delivery("failed", error_code="http_503"), SUCCESS],
            [("fault", "TEST failed 59 min ago: the receiver is in trouble (HTTP 503).")],
        ),
        # The message that was sent first may arrive last.
        (
            [delivery("success", delivered_at="2026-11-23T10:00:00.000Z"), SUCCESS],
            [FINE],
        ),
        # What failed before the last success is past.
        ([SUCCESS, delivery("failed", error_code="http_503")], [FINE]),
        # What is on its way says nothing about what failed.
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
                    "TEST did not get through yet: the receiver did not answer within 10 seconds.",
                )
            ],
        ),
        (
            [delivery("pending", next_attempt_at="2026-11-23T11:50:00.000Z")],
            [("fault", "TEST was due 10 min ago, and nobody has tried.")],
        ),
        (
            [delivery("pending"), SUCCESS],
            [FINE, ("choice", "TEST waits for an integration of higher priority.")],
        ),
        (
            [delivery("skipped", error_code="cancelled")],
            [
                ("fine", "Messages to ada are delivered."),
                ("choice", "TEST was skipped 59 min ago: somebody called it off."),
            ],
        ),
    ],
)
def test_what_the_history_says(deliveries, found):
    """The last end of each integration, and all that is under way."""
    assert told(*deliveries) == found


@pytest.mark.parametrize(
    ("configuration", "found"),
    [
        (
            {"effective_configs": {}, "disabled_integrations": {"TEST": "disabled_by_user"}},
            [
                ("fault", "No integration is enabled for ada: a message goes nowhere."),
                ("choice", "TEST is off: the user has opted out."),
            ],
        ),
        (
            {**ON, "disabled_integrations": {"WEBHOOK": "disabled_by_receiver"}},
            [
                (
                    "fault",
                    "WEBHOOK is off: the webhook answered 410 (gone), so it was switched off.",
                )
            ],
        ),
        (
            {"effective_configs": {"SMS": {}}, "disabled_integrations": {}},
            [
                (
                    "fault",
                    "SMS is enabled, and not configured on this system: it fails at once.",
                )
            ],
        ),
        ({**ON, "disabled_integrations": {"TOOL": "disabled_by_default"}}, [FINE]),
    ],
)
def test_what_the_configuration_says(configuration, found):
    """What a user or a receiver switched off; what nobody asked for is no cause."""
    assert told(SUCCESS, configuration=configuration) == found


def test_what_the_health_says():
    """A service that is not well comes first."""
    health = {"status": "degraded", "detail": "cannot reach EMAIL", "integrations": {}}

    assert told(SUCCESS, health=health) == [
        ("fault", "The service is degraded: cannot reach EMAIL.")
    ]


def test_a_failure_is_told_with_the_command_that_starts_it_over():
    """Unless that would change nothing."""
    deliveries = [
        delivery("failed", error_code="http_503"),
        delivery("failed", error_code="content_expired", integration_type="CLI"),
    ]

    advice = [one.advice for one in findings("ada", ON, deliveries, HEALTHY, NOW)]

    assert advice == [
        (
            "See whether the receiver is up and its address right; then retry.\n"
            "To retry: dispatch retry ada d-1"
        ),
        "Send it again.",
    ]


@pytest.mark.parametrize("code", ["not_configured", "no_address"])
def test_what_must_be_set_up_first_is_not_retried_before(code):
    """A retry right away would end the same way; and the override may be gone by now."""
    (found,) = findings("ada", ON, [delivery("failed", error_code=code)], HEALTHY, NOW)

    *_, retry = found.advice.splitlines()
    assert retry == "Once it is set up, to retry: dispatch retry ada d-1"
    assert "insists" not in found.text


def test_a_request_without_deliveries_does_not_mean_that_nothing_was_sent():
    """Only that message was looked for."""
    (found,) = findings("ada", ON, [], HEALTHY, NOW, request_id="none")

    assert (found.kind, found.text, found.advice) == (
        "fault",
        "ada has no deliveries of request none.",
        "See the id: dispatch history ada\nOr every integration was skipped when it was sent.",
    )


def test_doctor_looks_at_one_request(dispatch):
    """The page says so where there is none of it."""
    dispatch("send", "ada", "Hello")

    shown = dispatch("doctor", "ada", "--request-id", "none")

    assert "ada has no deliveries of request none." in shown.stdout
