"""A journey by keyboard alone: the focus is always visible and never lost."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.console.people import rehearse, sent

FOCUS = """() => {
  const one = document.activeElement;
  const box = one.getBoundingClientRect();
  const style = getComputedStyle(one);
  const middle = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return {
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
        for _ in range(150):
            if target.evaluate("one => one === document.activeElement"):
                return
            self.press("Tab")
            focus = self.page.evaluate(FOCUS)
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


def test_everything_works_by_keyboard(visit, cloud):
    """Switch, undo, hours, mute, cancel, retry, acknowledge, rotate and create."""
    name = "keys"
    base = f"/api/v1/users/{name}"
    cloud.ask("PUT", f"{base}/preferences", {"muted_until": None, "time_zone": "Europe/Berlin"})
    config = {"url": "https://hooks.example.com/keys"}
    cloud.ask(
        "POST",
        f"{base}/integrations",
        {"integration_type": "WEBHOOK", "config": config, "enabled": False},
    )
    rehearse(cloud, name, retry_count=0, config={"failure": "permanent"})
    sent(cloud, name, subject="Failed", content="x", integration_types=["TEST"])
    sent(cloud, name, subject="Letter", content="x", integration_types=["CLI"])
    page = visit(f"#/u/{name}/what")
    keys = Keyboard(page)
    status = page.get_by_role("status")

    # Switch a category off, and undo it.
    builds = page.get_by_role("switch", name="Builds, Email")
    keys.choose(builds, "Space")
    expect(status).to_contain_text("Saved")
    keys.choose(page.get_by_role("button", name="Undo Builds, Email"))
    expect(status).to_contain_text("Undone")
    expect(builds).to_be_focused()

    # Weekly hours, copied to other days.
    page.goto(f"{cloud.url}/console#/u/{name}/when")
    expect(page.get_by_role("heading", level=1)).to_have_text("When")
    keys.reach(page.get_by_label("At any time"))
    keys.press("ArrowDown")
    keys.press("ArrowDown")
    expect(page.get_by_label("Different hours each day")).to_be_checked()
    keys.choose(page.get_by_role("button", name="Add hours Monday"))
    keys.choose(page.get_by_role("button", name="Copy to other days (Monday)"))
    keys.choose(page.get_by_role("button", name="Save hours"))
    expect(status).to_contain_text("Saved")
    assert kept(page)
    _, preferences = cloud.ask("GET", f"{base}/preferences")
    [window] = preferences["hours"]["windows"]
    assert (len(window["days"]), window["from"], window["to"]) == (7, "08:00", "18:00")

    # Mute for an hour; then a message is held, and can be cancelled.
    page.goto(f"{cloud.url}/console#/u/{name}/when")
    page.reload()
    keys.choose(page.get_by_role("button", name="Mute for 1 hour"))
    expect(page.locator("main")).to_contain_text("Muted until")
    assert kept(page)
    sent(cloud, name, subject="Held", content="x", integration_types=["EMAIL"])
    page.goto(f"{cloud.url}/console#/u/{name}/history")
    expect(page.get_by_role("heading", level=1)).to_have_text("History")
    keys.choose(page.locator("summary").filter(has_text="Held"))
    keys.choose(page.get_by_role("button", name="Cancel Email"))
    expect(status).to_contain_text("Cancelled")
    expect(page.locator("li").filter(has_text="Held").first).to_contain_text("not sent")
    assert kept(page)

    # Try a failed one again.
    cloud.ask("PUT", f"{base}/integrations/TEST", {"config": {}})
    keys.choose(page.locator("summary").filter(has_text="Failed"))
    keys.choose(page.get_by_role("button", name="Try again now Test"))
    expect(status).to_contain_text("tried again")
    expect(page.locator("li").filter(has_text="Failed").first).to_contain_text("delivered")
    assert kept(page)

    # Acknowledge the only letter: the focus goes to the heading.
    page.goto(f"{cloud.url}/console#/u/{name}/mailbox")
    keys.choose(page.get_by_role("button", name="Acknowledge Letter"))
    expect(page.locator("main")).to_contain_text("The mailbox is empty")
    expect(page.get_by_role("heading", level=1)).to_be_focused()

    # Rotate the secret of the webhook.
    page.goto(f"{cloud.url}/console#/u/{name}/where")
    keys.choose(page.get_by_role("button", name="Rotate secret"))
    keys.choose(page.get_by_role("button", name="Rotate now"))
    expect(page.locator(".secret code")).to_contain_text("whsec_")
    assert kept(page)

    # Create a category.
    page.goto(f"{cloud.url}/console#/categories")
    keys.choose(page.get_by_role("button", name="Create"))
    expect(page.get_by_label("Name")).to_be_focused()
    keys.type("keyboards")
    keys.reach(page.get_by_label("Title"))
    keys.type("Keyboards")
    keys.choose(page.get_by_role("button", name="Save"))
    expect(page.locator(".rows")).to_contain_text("Keyboards")
    assert kept(page)
    assert cloud.ask("DELETE", "/api/v1/categories/keyboards")[0] == 204
