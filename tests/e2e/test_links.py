"""Links on the deployed stack: the secret, the open routes and the narrow sessions, with IAM."""

from __future__ import annotations

import time

import pytest
import requests

from dispatcher.access.links import Links
from tests.e2e.system import answered, until
from tools.local_cloud import STACK

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
def http():
    """A session of a client that knows nothing about the API."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def news(api, user):
    """A category that no other test knows."""
    name = f"{user}-news"
    answered(api.put(f"/api/v1/categories/{name}", json={"title": "News"}), 201)
    yield name
    answered(api.delete(f"/api/v1/categories/{name}"), 204)


@pytest.fixture
def unsubscribe_url(aws, stack, user, news):
    """The link of an email, signed with the key that the stack created."""
    key = aws.client("secretsmanager").get_secret_value(SecretId=f"{STACK}-links")["SecretString"]

    class Key:
        def current(self):
            return key

    payload = {"u": user, "c": news, "e": int(time.time()) + 600}
    return f"{stack['api_url']}/u/{Links(Key(), None).sign('unsubscribe', payload)}"


def test_a_link_ends_its_category_and_takes_it_back(api, http, user, news, unsubscribe_url):
    """GET and HEAD change nothing; the form of a mailbox provider and multipart both work."""
    shown, head = http.get(unsubscribe_url), http.head(unsubscribe_url)
    untouched = answered(api.get(f"/api/v1/users/{user}/preferences"), 200)
    clicked = http.post(unsubscribe_url, data=ONE_CLICK)
    ended = answered(api.get(f"/api/v1/users/{user}/preferences"), 200)
    undone = http.post(unsubscribe_url, files={"action": (None, "undo")})
    restored = answered(api.get(f"/api/v1/users/{user}/preferences"), 200)

    assert [one.status_code for one in (shown, head, clicked, undone)] == [200] * 4
    assert (head.content, shown.headers["Referrer-Policy"]) == (b"", "no-referrer")
    assert (untouched["categories"], restored["categories"]) == (None, None)
    assert ended["categories"] == {news: {"integrations": {"EMAIL": False}}}
    assert ended["updated_via"] == "unsubscribe"
    assert http.get(unsubscribe_url[:-1]).status_code == 404
    assert http.put(unsubscribe_url).status_code == 405


def test_a_session_has_its_narrow_rights_without_authentication(api, http, stack, user):
    """The local profile grants each caller all rights, but a link's token only its own."""
    url, path = stack["api_url"], f"/api/v1/users/{user}"
    link = answered(api.post(f"{path}/preferences-link", json={}), 201)
    assert link["url"].startswith(f"{url}/p/")
    body = {"token": link["url"].rpartition("/")[2]}
    session = answered(api.post("/api/v1/session", json=body), 201)
    bearer = {"Authorization": f"Bearer {session['access_token']}"}

    statuses = {
        asked: http.get(url + asked, headers=bearer).status_code
        for asked in (f"{path}/preferences", f"{path}/deliveries", "/api/v1/overview")
    }
    own = http.get(f"{url}/api/v1/session", headers=bearer).json()
    changed = http.put(f"{url}{path}/preferences", json={"language": "de"}, headers=bearer).json()

    assert [*statuses.values()] == [200, 403, 403]
    assert (own["kind"], own["user_id"], own["scopes"]) == ("link", user, ["dispatch:preferences"])
    assert changed["updated_via"] == "link"
    broken = {"Authorization": f"{bearer['Authorization']}x"}
    assert http.get(f"{url}{path}/preferences", headers=broken).status_code == 401
    assert answered(api.get("/api/v1/session"), 200)["kind"] == "none"


def test_the_overview_reads_every_queue(api, stack):
    """The queue of reports is one of them where it exists; the local cloud computes no metrics."""
    body = answered(api.get("/api/v1/overview"), 200)

    queues = {name: depth is not None for name, depth in body["queues"].items()}
    assert queues == {**dict.fromkeys(queues, True), "feedback": "FeedbackQueueUrl" in stack}
    assert body["last_hour"]["available"] is False


def test_no_log_of_the_stack_contains_a_token(aws, http, unsubscribe_url):
    """Of the functions, whatever becomes of the request."""
    token = unsubscribe_url.rpartition("/")[2]
    http.get(unsubscribe_url)
    http.post(unsubscribe_url, data={"x": "y"})
    http.put(unsubscribe_url)
    logs = aws.client("logs")

    def lines():
        groups = logs.describe_log_groups()["logGroups"]
        return [
            event["message"]
            for group in groups
            for event in logs.filter_log_events(logGroupName=group["logGroupName"])["events"]
        ]

    until(lambda: any("/u/{token}" in line for line in lines()))

    assert [line for line in lines() if token in line] == []
