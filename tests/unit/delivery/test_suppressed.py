"""Suppressed addresses: nothing is sent to them, and the rest of the message goes on."""

from __future__ import annotations

import pytest

from dispatcher.configuration.suppressions import suppression_id
from dispatcher.delivery.outcomes import Permanent
from dispatcher.errors import ConflictError, UnavailableError
from dispatcher.responses import rfc3339
from tests.visits import rehearse, send, sends, statuses, visit
from tests.world import USER, World

NUMBER = "+14155552671"
REASONS = [
    ("bounced", "address_bounced"),
    ("complained", "address_complained"),
    ("opted_out", "opted_out"),
]
ADDRESSES = [("EMAIL", USER), ("SMS", NUMBER)]


@pytest.fixture
def world():
    """EMAIL and SMS work, and the user wants both."""
    world = World(SMTP_HOST="smtp.example.com", SMS_ENABLED="true")
    world.override("EMAIL", enabled=True)
    world.override("SMS", enabled=True, config={"phone_number": NUMBER})
    return world


def skipped(response):
    """Return the reasons of the integrations that get no delivery."""
    return {one["integration_type"]: one["reason"] for one in response["skipped"]}


@pytest.mark.parametrize(("state", "reason"), REASONS)
@pytest.mark.parametrize(("name", "address"), ADDRESSES)
def test_a_suppressed_address_gets_no_delivery(world, name, address, state, reason):
    """The reason tells what the provider or the person said, with a sentence for people."""
    world.suppress(name, address, state)
    types = [name, "TEST"]

    response = world.acceptance.accept(
        USER, {"content": "x", "request_id": "r-1", "integration_types": types}
    ).response

    assert [one["integration_type"] for one in response["deliveries"]] == ["TEST"]
    [only] = response["skipped"]
    assert (only["integration_type"], only["reason"]) == (name, reason)
    assert only["detail"].startswith(f"The {name} address of {USER} is suppressed: ")
    preview = world.preview.preview(USER, {"integration_types": types})
    assert skipped(preview) == {name: reason}


@pytest.mark.parametrize(("state", "reason"), REASONS)
@pytest.mark.parametrize(("name", "address"), ADDRESSES)
def test_an_attempt_never_sends_to_a_suppressed_address(world, name, address, state, reason):
    """A suppression since acceptance ends the delivery as skipped, without a dead letter."""
    (only,) = send(world, name)
    world.suppress(name, address, state)

    visit(world, only)

    delivery = world.delivery(only)
    assert (str(delivery.status), delivery.error_code) == ("skipped", reason)
    assert delivery.error_message.endswith(f"is suppressed: {state}")
    assert address not in delivery.error_message
    assert (sends(world, name), world.doorbells.rung) == (0, [])


def test_a_first_success_chain_goes_on(world):
    """The next delivery is attempted in the same visit."""
    ids = send(world, "EMAIL", "TEST", mode="first_success")
    world.suppress("EMAIL", USER)

    visit(world, ids[0])

    assert statuses(world, ids) == [("skipped", "address_bounced"), ("success", None)]


def test_a_suppression_ends_a_held_delivery_at_once(world):
    """The chain need not wait for hours that open for nothing."""
    ids = send(world, "EMAIL", "TEST", mode="first_success")
    world.prefer(muted_until=world.clock.now() + 3600, hours={"integrations": ["EMAIL"]})
    world.suppress("EMAIL", USER)

    visit(world, ids[0])

    assert statuses(world, ids) == [("skipped", "address_bounced"), ("success", None)]


def test_another_address_is_used_immediately(world):
    """A suppression is about the address, not about the integration."""
    (before,) = send(world, "EMAIL")
    world.suppress("EMAIL", USER)
    world.override("EMAIL", enabled=True, config={"email_address": "ada@example.org"})

    visit(world, before)
    (after,) = send(world, "EMAIL", request_id="r-2")
    visit(world, after)

    assert statuses(world, [before, after]) == [("success", None)] * 2
    assert [one.address.value for one in world.channels["EMAIL"].messages] == [
        "ada@example.org"
    ] * 2


def test_the_callers_address_is_checked_too(world):
    """Without an address in the override, that of the request counts."""
    world.override("SMS", enabled=True)
    world.suppress("SMS", NUMBER, "opted_out")
    recipient = {"phone_number": NUMBER}

    response = world.acceptance.accept(
        USER, {"content": "x", "integration_types": ["SMS"], "recipient": recipient}
    ).response

    assert skipped(response) == {"SMS": "opted_out"}


