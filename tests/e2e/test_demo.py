"""`make demo` as a whole, as a person calls it, on a separate cloud."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from itertools import pairwise

import pytest

from dispatcher.delivery.rows import place_of
from tests.e2e.api_session import ApiSession
from tests.e2e.system import System, until
from tools import demo
from tools.after_deploy import physical_ids
from tools.local_cloud import STACK, LocalCloud
from tools.mailbox import Mailbox
from tools.paths import ROOT
from tools.processes import LOOPBACK, free_port
from tools.receiver import Receiver

SECONDS = 60.0
"""That a demo may take if the service is deployed already."""

MINUTE = 60.0
"""Seconds between two runs of the sweeper."""


def three_ports() -> int:
    """Return a free port with two free neighbors."""
    while True:
        port = free_port()
        try:
            with (
                socket.create_server((LOOPBACK, port + 1)),
                socket.create_server((LOOPBACK, port + 2)),
            ):
                return port
        except (OSError, OverflowError):
            continue


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    """Return a cloud that no other test uses."""
    home = tmp_path_factory.mktemp("demo")
    cloud = LocalCloud(home, api_port=three_ports(), cloud_port=free_port())
    yield cloud
    cloud.forget()


def make_demo(cloud: LocalCloud) -> str:
    """Run `make demo` as a person does; return what it prints."""
    settings = {
        "CLOUD_HOME": str(cloud.home),
        "PORT": str(cloud.api_port),
        "CLOUD_PORT": str(cloud.cloud_port),
        "COLUMNS": "160",
    }
    done = subprocess.run(
        ["make", "--no-print-directory", "demo"],
        cwd=ROOT,
        env=os.environ | settings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    return done.stdout


def scene(shown: str, title: str) -> str:
    """Return what a scene prints."""
    return shown.partition(f"\n{title}")[2].partition("\n\n")[0]


def words(text: str) -> str:
    """Return a text that was wrapped into lines, on one line."""
    return " ".join(text.split())


def leftovers(cloud: LocalCloud) -> list[str]:
    """Return the queues and the rules that demos have made."""
    queues = cloud.session.client("sqs").list_queues(QueueNamePrefix="demo-").get("QueueUrls", [])
    rules = cloud.session.client("events").list_rules(EventBusName=f"{STACK}-tools")
    return [*queues, *(one["Name"] for one in rules["Rules"] if one["Name"].startswith("demo-"))]


def test_the_demo_shows_retries_and_all_seven_integrations_twice(cloud):
    """The second demo deploys nothing and takes seconds; each receiver shows what it got."""
    for again in (False, True):
        began = time.monotonic()

        shown = make_demo(cloud)

        assert ("deploy: nothing has changed" in shown) is again
        assert not again or time.monotonic() - began < SECONDS
        assert leftovers(cloud) == []
        overrides = scene(shown, "Overrides")
        assert '"url": "http://127.0.0.1' in overrides
        assert 'token=***"' in overrides
        retries = scene(shown, "Send a message to a receiver that refuses it 2 times")
        assert "skipped: SLACK (no_address)" in retries
        assert "the same request again: the same response" in retries
        arrivals = re.findall(r"([\d.]+) s +([0-9a-f-]{36}) +valid +(\d+)", retries)
        assert [status for _, _, status in arrivals] == ["503", "503", "204"]
        assert len({delivery_id for _, delivery_id, _ in arrivals}) == 1
        times = [float(seconds) for seconds, _, _ in arrivals]
        assert all(later - earlier >= 1.99 for earlier, later in pairwise(times))
        seven = scene(shown, "Send one message over all seven integrations")
        assert re.findall(r"^ +([A-Z]+) +success +1 ", seven, re.MULTILINE) == [*demo.SEVEN]
        _, *parts = re.split(
            r"^ {3}([A-Z]+) ", seven.partition("what arrived")[2], flags=re.MULTILINE
        )
        arrived = dict(zip(parts[::2], parts[1::2], strict=True))
        assert [*arrived] == [*demo.SEVEN]
        assert [
            name for name, text in arrived.items() if "42 tickets closed" not in words(text)
        ] == []
        assert "R&amp;D" in arrived["EMAIL"]
    deployed = cloud.deployed_parameters()
    assert deployed.items() >= demo.parameters(cloud.api_port + 1, cloud.api_port + 2, {}).items()


@pytest.fixture(scope="module")
def toured(cloud):
    """The end of the demo's output: the five steps after the console's address."""
    shown = make_demo(cloud)
    address = f"Console  {cloud.api_url}/console#/u/ada/history\n"
    before, _, after = shown.partition(f"\n{address}")
    assert "The demo is over" in before
    return after


@pytest.fixture
def system(cloud):
    """Return the demo's stack."""
    stack = json.loads(cloud.stack_file.read_text())
    with ApiSession(cloud.api_url) as api:
        yield System(stack, api, cloud.session, physical_ids(cloud.session, STACK))


