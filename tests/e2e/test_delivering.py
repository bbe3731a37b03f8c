"""Life of a message: order, retries, final failures, new rounds, rehearsals."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from standardwebhooks import Webhook

from tests.e2e.system import answered, seconds, until


def outcomes(delivery):
    """Return what the log says of each attempt."""
    return [(one["round"], one["number"], one["outcome"]) for one in delivery["attempt_log"]]


def dead_letters(system, delivery_id):
    """Return the bodies of a delivery's dead letters."""
    bodies = [json.loads(message["Body"]) for message in system.messages("DeadLetter")]
    return [body for body in bodies if body.get("delivery_id") == delivery_id]


# Order --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("webhook_priority", "order"), [(3, ["WEBHOOK", "TEST"]), (9, ["TEST", "WEBHOOK"])]
)
def test_priority_is_the_order_of_delivery(system, receiver, user, webhook_priority, order):
    """The integration of the lowest number is tried first, and the response lists it first."""
    system.override(user, "WEBHOOK", priority=webhook_priority, config={"url": receiver.url})

    accepted = system.send(user)["deliveries"]

    ended = [system.ended(user, one["delivery_id"]) for one in accepted]
    assert [one["integration_type"] for one in accepted] == order
    assert [one["status"] for one in ended] == ["success", "success"]
    assert ended[0]["delivered_at"] <= ended[1]["first_attempt_at"]
    (arrival,) = receiver.arrivals
    webhook, other = (ended[order.index(name)] for name in ("WEBHOOK", "TEST"))
    first = arrival.at < seconds(other["first_attempt_at"])
    assert first == (order[0] == "WEBHOOK")
    assert webhook["metadata"] == {"status": 204}


def test_message_is_the_same_everywhere(system, receiver, user):
    """Subject and content arrive with their variables filled in, and with the agent's name."""
    system.override(user, "WEBHOOK", config={"url": receiver.url, "method": "PUT"})
    message = {
        "request_id": "r-1",
        "session_id": "s-1",
        "agent_id": "laptop-refresh",
        "subject": "Hello $name",
        "content": "**${name}**, your $thing is ready",
        "template_variables": {"name": "John", "unused": 1},
    }

    accepted = system.send(user, **message)["deliveries"]

    ended = {one["integration_type"]: system.ended(user, one["delivery_id"]) for one in accepted}
    (arrival,) = receiver.arrivals
    (kept,) = system.mailbox(user)
    data = {
        "request_id": "r-1",
        "session_id": "s-1",
        "user_id": user,
        "subject": "Hello John",
        "content": "**John**, your $thing is ready",
        "agent_id": "laptop-refresh",
    }
    webhook = ended["WEBHOOK"]
    assert arrival.method == "PUT"
    assert arrival.json == {
        "type": "integration.message",
        "timestamp": webhook["created_at"],
        "data": {"delivery_id": webhook["delivery_id"], **data},
    }
    assert {name: getattr(kept, name) for name in data} == data


# Retries ------------------------------------------------------------------------------------------


def test_receiver_fails_twice_and_then_accepts(system, receiver, user):
    """Each retry comes after the delay and not before, with the same ID and a right signature."""
    receiver.script = [(500, {}), (503, {})]
    secret = system.override(
        user, "WEBHOOK", retry_count=3, retry_delay_seconds=1, config={"url": receiver.url}
    )["signing_secret"]

    delivery_id = system.sent(user, integration_types=["WEBHOOK"])

    ended = system.ended(user, delivery_id)
    assert (ended["status"], ended["attempts"], ended["max_attempts"]) == ("success", 3, 4)
    assert outcomes(ended) == [(1, 1, "retry"), (1, 2, "retry"), (1, 3, "delivered")]
    assert [one["code"] for one in ended["attempt_log"]] == ["http_500", "http_503", None]
    arrivals = receiver.arrivals
    assert [one.headers["webhook-id"] for one in arrivals] == [delivery_id] * 3
    assert len({one.body for one in arrivals}) == 1
    for one in arrivals:
        assert Webhook(secret).verify(one.body, dict(one.headers)) == one.json
    gaps = [later.at - one.at for one, later in itertools.pairwise(arrivals)]
    assert min(gaps) >= 1.0


def test_retry_after_is_honoured(system, receiver, user):
    """A receiver that asks for more time than the delay gets it."""
    receiver.script = [(429, {"Retry-After": "3"})]
    system.override(
        user, "WEBHOOK", retry_count=1, retry_delay_seconds=1, config={"url": receiver.url}
    )

    ended = system.ended(user, system.sent(user, integration_types=["WEBHOOK"]))

    first, second = receiver.arrivals
    assert outcomes(ended) == [(1, 1, "retry"), (1, 2, "delivered")]
    assert second.at - first.at >= 3.0


