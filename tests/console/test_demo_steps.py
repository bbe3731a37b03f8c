"""The five steps that `make demo` prints, as a person does them in the console.

The data are those of the demo. The worker that TEST kills is in ``tests/e2e/test_demo.py``: here it
would be the process of the tests, so TEST fails once without a crash.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
import time_machine
from playwright.sync_api import expect

from tests.console.cloud import deployed
from tests.console.people import bounced, ended
from tests.console.whole import only_whole
from tools.demo import REVIEW, steps

BUILD = "Build broken: main"
ALERT = "New sign-in from Lisbon"


@pytest.fixture(scope="module")
def sent():
    """The responses to the demo's messages, by subject."""
    return {}


@pytest.fixture(scope="module")
def cloud(session, sent):
    """A service in which the demo has sent its messages."""
    a_minute_ago = datetime.now(UTC) - timedelta(minutes=1)
    with deployed(session) as cloud:
        with time_machine.travel(a_minute_ago, tick=False) as clock:
            prepare(cloud, sent, lambda: clock.shift(timedelta(seconds=1)))
        yield cloud


def prepare(cloud, sent, wait):
    """Send the demo's requests, each after the messages before it have ended."""
    last = None
    for step in steps():
        [(what, body)] = step.items()
        if what == "bounce":
            bounced(cloud, "ada", last, body)
            continue
        method, path = what.split()
        if (body or {}).get("config", {}).get("failure") == "crash":
            body["config"]["failure"] = "transient"
        status, answer = cloud.ask(method, f"/api/v1/{path}", body)
        assert status < 400 or method == "DELETE", (what, answer)
        if status == 202:
            last = sent[body["subject"]] = answer
            if not any(one["held"] for one in answer["deliveries"]):
                ended(cloud, "ada", answer["request_id"], wait)
            wait()


@only_whole
def test_the_five_steps_do_what_they_say(visit, cloud, sent):
    """In the printed order: held, foreseen, unsubscribed, bounced, and delivered in the end."""
    context = visit.context()
    page = context.new_page()
    main, status = page.locator("main"), page.get_by_role("status")
    line = page.get_by_role("complementary", name="What if").locator("li[data-type=EMAIL]")

    def go(name):
        page.goto(f"{cloud.url}/console#/u/ada/{name}")
        page.reload()
        visit.wait(page)

    def states(subject):
        go("history")
        return page.locator("summary").filter(has_text=subject).locator(".states")

    go("when")
    expect(main).to_contain_text("Quiet now. The next message comes")
    expect(states(BUILD)).to_contain_text("Email: held")
    expect(states(ALERT)).to_contain_text("Slack: delivered")
    expect(states(ALERT)).to_contain_text("Email: delivered")
    page.locator("summary").filter(has_text=BUILD).click()
    expect(page.locator("section[data-type=EMAIL] .events")).to_contain_text(
        "Quiet hours: held until"
    )

    go("preview")
    page.get_by_label("Category").select_option(label="Builds")
    expect(page.locator(".outlook li[data-type=EMAIL]")).to_contain_text("quiet hours")
    go("what")
    page.get_by_role("switch", name="Builds, Email").click()
    expect(status).to_have_text("Saved: Builds, Email is off.")
    expect(line).to_contain_text("Email not: switched off for this category")

    [*_, mail] = [one.read for one in cloud.mails if one.read["Subject"] == REVIEW]
    link = urlsplit(str(mail["List-Unsubscribe"]).strip(" <>")).path
    tab = context.new_page()
    tab.goto(f"{cloud.url}{link[link.index('/u/') :]}")
    tab.get_by_role("button", name="Unsubscribe").click()
    expect(tab.get_by_role("heading", name="You are unsubscribed from Reviews")).to_be_visible()
    expect(page.get_by_role("switch", name="Reviews, Email")).to_be_checked()
    page.reload()
    expect(page.get_by_role("switch", name="Reviews, Email")).not_to_be_checked()
    expect(page.get_by_role("switch", name="Reviews, Slack")).to_be_checked()

    expect(states(REVIEW)).to_contain_text("Email: delivered")
    bounced(cloud, "ada", sent[REVIEW], "ada@company.com")
    expect(states(REVIEW)).to_contain_text("Email: failed: bounced")
    expect(states(REVIEW)).to_contain_text("CLI: delivered")
    go("where")
    expect(page.locator("li[data-type=EMAIL] del").first).to_contain_text("ada@company.com")

    go("when")
    page.get_by_label("At any time").check()
    page.get_by_role("button", name="Save hours").click()
    expect(status).to_contain_text("Saved")
    ended(cloud, "ada", sent[BUILD]["request_id"])
    for state in ("Slack: delivered", "Email: not sent", "Test: delivered", "CLI: delivered"):
        expect(states(BUILD)).to_contain_text(state)