def test_a_cleared_address_is_used_again(world):
    """The user's row is read at every send, so it takes effect immediately."""
    world.suppress("EMAIL", USER)

    world.suppressions.remove(USER, suppression_id("EMAIL", USER))

    (only,) = send(world, "EMAIL")
    visit(world, only)
    assert statuses(world, [only]) == [("success", None)]


def test_a_test_message_is_not_sent_to_a_suppressed_address(world):
    """``…/test`` ignores whether the integration is enabled, not that its address is dead."""
    world.suppress("EMAIL", USER)

    response = world.acceptance.test(USER, "EMAIL").response

    assert (response["deliveries"], skipped(response)) == ([], {"EMAIL": "address_bounced"})


def test_a_failed_delivery_is_not_retried_while_its_address_is_suppressed(world):
    """The caller learns why; another address, or none suppressed, opens a fresh round."""
    rehearse(world, Permanent("smtp_550", "refused"), name="EMAIL")
    (only,) = send(world, "EMAIL")
    visit(world, only)
    world.suppress("EMAIL", USER)

    with pytest.raises(ConflictError, match=r"goes to a•••@example.com, which is suppressed"):
        world.rounds.retry(USER, only)

    assert world.delivery(only).round == 1
    world.override("EMAIL", enabled=True, config={"email_address": "ada@example.org"})
    assert world.rounds.retry(USER, only)["round"] == 2


@pytest.mark.parametrize(
    ("name", "outcome", "reason"),
    [
        ("EMAIL", Permanent("smtp_550", "refused: 550", suppress="bounced"), "address_bounced"),
        ("SMS", Permanent("opted_out", "opted out", suppress="opted_out"), "opted_out"),
    ],
)
def test_an_address_that_a_send_finds_dead_is_suppressed(world, name, outcome, reason):
    """The delivery fails, the chain goes on, and the next message skips the address."""
    rehearse(world, outcome, name=name)
    ids = send(world, name, "TEST", mode="first_success")
    before = world.clock.now()

    visit(world, ids[0])

    assert statuses(world, ids) == [("failed", outcome.code), ("success", None)]
    [known] = world.suppressions.list(USER)["suppressions"]
    assert (known["state"], known["delivery_id"]) == (outcome.suppress, ids[0])
    assert (known["detail"], known["at"]) == (outcome.detail, rfc3339(before))
    assert ("address.suppressed", {
        "user_id": USER,
        "delivery_id": ids[0],
        "request_id": "r-1",
        "integration_type": name,
        "state": outcome.suppress,
    }) in world.event_log.lines  # fmt: skip
    response = world.acceptance.accept(
        USER, {"content": "x", "request_id": "r-2", "integration_types": [name]}
    ).response
    assert skipped(response) == {name: reason}


def test_an_opt_out_leaves_no_dead_letter(world):
    """A retry could not change it, and nothing is sent a second time."""
    rehearse(world, Permanent("opted_out", "opted out", suppress="opted_out"), name="SMS")
    (only,) = send(world, "SMS")

    visit(world, only)
    world.run()

    assert (sends(world, "SMS"), world.delivery(only).dead_letter_owed) == (1, False)
    assert [queue for queue, *_ in world.doorbells.rung] == []


def test_a_suppression_that_cannot_be_stored_does_not_cost_the_record(world, monkeypatch):
    """The next message to the address meets the same response."""

    def unavailable(*_arguments, **_options):
        raise UnavailableError("UpdateItem failed")

    monkeypatch.setattr(world.overrides, "set_suppressions", unavailable)
    rehearse(world, Permanent("smtp_550", "refused", suppress="bounced"), name="EMAIL")
    (only,) = send(world, "EMAIL")

    visit(world, only)

    assert statuses(world, [only]) == [("failed", "smtp_550")]
    assert "address.suppressed" not in world.event_log.events()


def test_a_suppression_of_the_recipient_of_a_request_denies_its_retry(world):
    """The address is that of the request, where the override names none."""
    world.override("SMS", enabled=True)
    rehearse(world, Permanent("refused", "refused"), name="SMS")
    (only,) = send(world, "SMS", recipient={"phone_number": NUMBER})
    visit(world, only)
    world.suppress("SMS", NUMBER, "opted_out")

    with pytest.raises(ConflictError, match=r"goes to \+14•••71"):
        world.rounds.retry(USER, only)