@pytest.mark.parametrize("retry_count", [0, 2])
def test_budget_of_attempts(system, receiver, user, retry_count):
    """A receiver that always fails is asked once and then as often as retry_count says."""
    receiver.script = [(500, {})] * 9
    system.override(
        user,
        "WEBHOOK",
        retry_count=retry_count,
        retry_delay_seconds=1,
        config={"url": receiver.url},
    )

    delivery_id = system.sent(user, integration_types=["WEBHOOK"])

    ended = system.ended(user, delivery_id)
    attempts = 1 + retry_count
    assert (ended["status"], ended["error_code"]) == ("failed", "http_500")
    assert (ended["attempts"], ended["max_attempts"]) == (attempts, attempts)
    assert outcomes(ended) == [(1, number, "retry") for number in range(1, attempts + 1)]
    assert len(receiver.arrivals) == attempts
    until(lambda: not system.stored(user, delivery_id).dead_letter_owed)
    dead_letter = {
        "v": 2,
        "kind": "redrive",
        "user_id": user,
        "delivery_id": delivery_id,
        "round": 2,
    }
    assert dead_letters(system, delivery_id) == [dead_letter]


def test_permanent_failure_is_not_retried(system, receiver, user):
    """A response that no retry can change ends the delivery immediately."""
    receiver.script = [(403, {})]
    system.override(user, "WEBHOOK", retry_delay_seconds=1, config={"url": receiver.url})

    ended = system.ended(user, system.sent(user, integration_types=["WEBHOOK"]))

    assert (ended["status"], ended["error_code"]) == ("failed", "http_403")
    assert outcomes(ended) == [(1, 1, "permanent")]
    assert len(receiver.arrivals) == 1


def test_gone_receiver_disables_the_override(api, system, receiver, user):
    """A 410 switches the override off, the configuration says why, and enabling clears that."""
    receiver.script = [(410, {})]
    system.override(user, "WEBHOOK", config={"url": receiver.url})

    ended = system.ended(user, system.sent(user, integration_types=["WEBHOOK"]))

    assert (ended["status"], ended["error_code"]) == ("failed", "http_410")
    off = until(lambda: system.effective(user)["disabled_integrations"].get("WEBHOOK"))
    assert off == "disabled_by_receiver"
    answered(api.put(f"/api/v1/users/{user}/integrations/WEBHOOK", json={"enabled": True}), 200)
    assert "WEBHOOK" in system.effective(user)["effective_configs"]


# New rounds ---------------------------------------------------------------------------------------


@pytest.fixture
def failed(system, receiver, user):
    """Return a user and the ID of a delivery that finally failed, its dead letter sent."""
    receiver.script = [(500, {})]
    system.override(
        user, "WEBHOOK", retry_count=0, retry_delay_seconds=1, config={"url": receiver.url}
    )
    delivery_id = system.sent(user, integration_types=["WEBHOOK"])
    system.ended(user, delivery_id)
    until(lambda: not system.stored(user, delivery_id).dead_letter_owed)
    return user, delivery_id


def redrive(system, delivery_id):
    """Move a delivery's dead letters to DeliveryQueue, as the console's redrive does.

    The local cloud has no StartMessageMoveTask. Returns the number of moved messages.
    """
    source, target = (system.stack[f"{name}QueueUrl"] for name in ("DeadLetter", "Delivery"))
    moved = 0
    while dead_letters(system, delivery_id):
        found = system.sqs.receive_message(
            QueueUrl=source, MaxNumberOfMessages=10, VisibilityTimeout=1
        )
        for message in found.get("Messages", []):
            if delivery_id in message["Body"]:
                system.sqs.send_message(QueueUrl=target, MessageBody=message["Body"])
                system.sqs.delete_message(QueueUrl=source, ReceiptHandle=message["ReceiptHandle"])
                moved += 1
    return moved


