"""Data for every page: messages that arrived, wait, failed or were skipped, and categories."""

from __future__ import annotations

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
    cloud.ask(
        "POST",
        f"{ada}/integrations",
        {
            "integration_type": "TEST",
            "retry_count": 0,
            "config": {"failure": "permanent"},
        },
    )
    sent(
        cloud,
        "ada",
        subject="Deploy to staging failed",
        content="Step 4.",
        integration_types=["TEST"],
    )
    cloud.ask("PUT", f"{ada}/preferences", {"hours": closed_now()})
    sent(cloud, "ada", category="builds", subject="Build broken: main", content="See the log.")
    sent(
        cloud, "ada", category="security", subject="New sign-in from Lisbon", content="Was it you?"
    )
