"""Data for every page: messages that arrived, wait, failed or were skipped, and categories."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

CATEGORIES = {
    "security": {
        "title": "Security",
        "description": "Sign-ins and changes of keys",
        "group": "Account",
        "order": 10,
        "locked": True,
        "reach_by": ["EMAIL"],
        "urgent": True,
    },
    "builds": {
        "title": "Builds",
        "description": "Results of builds and tests",
        "group": "Work",
        "order": 20,
    },
    "reviews": {
        "title": "Reviews",
        "description": "Requests for your opinion",
        "group": "Work",
        "order": 30,
    },
    "news": {
        "title": "News",
        "description": "What is new, once a month",
        "group": "Other",
        "order": 40,
    },
    "beta": {
        "title": "Beta features",
        "description": "Opt-in: early access",
        "group": "Other",
        "order": 50,
        "enabled": False,
    },
}


def sent(cloud, user, **body):
    """Send a message and return the response."""
    status, accepted = cloud.ask("POST", f"/api/v1/users/{user}/deliveries", body)
    assert status == 202, accepted
    return accepted


def rehearse(cloud, user, **settings):
    """Let TEST fail for a user as its config says."""
    path = f"/api/v1/users/{user}/integrations"
    cloud.ask("DELETE", f"{path}/TEST")
    body = {"integration_type": "TEST", "retry_delay_seconds": 1, **settings}
    assert cloud.ask("POST", path, body)[0] == 201


def ended(cloud, user, request_id):
    """Deliver until a message has no pending delivery, and return its request."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with cloud.lock:
            cloud.deliver()
        _, request = cloud.ask("GET", f"/api/v1/users/{user}/requests/{request_id}")
        if all(one["status"] != "pending" for one in request["deliveries"]):
            return request
        # Retries wait in an emulated queue, which has no clock to be moved.
        time.sleep(0.1)
    raise AssertionError(request)


def closed_now(now=None):
    """Return weekly hours that are closed now and open in some hours, in UTC."""
    now = now or datetime.now(UTC)
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    start, end = now + timedelta(hours=4), now + timedelta(hours=14)
    clock = [f"{one.hour:02}:{one.minute // 15 * 15:02}" for one in (start, end)]
    return {"windows": [{"days": days, "from": clock[0], "to": clock[1]}]}


def furnish(cloud):
    """Give Ada something on every page."""
    for name, body in CATEGORIES.items():
        cloud.ask("PUT", f"/api/v1/categories/{name}", body)
    ada = "/api/v1/users/ada"
    cloud.ask("PUT", f"{ada}/preferences", {"time_zone": "Europe/Berlin"})
    cloud.ask(
        "POST",
        f"{ada}/integrations",
        {
            "integration_type": "WEBHOOK",
            "config": {"url": "https://hooks.example.com/ada"},
            "enabled": False,
        },
    )
    sent(cloud, "ada", category="reviews", subject="Review: retry budget", content="Please look.")
    sent(cloud, "ada", subject="Backup done", content="All 12 tables.", integration_types=["CLI"])
    rehearse(cloud, "ada", retry_count=3, config={"fail_attempts": 2, "failure": "transient"})
    deploy = sent(
        cloud, "ada", subject="Deploy to production", integration_types=["TEST"], content="1"
    )
    ended(cloud, "ada", deploy["request_id"])
    rehearse(cloud, "ada", retry_count=0, config={"failure": "permanent"})
    sent(cloud, "ada", subject="Deploy to staging", content="Step 4.", integration_types=["TEST"])
    cloud.ask("DELETE", f"{ada}/integrations/TEST")
    cloud.ask("PUT", f"{ada}/preferences", {"hours": closed_now()})
    sent(cloud, "ada", category="builds", subject="Build broken: main", content="See the log.")
    sent(
        cloud, "ada", category="security", subject="New sign-in from Lisbon", content="Was it you?"
    )
