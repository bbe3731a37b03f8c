"""Data for every page: messages that arrived, wait, failed or were skipped, and categories."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from tests.feedback import event
from tests.functions.service import reports

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
PATIENT = {"retry_count": 3, "retry_delay_seconds": 1}
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


def override(cloud, user, name, **settings):
    """Store a new override in place of the old one."""
    path = f"/api/v1/users/{user}/integrations"
    cloud.ask("DELETE", f"{path}/{name}")
    status, stored = cloud.ask("POST", path, {"integration_type": name, **settings})
    assert status == 201, stored


def rehearse(cloud, user, **settings):
    """Let TEST fail for a user as its config says."""
    override(cloud, user, "TEST", retry_delay_seconds=1, **settings)


def pause():
    """Let some time pass. Retries wait in an emulated queue, which has no clock to be moved."""
    time.sleep(0.1)


def ended(cloud, user, request_id, wait=pause):
    """Deliver until a message has no pending delivery, and return its request."""
    for _ in range(300):
        with cloud.lock:
            cloud.deliver()
        _, request = cloud.ask("GET", f"/api/v1/users/{user}/requests/{request_id}")
        if all(one["status"] != "pending" for one in request["deliveries"]):
            return request
        wait()
    raise AssertionError(request)


def bounced(cloud, user, accepted, address):
    """Report that the email of a message bounced, as SES does."""
    ids = {one["integration_type"]: one["delivery_id"] for one in accepted["deliveries"]}
    report = event("bounce_permanent", user, ids["EMAIL"], stack="stack", address=address)
    with cloud.lock:
        assert cloud.service.invoke("accept_feedback", reports(report)) == {"batchItemFailures": []}
        cloud.deliver()


def closed_now():
    """Return weekly hours, in the zone of Berlin, that are closed now and open in four hours."""
    start, end = (
        (datetime.now(ZoneInfo("Europe/Berlin")) + timedelta(hours=hours)).strftime("%H:00")
        for hours in (4, 14)
    )
    return {"windows": [{"days": [*DAYS], "from": start, "to": end}]}


def categorize(cloud, bearer=None):
    """Create the categories."""
    for name, body in CATEGORIES.items():
        assert cloud.ask("PUT", f"/api/v1/categories/{name}", body, bearer=bearer)[0] == 201


def furnish(cloud, wait, hours=None):
    """Give Ada something on every page: delivered, retried, failed, held and skipped messages."""
    preferences = "/api/v1/users/ada/preferences"
    assert cloud.ask("PUT", preferences, {"time_zone": "Europe/Berlin"})[0] == 200
    override(cloud, "ada", "SMS", enabled=False)
    override(cloud, "ada", "WEBHOOK", config={"url": f"{cloud.hooks.url}/ada"}, **PATIENT)

    def ada(request_id, subject, content, **body):
        sent(cloud, "ada", request_id=request_id, subject=subject, content=content, **body)
        wait()

    ada("backup-311", "Backup done", "All 12 tables are stored.", integration_types=["CLI"])
    ada("review-88", "Review: retry budget", "Please have a look.", category="reviews")
    rehearse(cloud, "ada", retry_count=0, config={"failure": "permanent"})
    ada("deploy-17", "Deploy to staging", "Step 4 of 9.", integration_types=["TEST"])
    cloud.ask("DELETE", "/api/v1/users/ada/integrations/TEST")
    assert cloud.ask("PUT", preferences, {"hours": hours or closed_now()})[0] == 200
    ada("build-4711", "Build broken: main", "Two tests fail.", category="builds")
    ada("sign-in-5", "New sign-in from Lisbon", "Was it you?", category="security")
    cloud.hooks.statuses += [503, 503]
    ada("report-2026-11-26", "Nightly report", "3 checks need you.", integration_types=["WEBHOOK"])
    ended(cloud, "ada", "report-2026-11-26", wait)
