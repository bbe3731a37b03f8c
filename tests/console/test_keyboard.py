"""A journey by keyboard alone: the focus is always visible and never lost."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.console.people import rehearse, sent

FOCUS = """(target) => {
  const one = document.activeElement;
  const box = one.getBoundingClientRect();
  const style = getComputedStyle(one);
  const middle = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return {
    isReached: one === target,
    isSomething: one !== document.body,
    isOutlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    isOnScreen: box.bottom > 0 && box.top < innerHeight,
    isCovered: Boolean(middle) && !one.contains(middle) && !middle.contains(one),
    html: one.outerHTML.slice(0, 120),
  };
}"""


class Keyboard:
    """Presses keys, and checks after each Tab that the focus can be seen."""

    def __init__(self, page):
        self.page = page

    def press(self, key):
        """Press a key."""
        self.page.keyboard.press(key)

    def type(self, text):
        """Type a text."""
        self.page.keyboard.type(text)

    def reach(self, target):
        """Go to an element with the Tab key."""
        expect(target).to_be_visible()
        focus = target.evaluate(FOCUS)
        for _ in range(150):
            if focus["isReached"]:
                return
            self.press("Tab")
            focus = target.evaluate(FOCUS)
            if focus["isSomething"]:
                assert focus["isOutlined"] and focus["isOnScreen"], focus  # noqa: PT018 - one fact
                assert not focus["isCovered"], focus
        raise AssertionError(f"{target} cannot be reached")

    def choose(self, target, key="Enter"):
        """Reach an element and press a key on it."""
        self.reach(target)
        self.press(key)


def kept(page):
    """Return whether the focus is on an element of the page."""
    return page.evaluate("document.activeElement !== document.body")


USER = "keys"
BASE = f"/api/v1/users/{USER}"


@pytest.fixture(scope="module")
def furnished(cloud):
    """A user with a webhook, a failed message and a letter."""
    cloud.ask("PUT", f"{BASE}/preferences", {"time_zone": "Europe/Berlin"})
    webhook = {"integration_type": "WEBHOOK", "config": {"url": "https://hooks.example.com/keys"}}
    cloud.ask("POST", f"{BASE}/integrations", {**webhook, "enabled": False})
    rehearse(cloud, USER, retry_count=0, config={"failure": "permanent"})
    sent(cloud, USER, subject="Failed", content="x", integration_types=["TEST"])
    sent(cloud, USER, subject="Letter", content="x", integration_types=["CLI"])


@pytest.fixture
def at(visit, furnished):
    """Opens a page of the user with a keyboard."""

    def at(address):
        page = visit(address)
        return page, Keyboard(page), page.get_by_role("status")

    return at


def test_a_category_is_switched_off_and_back(at):
    """Space switches, and *Undo* returns the focus to the switch."""
    page, keys, status = at(f"#/u/{USER}/what")
    builds = page.get_by_role("switch", name="Builds, Email")

    keys.choose(builds, "Space")
    expect(status).to_contain_text("Saved")
    keys.choose(page.get_by_role("button", name="Undo Builds, Email"))

    expect(status).to_contain_text("Undone")
    expect(builds).to_be_focused()


def test_weekly_hours_are_set_and_copied(at, cloud):
    """Arrow keys choose the form; the hours of Monday are copied to the other days."""
    page, keys, status = at(f"#/u/{USER}/when")
    keys.reach(page.get_by_label("At any time"))
    keys.press("ArrowDown")
    keys.press("ArrowDown")
    expect(page.get_by_label("Different hours each day")).to_be_checked()

    keys.choose(page.get_by_role("button", name="Add hours Monday"))
    keys.choose(page.get_by_role("button", name="Copy to other days (Monday)"))
    keys.choose(page.get_by_role("button", name="Save hours"))

    expect(status).to_contain_text("Saved")
    assert kept(page)
    [window] = cloud.ask("GET", f"{BASE}/preferences")[1]["hours"]["windows"]
    assert (len(window["days"]), window["from"], window["to"]) == (7, "08:00", "18:00")
    cloud.ask("PUT", f"{BASE}/preferences", {"hours": None})


def test_a_mute_holds_a_message_that_can_be_cancelled(at, cloud):
    """The mute is saved immediately; the held message opens with Enter, and *Cancel* ends it."""
    page, keys, status = at(f"#/u/{USER}/when")
    keys.choose(page.get_by_role("button", name="Mute for 1 hour"))
    expect(page.locator("main")).to_contain_text("Muted until")
    assert kept(page)
    sent(cloud, USER, subject="Held", content="x", integration_types=["EMAIL"])
    page, keys, status = at(f"#/u/{USER}/history")

    keys.choose(page.locator("summary").filter(has_text="Held"))
    keys.choose(page.get_by_role("button", name="Cancel Email"))

    expect(status).to_contain_text("Cancelled")
    expect(page.locator("li").filter(has_text="Held").first).to_contain_text("not sent")
    assert kept(page)
    page, keys, status = at(f"#/u/{USER}/when")
    keys.choose(page.get_by_role("button", name="Unmute"))
    expect(status).to_contain_text("Saved")
    expect(page.get_by_role("heading", name="Mute")).to_be_focused()


def test_a_failed_message_is_tried_again(at, cloud):
    """The message opens with Enter; the page shows that it arrived."""
    cloud.ask("PUT", f"{BASE}/integrations/TEST", {"config": {}})
    page, keys, status = at(f"#/u/{USER}/history")

    keys.choose(page.locator("summary").filter(has_text="Failed"))
    keys.choose(page.get_by_role("button", name="Try again now Test"))

    expect(status).to_contain_text("tried again")
    expect(page.locator("li").filter(has_text="Failed").first).to_contain_text("delivered")
    assert kept(page)


def test_a_letter_is_acknowledged(at):
    """After the last letter the focus goes to the heading."""
    page, keys, _ = at(f"#/u/{USER}/mailbox")

    keys.choose(page.get_by_role("button", name="Acknowledge Letter"))

    expect(page.locator("main")).to_contain_text("The mailbox is empty")
    expect(page.get_by_role("heading", level=1)).to_be_focused()


def test_a_secret_is_rotated(at):
    """After a warning; the new secret is shown once, and the focus is on it."""
    page, keys, _ = at(f"#/u/{USER}/where")

    keys.choose(page.get_by_role("button", name="Rotate secret"))
    keys.choose(page.get_by_role("button", name="Rotate now"))

    expect(page.locator(".secret code")).to_contain_text("whsec_")
    assert kept(page)


def test_a_category_is_created_and_deleted(at, cloud):
    """The form's first field has the focus; a deletion asks first."""
    page, keys, status = at("#/categories")

    keys.choose(page.get_by_role("button", name="Create"))
    expect(page.get_by_label("Name")).to_be_focused()
    keys.type("keyboards")
    keys.reach(page.get_by_label("Title"))
    keys.type("Keyboards")
    keys.choose(page.get_by_role("button", name="Save"))
    expect(page.locator(".rows")).to_contain_text("Keyboards")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    keys.choose(page.get_by_role("button", name="Delete Keyboards"))
    keys.choose(page.get_by_role("button", name="Delete it"))

    expect(status).to_contain_text("Deleted")
    expect(page.locator(".rows")).not_to_contain_text("Keyboards")
    assert kept(page)
