"""The request that a send created, as its caller follows it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.e2e.system import answered, seconds


def test_a_request_shows_its_deliveries(system, receiver, user):
    """A request has the fields of its send, and its deliveries as the history shows them."""
    system.override(user, "WEBHOOK", priority=3, config={"url": receiver.url})
    sent = system.send(
        user, request_id="r-1", session_id="s-1", agent_id="laptop-refresh", subject="Laptop"
    )
    for one in sent["deliveries"]:
        system.ended(user, one["delivery_id"])

    request = system.request(user, "r-1")

    # The history begins with the last place, a request with the first one.
    deliveries = system.history(user, request_id="r-1")["deliveries"][::-1]
    assert [one["delivery_id"] for one in deliveries] == [
        one["delivery_id"] for one in sent["deliveries"]
    ]
    assert request == {
        "request_id": "r-1",
        "user_id": user,
        "session_id": "s-1",
        "agent_id": "laptop-refresh",
        "subject": "Laptop",
        "created_at": deliveries[0]["created_at"],
        "deliver_at": None,
        "expires_at": None,
        "mode": "all",
        "deliveries": deliveries,
        "skipped": sent["skipped"],
    }


def test_the_location_of_a_send_leads_to_its_request(api, user):
    """The request is found immediately, with its deliveries as they are now."""
    body = {
        "content": "Hello",
        "request_id": "r-1",
        "mode": "first_success",
        "deliver_at": (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="milliseconds"),
        "expires_at": (datetime.now(UTC) + timedelta(days=2)).isoformat(timespec="milliseconds"),
    }
    sent = api.post(f"/api/v1/users/{user}/deliveries", json=body)

    request = answered(api.get(f"/api/v1/users/{user}/{sent.headers['Location']}"), 200)

    (delivery,) = request["deliveries"]
    assert delivery["delivery_id"] == sent.json()["deliveries"][0]["delivery_id"]
    assert (delivery["status"], delivery["next_attempt_at"]) == ("pending", request["deliver_at"])
    assert (request["request_id"], request["mode"]) == ("r-1", "first_success")
    for name in ("deliver_at", "expires_at"):
        assert seconds(request[name]) == seconds(body[name])


def test_a_request_without_deliveries(system, user):
    """A request whose integrations were all skipped has the reasons."""
    system.override(user, "TEST", enabled=False)
    sent = system.send(user, request_id="r-1")

    request = system.request(user, "r-1")

    assert (request["deliveries"], request["skipped"]) == ([], sent["skipped"])


def test_a_request_is_shown_to_its_user_only(api, system, user):
    """An unknown request and another user's request are not found."""
    system.send(user, request_id="r-1")

    statuses = [
        api.get(f"/api/v1/users/{name}/requests/{request_id}").status_code
        for name, request_id in ((user, "r-2"), (f"{user}-2", "r-1"))
    ]

    assert statuses == [404, 404]


def test_a_request_without_its_message_was_never_accepted(api, system, user):
    """A request whose first call died before it stored the message is found after a repeat."""
    path = f"/api/v1/users/{user}/requests/r-1"
    deliver_at = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    system.send(user, request_id="r-1", deliver_at=deliver_at)
    system.lose_message(user, system.request_row(user, "r-1").message_id)

    before = api.get(path)
    system.send(user, request_id="r-1", deliver_at=deliver_at)

    assert before.status_code == 404
    (delivery,) = answered(api.get(path), 200)["deliveries"]
    assert delivery["status"] == "pending"
