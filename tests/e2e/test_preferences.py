"""Preferences on the deployed stack: a message obeys each setting, and IAM lets each route work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.system import answered, until

DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


@pytest.fixture
def ask(api, user):
    """Send a request about the user; return the body of the response."""

    def ask(method, path, status=200, **body):
        response = api.request(method, f"/api/v1/users/{user}{path}", json=body or None)
        return answered(response, status)

    return ask


@pytest.fixture
def category(api, user):
    """Define a category that no other test knows; return its name."""
    defined = []

    def define(**fields):
        name = f"{user}-{len(defined)}"
        answered(api.put(f"/api/v1/categories/{name}", json={"title": "Test", **fields}), 201)
        defined.append(name)
        return name

    yield define
    for name in defined:
        answered(api.delete(f"/api/v1/categories/{name}"), 204)


def an_hour_ahead():
    """Return a time as a caller writes it."""
    return (datetime.now(UTC) + timedelta(hours=1)).isoformat()


def closed_now():
    """Return a window of 15 minutes that opens in 6 hours."""
    start = datetime.now(UTC) + timedelta(hours=6)
    end = start + timedelta(minutes=15)
    return {"days": DAYS, "from": f"{start:%H:%M}", "to": f"{end:%H:%M}"}


def sent(ask, **body):
    """Send a message over TEST; return its only delivery, and why TEST is skipped without one."""
    given = {"content": "x", "integration_types": ["TEST"], **body}
    answer = ask("POST", "/deliveries", 202, **given)
    [one] = answer["deliveries"] or [None]
    return one, {skip["integration_type"]: skip["reason"] for skip in answer["skipped"]}


def delivered(ask, delivery):
    """Wait for the end of a delivery; return its status."""
    path = f"/deliveries/{delivery['delivery_id']}"
    return until(lambda: (s := ask("GET", path)["status"]) != "pending" and s)


def test_a_mute_holds_a_message_until_it_ends(ask):
    """A held message arrives within seconds of the unmute; the user leaves no row."""
    hours = {"integrations": ["TEST"]}
    ask("PUT", "/preferences", hours=hours, muted_until=an_hour_ahead())
    held, _ = sent(ask)
    assert held["held"]["reason"] == "muted"

    changed = answered_unmute(ask)

    assert changed["rescheduled"] == {"deliveries": 1, "complete": True}
    assert delivered(ask, held) == "success"
    ask("DELETE", "/preferences", 204)


def answered_unmute(ask):
    """End the mute."""
    return ask("PUT", "/preferences", muted_until=None)


def test_hours_hold_what_they_name_and_urgent_messages_pass(ask, category):
    """Closed hours hold TEST; a message of an urgent category is delivered immediately."""
    hours = {"windows": [closed_now()], "integrations": ["TEST"]}
    shown = ask("PUT", "/preferences", hours=hours)
    held, _ = sent(ask)
    urgent, _ = sent(ask, category=category(urgent=True))

    assert shown["effective"]["open_now"] is False
    assert held["held"]["reason"] == "quiet_hours"
    assert held["held"]["until"] >= shown["effective"]["next_open_at"]
    assert urgent["held"] is None
    assert delivered(ask, urgent) == "success"
    ask("DELETE", f"/deliveries/{held['delivery_id']}")


def test_categories_obey_the_users_choices_unless_they_are_locked(ask, category):
    """Off, off for one integration, opt-in, and locked."""
    off, cell, opt_in = category(), category(), category(enabled=False)
    locked = category(locked=True, reach_by=["EMAIL"])
    ask(
        "PUT",
        "/preferences",
        categories={off: {"enabled": False}, cell: {"integrations": {"TEST": False}}},
    )

    reasons = [sent(ask, category=name)[1] for name in (off, cell, opt_in)]
    ask("PUT", "/preferences", categories={opt_in: {"enabled": True}})
    refused = ask("PUT", "/preferences", 409, categories={locked: {"enabled": False}})

    assert reasons == [
        {"TEST": "category_disabled_by_user"},
        {"TEST": "category_disabled_by_user"},
        {"TEST": "category_disabled_by_default"},
    ]
    assert f"categories.{locked}.enabled" in refused["detail"]
    assert delivered(ask, sent(ask, category=opt_in)[0]) == "success"
    assert delivered(ask, sent(ask, category=locked)[0]) == "success"


def test_a_preview_and_the_effective_configuration_show_what_a_send_would_do(ask, category):
    """Both go by the category, and neither stores anything."""
    name = category(integrations={"TEST": False})

    preview = ask("POST", "/preview", category=name, integration_types=["TEST"])
    effective = ask("GET", f"/integration-defaults?category={name}")

    reason = "category_disabled_by_default"
    assert [(one["integration_type"], one["reason"]) for one in preview["skipped"]] == [
        ("TEST", reason)
    ]
    assert effective["disabled_integrations"]["TEST"] == reason
    assert ask("GET", "/deliveries")["deliveries"] == []


def test_the_tag_of_a_response_permits_a_change(api, ask, user):
    """Also of a response that is long enough to be compressed."""
    ask("PUT", "/preferences", hours={"windows": [closed_now()] * 14})
    url = f"/api/v1/users/{user}/preferences"
    read = api.get(url)
    tag = read.headers["ETag"]

    answer = api.put(url, json={"language": "en"}, headers={"If-Match": tag})

    assert read.headers["Content-Encoding"] == "gzip"
    assert tag == f'"{read.json()["version"]}"'
    assert answered(answer, 200)["language"] == "en"


def test_an_old_tag_is_refused(api, ask, user):
    """``If-Match`` with another tag gets 412."""
    ask("PUT", "/preferences", language="de")
    url = f"/api/v1/users/{user}/preferences"

    answer = api.put(url, json={"language": "en"}, headers={"If-Match": '"0000000000000000"'})

    assert answered(answer, 412)["title"] == "Precondition failed"
    assert ask("GET", "/preferences")["language"] == "de"