@pytest.mark.parametrize(
    "ways",
    [("retry",), ("redrive",), ("redrive", "retry"), ("retry", "redrive", "repeat", "retry")],
)
def test_new_round(api, system, receiver, failed, ways):
    """A retry, a redriven dead letter, or both, twice, open exactly one round of a failed delivery.

    SQS may deliver a dead letter twice.
    """
    user, delivery_id = failed
    (dead_letter,) = dead_letters(system, delivery_id)
    path = f"/api/v1/users/{user}/deliveries/{delivery_id}/retry"
    does = {
        "retry": lambda: api.post(path),
        "redrive": lambda: redrive(system, delivery_id),
        "repeat": lambda: system.ring("Delivery", dead_letter),
    }

    came = [does[way]() for way in ways]

    def succeeded():
        shown = system.delivery(user, delivery_id)
        return shown["status"] == "success" and shown

    ended = until(succeeded)
    assert outcomes(ended) == [(1, 1, "retry"), (2, 1, "delivered")]
    assert (ended["round"], ended["attempts"], ended["error_code"]) == (2, 1, None)
    if ways[0] == "retry":
        opened = {"delivery_id": delivery_id, "round": 2, "status": "pending"}
        assert answered(came[0], 202) == opened
    if "redrive" in ways:
        assert came[ways.index("redrive")] == 1
    else:
        assert dead_letters(system, delivery_id) == [dead_letter]
    # A later dead letter or retry finds nothing to do.
    system.ring("Delivery", dead_letter)
    assert api.post(path).status_code == 409
    until(lambda: not system.waiting("Delivery", user))
    assert system.delivery(user, delivery_id) == ended
    assert [one.headers["webhook-id"] for one in receiver.arrivals] == [delivery_id] * 2


def test_each_failed_round_has_its_own_dead_letter(system, receiver, failed):
    """A delivery that fails again after two redrives has three rounds, and a dead letter for 4."""
    user, delivery_id = failed
    receiver.script = [(500, {})] * 9

    for number in (2, 3):
        redrive(system, delivery_id)
        until(
            lambda number=number: (
                [one["round"] for one in dead_letters(system, delivery_id)] == [number + 1]
            )
        )

    ended = system.delivery(user, delivery_id)
    assert (ended["status"], ended["round"]) == ("failed", 3)
    assert outcomes(ended) == [(1, 1, "retry"), (2, 1, "retry"), (3, 1, "retry")]
    assert len(receiver.arrivals) == 3


def test_storm(system, receiver, user):
    """Of many parallel messages to a receiver that fails every third time, each arrives."""
    receiver.script = [(500, {}) if number % 3 == 0 else (204, {}) for number in range(99)]
    system.override(
        user, "WEBHOOK", retry_count=9, retry_delay_seconds=1, config={"url": receiver.url}
    )

    with ThreadPoolExecutor(2) as callers:
        ids = list(
            callers.map(lambda _: system.sent(user, integration_types=["WEBHOOK"]), range(30))
        )

    ended = [system.ended(user, one) for one in ids]
    assert [one["status"] for one in ended] == ["success"] * 30
    arrivals = Counter(one.headers["webhook-id"] for one in receiver.arrivals)
    # Nothing is sent that is not in the log, and nothing after a success.
    assert arrivals == {one["delivery_id"]: one["attempts"] for one in ended}


# Rehearsals ---------------------------------------------------------------------------------------


def test_rehearsal_of_retries(system, user):
    """TEST fails as often as it is asked to, and then delivers once."""
    system.override(user, "TEST", retry_count=2, retry_delay_seconds=1, config={"fail_attempts": 2})

    ended = system.ended(user, system.sent(user))

    assert outcomes(ended) == [(1, 1, "retry"), (1, 2, "retry"), (1, 3, "delivered")]
    assert [one["code"] for one in ended["attempt_log"]] == ["rehearsed_failure"] * 2 + [None]
    assert len(system.mailbox(user)) == 1


def test_rehearsal_of_a_permanent_failure(system, user):
    """TEST fails permanently if its config says so."""
    system.override(user, "TEST", retry_delay_seconds=1, config={"failure": "permanent"})

    ended = system.ended(user, system.sent(user))

    assert (ended["status"], ended["error_code"]) == ("failed", "rehearsed_failure")
    assert outcomes(ended) == [(1, 1, "permanent")]
    assert system.mailbox(user) == ()


def test_rehearsal_of_a_slow_receiver(system, user):
    """TEST waits for ``latency_ms``, and the attempt log shows it."""
    system.override(user, "TEST", config={"latency_ms": 700})

    ended = system.ended(user, system.sent(user))

    (attempt,) = ended["attempt_log"]
    assert attempt["outcome"] == "delivered"
    assert attempt["duration_ms"] >= 700


def test_rehearsal_of_a_crash(system, user):
    """A worker that dies between claim and record costs nothing but its lease."""
    system.override(user, "TEST", config={"fail_attempts": 1, "failure": "crash"})
    delivery_id = system.sent(user)
    until(lambda: system.message_row(user, delivery_id).owner)

    system.hasten(user, delivery_id)
    system.sweep()

    ended = system.ended(user, delivery_id)
    assert ended["status"] == "success"
    # The lost attempt is in the log, and forgiven: it uses up none of the two attempts.
    assert outcomes(ended) == [(1, 1, "unknown"), (1, 2, "delivered")]
    assert (ended["attempts"], ended["max_attempts"]) == (1, 2)
    assert len(system.mailbox(user)) == 1
