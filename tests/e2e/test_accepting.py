"""The send: idempotent, restricted, delayed, expiring, cancelled, one after the other."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.system import answered, doorbell, seconds, until

ALL_OTHERS = [
    {"integration_type": "SLACK", "reason": "not_configured"},
    {"integration_type": "EMAIL", "reason": "not_configured"},
    {"integration_type": "WEBHOOK", "reason": "disabled_by_default"},
    {"integration_type": "SMS", "reason": "disabled_by_default"},
    {"integration_type": "CLI", "reason": "disabled_by_default"},
    {"integration_type": "TOOL", "reason": "disabled_by_default"},
]


def ahead(**parts: float) -> str:
    """Return a time from now on as the API reads it."""
    return (datetime.now(UTC) + timedelta(**parts)).isoformat()


# Responses ----------------------------------------------------------------------------------------


def test_answer_names_every_integration(api, system, user):
    """The response lists the deliveries in order, and every other integration with its reason."""
    response = api.post(f"/api/v1/users/{user}/deliveries", json={"content": "Hello"})

    answer = answered(response, 202)
    request_id = answer["request_id"]
    (delivery,) = answer["deliveries"]
    assert answer == {
        "request_id": request_id,
        "user_id": user,
        "category": None,
        "deliveries": [
            {
                "delivery_id": delivery["delivery_id"],
                "integration_type": "TEST",
                "priority": 5,
                "status": "pending",
                "locked": False,
                "held": None,
            }
        ],
        "skipped": ALL_OTHERS,
    }
    request = answered(api.get(f"/api/v1/users/{user}/{response.headers['Location']}"), 200)
    assert request["request_id"] == request_id
    assert request["skipped"] == ALL_OTHERS
    assert [one["delivery_id"] for one in request["deliveries"]] == [delivery["delivery_id"]]


@pytest.mark.parametrize("request_id", ["a/b?c#d", "a%2Fb", "100%"])
def test_a_request_is_found_under_any_id(api, user, request_id):
    """The Location of a send leads to the request, however its ID has to be encoded."""
    path = f"/api/v1/users/{user}/deliveries"
    sent = api.post(path, json={"content": "Hello", "request_id": request_id})

    request = answered(api.get(f"/api/v1/users/{user}/{sent.headers['Location']}"), 200)

    assert request["request_id"] == request_id


def test_integration_types_restrict_the_send(system, receiver, user):
    """Only the named integrations are used, and only they are in the response."""
    system.override(user, "WEBHOOK", config={"url": receiver.url})

    answer = system.send(user, integration_types=["sms", "webhook"])

    assert [one["integration_type"] for one in answer["deliveries"]] == ["WEBHOOK"]
    assert answer["skipped"] == [{"integration_type": "SMS", "reason": "disabled_by_default"}]
    system.ended(user, answer["deliveries"][0]["delivery_id"])
    assert system.mailbox(user) == ()


def test_nothing_enabled(system, user):
    """A user without any effective integration gets no delivery, and the response says why."""
    system.override(user, "TEST", enabled=False)

    answer = system.send(user, request_id="r-1")

    reasons = {one["integration_type"]: one for one in ALL_OTHERS}
    reasons["TEST"] = {"integration_type": "TEST", "reason": "disabled_by_user"}
    order = ("SLACK", "EMAIL", "WEBHOOK", "SMS", "TEST", "CLI", "TOOL")
    assert answer == {
        "request_id": "r-1",
        "user_id": user,
        "category": None,
        "deliveries": [],
        "skipped": [reasons[name] for name in order],
    }


def test_no_address(system, user):
    """An integration that is enabled without an address is left out, and the key is named."""
    system.override(user, "SMS")

    (skipped,) = system.send(user, integration_types=["SMS"])["skipped"]

    assert (skipped["integration_type"], skipped["reason"]) == ("SMS", "no_address")
    assert "phone_number" in skipped["detail"]


# Idempotence --------------------------------------------------------------------------------------


def test_same_request_again(api, system, user):
    """The same request gets the same response, marked as replayed, and sends nothing twice."""
    path = f"/api/v1/users/{user}/deliveries"
    body = {"request_id": "r-1", "content": "Hello", "subject": "One"}

    first = api.post(path, json=body)
    system.ended(user, first.json()["deliveries"][0]["delivery_id"])
    again = api.post(path, json=dict(reversed(body.items())))

    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert answered(again, 202) == answered(first, 202)
    until(lambda: not system.waiting("Delivery", user))
    assert len(system.mailbox(user)) == 1
    assert len(system.history(user)["deliveries"]) == 1


def test_same_request_id_for_another_message(api, system, user):
    """A request_id that was used for another message is refused, and nothing is written."""
    system.send(user, request_id="r-1", content="One")

    body = {"request_id": "r-1", "content": "Two"}
    refused = answered(api.post(f"/api/v1/users/{user}/deliveries", json=body), 422)

    assert [one["pointer"] for one in refused["errors"]] == ["/request_id"]
    assert len(system.history(user)["deliveries"]) == 1


def test_request_id_belongs_to_its_user(system, user):
    """Two users may use the same request_id."""
    one = system.send(f"{user}-1", request_id="r-1")
    other = system.send(f"{user}-2", request_id="r-1")

    assert one["deliveries"][0]["delivery_id"] != other["deliveries"][0]["delivery_id"]


def test_header_is_another_way_to_give_the_request_id(api, user):
    """The header Idempotency-Key is the request_id; both, and different, are refused."""
    path = f"/api/v1/users/{user}/deliveries"
    key = {"Idempotency-Key": "key-1"}

    by_header = api.post(path, json={"content": "Hello"}, headers=key)
    by_body = api.post(path, json={"content": "Hello", "request_id": "key-1"})
    by_both = api.post(path, json={"content": "Hello", "request_id": "key-1"}, headers=key)
    differing = api.post(path, json={"content": "Hello", "request_id": "key-2"}, headers=key)

    assert answered(by_header, 202)["request_id"] == "key-1"
    assert answered(by_body, 202) == answered(by_both, 202) == by_header.json()
    assert by_body.headers["Idempotency-Replayed"] == "true"
    pointers = [one["pointer"] for one in answered(differing, 422)["errors"]]
    assert pointers == ["/request_id"]


def test_fifty_equal_requests_at_once(api, system, user):
    """Fifty equal requests are one: one set of IDs, fifty equal responses, one delivery."""
    path = f"/api/v1/users/{user}/deliveries"
    body = {"content": "Hello", "request_id": "r-1"}

    # Eight at a time: for each parallel request the local cloud unpacks and starts a worker.
    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda _: api.post(path, json=body), range(50)))

    assert Counter(one.status_code for one in answers) == {202: 50}
    assert len({one.text for one in answers}) == 1
    assert sum("Idempotency-Replayed" not in one.headers for one in answers) == 1
    (delivery,) = answers[0].json()["deliveries"]
    assert system.ended(user, delivery["delivery_id"])["attempts"] == 1
    assert len(system.history(user)["deliveries"]) == 1
    assert len(system.mailbox(user)) == 1


def test_a_request_without_its_message_is_completed(api, system, user):
    """A repeat completes a request whose first call died before it stored the message."""
    path = f"/api/v1/users/{user}/deliveries"
    body = {"content": "Hello", "request_id": "r-1", "deliver_at": ahead(minutes=5)}
    first = answered(api.post(path, json=body), 202)
    (delivery,) = first["deliveries"]
    accepted = system.message_row(user, delivery["delivery_id"])
    system.lose_message(user, accepted.message_id)
    unknown = api.get(f"{path}/{delivery['delivery_id']}")

    again = api.post(path, json=body)

    assert unknown.status_code == 404
    assert again.headers["Idempotency-Replayed"] == "true"
    assert answered(again, 202) == first
    completed = system.message_row(user, delivery["delivery_id"])
    assert completed == replace(accepted, rev=completed.rev)
    system.hasten(user, delivery["delivery_id"])
    system.sweep()
    assert system.ended(user, delivery["delivery_id"])["status"] == "success"
    assert len(system.mailbox(user)) == 1


# Times --------------------------------------------------------------------------------------------


def test_deliver_at_is_not_early(system, user):
    """A message for later waits until its time, and then goes."""
    due = ahead(seconds=3)

    ended = system.ended(user, system.sent(user, deliver_at=due))

    assert ended["status"] == "success"
    assert seconds(ended["first_attempt_at"]) >= round(seconds(due), 3)


def test_next_attempt_is_told(system, user):
    """A delivery that waits shows when it will be tried."""
    due = ahead(days=2)

    shown = system.delivery(user, system.sent(user, deliver_at=due))

    assert (shown["status"], shown["attempts"]) == ("pending", 0)
    assert seconds(shown["next_attempt_at"]) == pytest.approx(seconds(due), abs=0.001)


def test_deliver_at_in_the_past_is_now(system, user):
    """A time that has passed delays nothing."""
    ended = system.ended(user, system.sent(user, deliver_at="2020-01-01T00:00:00+01:00"))

    assert ended["status"] == "success"


def test_message_expires_before_its_retry(system, user):
    """A delivery whose next attempt would be too late fails as expired, without a dead letter."""
    system.override(user, "TEST", retry_delay_seconds=600, config={"failure": "transient"})

    ended = system.ended(user, system.sent(user, expires_at=ahead(minutes=5)))

    assert (ended["status"], ended["error_code"], ended["attempts"]) == ("failed", "expired", 1)
    assert ended["delivery_id"] not in str(system.messages("DeadLetter"))


def test_message_expires_before_it_is_sent(system, user):
    """A message that is due only after ``expires_at`` is not sent."""
    delivery_id = system.sent(user, deliver_at=ahead(minutes=5), expires_at=ahead(minutes=6))

    system.hasten(user, delivery_id, expires_at=time.time() - 1)
    system.sweep()

    ended = system.ended(user, delivery_id)
    assert (ended["status"], ended["error_code"], ended["attempts"]) == ("failed", "expired", 0)
    assert system.mailbox(user) == ()


# Cancelling ---------------------------------------------------------------------------------------


def test_cancel(api, system, user):
    """A pending delivery can be cancelled; a second cancel gets the same response."""
    delivery_id = system.sent(user, deliver_at=ahead(minutes=5), request_id="r-1")
    path = f"/api/v1/users/{user}/deliveries/{delivery_id}"

    first = answered(api.delete(path), 200)
    again = answered(api.delete(path), 200)
    system.ring("Delivery", doorbell(user, delivery_id, "r-1"))

    assert (first["status"], first["error_code"]) == ("skipped", "cancelled")
    until(lambda: not system.waiting("Delivery", user))
    assert first == again == answered(api.get(path), 200)
    assert system.mailbox(user) == ()


def test_cancel_too_late(api, system, user):
    """A message that has been delivered cannot be cancelled."""
    delivery_id = system.sent(user)
    ended = system.ended(user, delivery_id)

    refused = api.delete(f"/api/v1/users/{user}/deliveries/{delivery_id}")

    assert refused.status_code == 409
    assert system.delivery(user, delivery_id) == ended


# First success ------------------------------------------------------------------------------------


def test_first_success_stops_at_the_first(system, receiver, user):
    """One success is enough: the integrations after it are skipped."""
    system.override(user, "WEBHOOK", config={"url": receiver.url})

    answer = system.send(user, mode="first_success")

    webhook, test = (system.ended(user, one["delivery_id"]) for one in answer["deliveries"])
    assert (webhook["integration_type"], webhook["status"]) == ("WEBHOOK", "success")
    assert (test["status"], test["error_code"]) == ("skipped", "first_success")
    assert len(receiver.arrivals) == 1
    assert system.mailbox(user) == ()


def test_first_success_goes_on_after_a_failure(system, receiver, user):
    """The next integration is attempted once the one before it has finally failed."""
    receiver.script = [(500, {}), (500, {})]
    system.override(
        user, "WEBHOOK", retry_count=1, retry_delay_seconds=1, config={"url": receiver.url}
    )

    answer = system.send(user, mode="first_success")

    webhook, test = (system.ended(user, one["delivery_id"]) for one in answer["deliveries"])
    assert (webhook["status"], webhook["attempts"]) == ("failed", 2)
    assert (test["status"], test["attempts"]) == ("success", 1)
    assert seconds(test["first_attempt_at"]) >= seconds(webhook["last_attempt_at"])


def test_first_success_goes_on_after_a_cancel(api, system, receiver, user):
    """Cancelling the first delivery frees the next one, which is not attempted before its time."""
    system.override(user, "WEBHOOK", config={"url": receiver.url})
    deliver_at = ahead(minutes=10)
    answer = system.send(user, mode="first_success", deliver_at=deliver_at)
    webhook, test = (one["delivery_id"] for one in answer["deliveries"])

    answered(api.delete(f"/api/v1/users/{user}/deliveries/{webhook}"), 200)
    released = system.delivery(user, test)
    system.hasten(user, test)
    system.sweep()

    assert released["status"] == "pending"
    assert seconds(released["next_attempt_at"]) == round(seconds(deliver_at), 3)
    assert system.ended(user, test)["status"] == "success"
    assert receiver.arrivals == []
