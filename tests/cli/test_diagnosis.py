"""Why a user did not get a message: each cause is a finding with its next step."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime

import pytest

from dispatch_cli.diagnosis import findings
from dispatch_cli.sent import REMEMBERED, recall, remember

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
        "category": None,
        "locked": False,
        "held": None,
        "receipt": None,
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
        ([], [("fault", "The history has no deliveries to ada.")]),
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
        delivery("failed", error_code="http_503", integration_type="WEBHOOK"),
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


@pytest.mark.parametrize("code", ["not_configured", "no_address", "bounced", "opted_out"])
def test_a_missing_configuration_precedes_the_retry(code):
    """A retry before the configuration would fail again, so the advice names the order."""
    (finding,) = findings("ada", ENABLED, [delivery("failed", error_code=code)], HEALTHY, NOW)

    *_, retry = finding.advice.splitlines()
    assert retry == "To retry after that: dispatch retry ada d-1"


def test_nothing_is_claimed_about_messages_that_the_history_does_not_list():
    """A skipped message is not in the history, so the finding names the way to look it up."""
    (finding,) = findings("ada", ENABLED, [], HEALTHY, NOW)

    assert finding.advice.splitlines() == [
        "Check that the sender uses this user ID.",
        "A message whose integrations were all skipped is not in the history.",
        "To see why it was skipped: dispatch doctor ada --request REQUEST_ID",
        "To send a message: dispatch send ada Hello --wait",
    ]


@pytest.mark.parametrize(
    ("via", "expected"),
    [
        ("unsubscribe", "by an unsubscribe link"),
        ("link", "by a preferences link"),
        ("api", "through the API"),
    ],
)
def test_a_category_that_the_user_disabled_is_a_finding_with_its_time(via, expected):
    """The doctor names the last change; locked and removed categories are no such choice."""
    off = {"integrations": {"EMAIL": False, "SLACK": True}}
    in_effect = [
        {"category": name, "locked": name == "locked", "ignored": []}
        for name in ("news", "beta", "locked", "kept")
    ]
    preferences = {
        "updated_at": "2026-11-23T10:00:00.000Z",
        "updated_via": via,
        "categories": {"news": off, "beta": {"enabled": False}, "locked": off, "removed": off},
        "effective": {"categories": in_effect, "without_category": {"integrations": {}}},
    }

    all_findings = findings("ada", ENABLED, [SUCCESS], HEALTHY, NOW, preferences=preferences)

    told = f"The preferences were changed last 2 h ago, {expected}."
    assert [(one.kind, one.text) for one in all_findings] == [
        FINE,
        ("choice", f"The user disabled EMAIL for the category news. {told}"),
        ("choice", f"The user disabled all integrations for the category beta. {told}"),
    ]
    assert all_findings[1].advice == "To see the preferences: dispatch preferences show ada"


def test_a_request_that_was_skipped_everywhere():
    """The finding has the message, its time and that there was no delivery."""
    request = {
        "request_id": "r-1",
        "subject": "Your laptop",
        "created_at": "2026-11-23T11:58:00.000Z",
        "deliveries": [],
    }

    (finding,) = findings("ada", ENABLED, [], HEALTHY, NOW, requests=[request])

    assert (finding.kind, finding.text) == (
        "fault",
        (
            'The message "Your laptop" of request r-1, sent 2 min ago, was not delivered: '
            "every integration was skipped, for the reasons below."
        ),
    )


def send_skipped(dispatch, user="eve", **environ):
    """Send a message that every integration skips."""
    options = ("--subject", "Laptop", "--type", "SMS", "--type", "WEBHOOK")
    return dispatch("send", user, "Hello", *options, **environ)


def test_doctor_explains_the_last_message_that_was_skipped_everywhere(dispatch, clock):
    """The message, its time and the reason of each integration are shown without an option."""
    send_skipped(dispatch)
    clock(minutes=3)

    lines = dispatch("doctor", "eve").stdout.splitlines()

    assert lines[2:5] == [
        '✗ The message "Laptop" of request cli-1, sent 3 min ago, was not delivered:',
        "  every integration was skipped, for the reasons below.",
        "",
    ]
    assert "  created at       2026-11-23 09:30:00 UTC (3 min ago)" in lines
    assert "• SMS: not configured on this system" in lines
    assert "• WEBHOOK: disabled by default" in lines


def test_doctor_explains_a_request_that_another_program_sent(dispatch):
    """With --request, the request is looked up; its other name is --request-ID."""
    send_skipped(dispatch, XDG_STATE_HOME="/dev/null/none")

    unaware = dispatch("doctor", "eve").stdout
    told = [dispatch("doctor", "eve", name, "cli-1") for name in ("--request", "--request-id")]

    assert "The history has no deliveries to eve." in unaware
    for result in told:
        assert "of request cli-1, sent now, was not delivered" in " ".join(result.stdout.split())
        assert "• WEBHOOK: disabled by default" in result.stdout


def test_doctor_explains_an_unknown_request(dispatch):
    """An unknown request ID is an error with the way to the known ones."""
    dispatch("send", "ada", "Hello")

    result = dispatch("doctor", "ada", "--request", "none")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "To see the IDs of recent requests: dispatch history ada --json" in result.stderr


def test_doctor_ignores_skipped_messages_before_the_last_delivery(dispatch, service):
    """A later message that was delivered shows that the cause is gone."""
    send_skipped(dispatch, "ada")
    dispatch("send", "ada", "Hello")
    service.deliver()

    assert "cli-1" not in dispatch("doctor", "ada").stdout
    assert json.loads(dispatch("doctor", "ada", "--json").stdout)["requests"] == []


def test_requests_of_other_users_and_services_are_not_mixed_up(tmp_path):
    """The memory holds the newest requests per service and user, in a private file."""
    environ = {"HOME": str(tmp_path)}
    for number in range(REMEMBERED + 5):
        remember(environ, "https://a", "ada", f"r-{number}")
    remember(environ, "https://a", "grace", "g-1")
    remember(environ, "https://b", "ada", "b-1")
    remember(environ, "https://a", "ada", "r-50")

    recalled = recall(environ, "https://a", "ada")

    assert recalled[:2] == ["r-50", f"r-{REMEMBERED + 4}"]
    assert len(recalled) == REMEMBERED - 2
    assert recall(environ, "https://b", "ada") == ["b-1"]
    (file,) = tmp_path.rglob("requests.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[["a"]]', "[" * 100_000, "\x00"])
def test_a_damaged_memory_is_no_error(tmp_path, text):
    """The memory is only a help, so a damaged file counts as empty and is replaced."""
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    (tmp_path / "dispatch").mkdir()
    (tmp_path / "dispatch" / "requests.json").write_text(text)

    assert recall(environ, "https://a", "ada") == []
    remember(environ, "https://a", "ada", "r-1")
    assert recall(environ, "https://a", "ada") == ["r-1"]