@pytest.fixture
def ask(cloud):
    """Return a function that sends a request about Ada and returns the body of its response."""
    with ApiSession(cloud.api_url) as api:

        def ask(path, method="GET", **options):
            response = api.request(method, f"/api/v1/users/ada/{path}", **options)
            response.raise_for_status()
            return response.json()

        ask.api = api
        yield ask


def newest(ask, subject):
    """Return the newest message with a subject: its deliveries by integration."""
    found = ask("deliveries", params={"limit": 100})["deliveries"]
    request_id = next(one["request_id"] for one in found if one["subject"] == subject)
    deliveries = ask(f"requests/{request_id}")["deliveries"]
    return {one["integration_type"]: one for one in deliveries}


def test_the_demo_leaves_data_for_every_page(cloud, toured, ask):
    """After the second run as after the first, and the printed address is the console."""
    page = ask.api.get("/console")
    assert page.status_code == 200
    assert '<script type="importmap">' in page.text
    assert re.findall(r"^(\d)\. ", toured, re.MULTILINE) == ["1", "2", "3", "4", "5"]
    categories = ask.api.get("/api/v1/categories").json()["categories"]
    assert {one["category"] for one in categories} >= {"builds", "news", "reviews", "security"}
    assert ask("preferences")["effective"]["open_now"] is False
    [suppressed] = ask("suppressions")["suppressions"]
    assert suppressed["state"] == "bounced"
    build, alert = newest(ask, "Build broken: main"), newest(ask, "New sign-in from Lisbon")
    held = {name: (one["held"] or {}).get("reason") for name, one in build.items()}
    assert held == {**dict.fromkeys(("SLACK", "EMAIL", "TEST"), "quiet_hours"), "CLI": None}
    assert {one["status"] for one in alert.values()} == {"success"}
    assert newest(ask, "Deploy to production")["TEST"]["attempts"] == 3
    assert newest(ask, "Deploy to staging")["TEST"]["status"] == "failed"
    invoice = newest(ask, "Invoice for November")
    assert {name: one["status"] for name, one in invoice.items()} == {
        "EMAIL": "failed",
        "CLI": "success",
    }
    assert ask("messages", params={"integration_type": "CLI"})["messages"]


def test_the_five_steps_do_what_they_say(cloud, toured, ask, system):
    """In order, as a person does them; both servers run as they do while the demo waits.

    Only the lease of the killed worker is cut short, after the sweeper has run by its schedule.
    """
    slack = Receiver(
        default=200, body=json.dumps(demo.SCRIPT["slack"]).encode(), port=cloud.api_port + 2
    )
    with slack, Mailbox(cloud.api_port + 1) as mailbox:
        preview = {"category": "builds", "integration_types": ["SLACK", "EMAIL"]}
        foreseen = ask("preview", "POST", json=preview)
        assert {one["held"]["reason"] for one in foreseen["deliveries"]} == {"quiet_hours"}
        off = {"categories": {"builds": {"integrations": {"EMAIL": False}}}}
        ask("preferences", "PUT", json=off)
        foreseen = ask("preview", "POST", json=preview)
        assert [one["integration_type"] for one in foreseen["deliveries"]] == ["SLACK"]

        [link] = re.findall(r"Unsubscribe .*?: (\S+/u/\S+)", toured)
        path = link.removeprefix(cloud.api_url)
        assert ask.api.get(path).status_code == 200
        assert ask.api.post(path, data={"action": "unsubscribe"}).status_code == 200
        effective = ask("preferences")["effective"]["categories"]
        [integrations] = [one["integrations"] for one in effective if one["category"] == "reviews"]
        assert (integrations["EMAIL"]["enabled"], integrations["SLACK"]["enabled"]) == (False, True)

        [command] = re.findall(r"^ +(.*tools\.report .*)$", toured, re.MULTILINE)
        subprocess.run(command, shell=True, check=True, cwd=ROOT)
        until(lambda: newest(ask, demo.REVIEW)["CLI"]["status"] == "success")
        review = newest(ask, demo.REVIEW)
        assert (review["EMAIL"]["status"], review["EMAIL"]["error_code"]) == ("failed", "bounced")
        assert len(ask("suppressions")["suppressions"]) == 2

        ask("preferences", "PUT", json={"hours": None})
        killed = newest(ask, "Build broken: main")["TEST"]["delivery_id"]
        until(lambda: system.message_row("ada", killed).current == place_of(killed))
        until(lambda: system.log_lines("SweepDeliveries"), patience=2 * MINUTE)
        system.hasten("ada", killed)
        system.sweep()
        for one in newest(ask, "Build broken: main").values():
            system.ended("ada", one["delivery_id"])
        build = newest(ask, "Build broken: main")
        assert {name: one["status"] for name, one in build.items()} == {
            "SLACK": "success",
            "EMAIL": "skipped",
            "TEST": "success",
            "CLI": "success",
        }
        log = ask(f"deliveries/{build['TEST']['delivery_id']}")["attempt_log"]
        assert [attempt["outcome"] for attempt in log] == ["unknown", "delivered"]
        assert len(slack.arrivals) > 0
        assert mailbox.emails == []
