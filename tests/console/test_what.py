"""The page of switches: they save, return, can be undone, and say so."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.console.visitor import said

pytestmark = pytest.mark.usefixtures("furnished")

PATH = "/api/v1/users/ada/preferences"
NAMES = {"SLACK": "Slack", "EMAIL": "Email", "SMS": "SMS", "WEBHOOK": "Webhook"}
NAMES |= {"CLI": "CLI", "TOOL": "Tool", "TEST": "Test"}


@pytest.fixture(autouse=True)
def as_before(cloud):
    """Ada has chosen nothing; the choices of a test are removed."""
    cloud.ask("PUT", PATH, {"categories": None})
    cloud.calls.clear()


def switch(page, name):
    """Find a switch by category and channel."""
    return page.get_by_role("switch", name=name, exact=True)


def stored(cloud):
    """Return what is stored of Ada's categories."""
    return cloud.ask("GET", PATH)[1]["categories"]


def test_the_view_takes_one_call(visit, cloud):
    """Everything is in the preferences."""
    visit("#/u/ada/what")

    assert cloud.calls == [("GET", PATH, 200)]


def test_the_first_view_takes_at_most_eight_requests(visit):
    """Shell, style, script, words, three libraries and one call to the API."""
    context = visit.context()
    page = context.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))

    page.goto(f"{visit.cloud.url}/console#/u/ada/what")
    visit.wait(page)

    over_http = [url for url in asked if not url.startswith("data:")]
    assert len(over_http) <= 8, over_http


def test_every_cell_is_what_the_api_says(visit, cloud):
    """A switch has name and state; a cell that cannot change is a text; reasons are the API's."""
    page = visit("#/u/ada/what")
    effective = cloud.ask("GET", PATH)[1]["effective"]
    rows = [("Everything without a category", effective["without_category"])]
    rows += [(one["title"], one) for one in effective["categories"]]

    for title, row in rows:
        line = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=title))
        cells = line.get_by_role("cell")
        headers = page.get_by_role("columnheader").all_text_contents()[1:]
        assert set(headers) <= set(NAMES.values())
        for place, (type_, name) in enumerate(
            sorted(NAMES.items(), key=lambda one: headers.index(one[1]))
        ):
            state = row["integrations"][type_]
            cell = cells.nth(place)
            assert cell.get_attribute("data-reason") == (state["reason"] or "")
            control = cell.get_by_role("switch")
            assert control.count() == state["changeable"], (title, name)
            if state["changeable"]:
                expect(control).to_have_accessible_name(f"{title}, {name}")
                expect(control).to_be_checked(checked=state["enabled"])
            elif row.get("locked") and state["enabled"]:
                expect(cell).to_have_text(f"Always: {title} messages cannot be switched off")


def test_a_change_is_saved_announced_once_and_can_be_undone(visit, cloud):
    """The switch saves immediately; *Undo* is the next stop of the Tab key."""
    page = visit("#/u/ada/what")

    switch(page, "Builds, Email").click()
    expect(page.get_by_role("status")).to_have_text("Saved: Builds, Email is off.")
    assert stored(cloud) == {"builds": {"integrations": {"EMAIL": False}}}
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Undo Builds, Email")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.get_by_role("status")).to_have_text("Undone: Builds, Email is as before.")
    expect(switch(page, "Builds, Email")).to_be_checked()
    expect(switch(page, "Builds, Email")).to_be_focused()
    assert stored(cloud) is None
    assert said(page) == ["Saved: Builds, Email is off.", "Undone: Builds, Email is as before."]


def test_a_category_that_is_off_can_be_had_on_one_channel(visit, cloud):
    """The other channels stay off, as they were."""
    cloud.ask("PUT", PATH, {"categories": {"news": {"enabled": False}}})
    page = visit("#/u/ada/what")
    expect(switch(page, "News, Slack")).not_to_be_checked()

    switch(page, "News, Email").click()

    expect(page.get_by_role("status")).to_contain_text("Saved")
    expect(switch(page, "News, Email")).to_be_checked()
    expect(switch(page, "News, Slack")).not_to_be_checked()


def test_the_panel_says_what_the_preview_says(visit, cloud):
    """After a change it shows the effect for that category, one sentence per channel."""
    page = visit("#/u/ada/what")

    switch(page, "News, Email").click()

    panel = page.get_by_role("complementary", name="What if")
    _, preview = cloud.ask("POST", "/api/v1/users/ada/preview", {"category": "news"})
    expect(panel.get_by_role("listitem")).to_have_count(len(NAMES))
    for one in preview["deliveries"]:
        line = panel.locator(f"li[data-type={one['integration_type']}]")
        expect(line).to_contain_text("quiet hours" if one["held"] else "now.")
    for one in preview["skipped"]:
        line = panel.locator(f"li[data-type={one['integration_type']}]")
        expect(line).to_contain_text(f"{NAMES[one['integration_type']]} not:")
    assert "EMAIL" in {one["integration_type"] for one in preview["skipped"]}


@pytest.mark.parametrize(("keep", "expected"), [("Keep my change", False), ("Keep what", True)])
def test_a_change_in_another_tab_is_shown_beside_ones_own(visit, cloud, keep, expected):
    """The stale save gets 412, both values are shown, and the user's choice is stored."""
    visit.expect_error("412")
    page, other = visit("#/u/ada/what"), visit("#/u/ada/what", tab=2)
    for name in ("News, Slack", "Builds, CLI"):
        switch(other, name).click()
        expect(other.get_by_role("status")).to_have_text(f"Saved: {name} is off.")

    switch(page, "Builds, Email").click()

    conflict = page.get_by_role("region", name="Changed elsewhere")
    expect(conflict.get_by_role("row", name="Builds, Email")).to_contain_text("On")
    expect(conflict.get_by_role("row", name="Builds, Email")).to_contain_text("Off")
    expect(conflict.get_by_role("heading")).to_be_focused()
    expect(switch(page, "News, Slack")).not_to_be_checked()
    conflict.get_by_role("button", name=keep).click()
    expect(conflict).to_have_count(0)
    expect(switch(page, "Builds, Email")).to_be_checked(checked=expected)
    assert stored(cloud)["news"] == {"integrations": {"SLACK": False}}
    assert stored(cloud)["builds"]["integrations"].get("EMAIL", True) is expected
    assert stored(cloud)["builds"]["integrations"]["CLI"] is False


def test_hours_and_a_mute_of_two_tabs_are_both_kept(visit, cloud):
    """A stale tab shows the conflict of the fields that it saves; the other tab's mute stays."""
    visit.expect_error("412")
    path = "/api/v1/users/twice/preferences"
    page, other = visit("#/u/twice/when"), visit("#/u/twice/when", tab=2)
    other.get_by_role("button", name="Mute for 1 hour").click()
    expect(other.locator("main")).to_contain_text("Muted until")

    page.get_by_label("The same hours on chosen days").check()
    page.get_by_role("button", name="Save hours").click()

    conflict = page.get_by_role("region", name="Changed elsewhere")
    expect(conflict.get_by_role("row", name="Hours")).to_contain_text("At any time")
    expect(conflict.get_by_role("row", name="Hours")).to_contain_text(
        "Mon, Tue, Wed, Thu, Fri 08:00"
    )
    expect(page.locator("main")).to_contain_text("Muted until")
    conflict.get_by_role("button", name="Keep my change").click()
    expect(conflict).to_have_count(0)
    preferences = cloud.ask("GET", path)[1]
    assert preferences["muted_until"] is not None
    assert [one["from"] for one in preferences["hours"]["windows"]] == ["08:00"]


def test_two_failures_are_told_one_by_one_and_retried(visit, cloud):
    """Without the API each switch returns and offers *Retry*; with it both are saved."""
    visit.expect_error("net::ERR")
    page = visit("#/u/ada/what")
    cloud.is_down = True
    for name in ("Builds, Email", "News, Slack"):
        switch(page, name).click()
        expect(page.get_by_role("status")).to_contain_text(f"{name}: not saved.")
        expect(switch(page, name)).to_be_checked()
        expect(switch(page, name)).to_have_accessible_description("Not saved.")
    cloud.is_down = False

    for name in ("Builds, Email", "News, Slack"):
        page.get_by_role("button", name=f"Retry {name}").click()
        expect(switch(page, name)).not_to_be_checked()
        expect(page.get_by_role("status")).to_have_text(f"Saved: {name} is off.")

    assert stored(cloud) == {
        "builds": {"integrations": {"EMAIL": False}},
        "news": {"integrations": {"SLACK": False}},
    }


def test_a_refused_change_puts_the_switch_back_and_says_why(visit, cloud):
    """A category that was locked in the meantime stays on."""
    visit.expect_error("409")
    page = visit("#/u/ada/what")
    body = {"title": "Reviews", "order": 30, "group": "Work"}
    cloud.ask("PUT", "/api/v1/categories/reviews", body | {"locked": True, "reach_by": ["EMAIL"]})

    cloud.restart()

    switch(page, "Reviews, Slack").click()

    expect(page.get_by_role("status")).to_contain_text("Reviews, Slack: not saved.")
    expect(page.get_by_role("status")).to_contain_text("locked")
    expect(switch(page, "Reviews, Slack")).to_be_checked()
    cloud.ask("PUT", "/api/v1/categories/reviews", body)
    cloud.restart()


def test_the_first_row_writes_an_override_and_undo_removes_it(visit, cloud):
    """A user without an override has none afterwards."""
    path = "/api/v1/users/grace/integrations"
    page = visit("#/u/grace/what")

    switch(page, "Everything without a category, Email").click()
    expect(page.get_by_role("status")).to_contain_text("Saved")
    overrides = cloud.ask("GET", path)[1]["integrations"]
    page.get_by_role("button", name="Undo Everything without a category, Email").click()
    expect(page.get_by_role("status")).to_contain_text("Undone")

    assert [(one["integration_type"], one["enabled"]) for one in overrides] == [("EMAIL", False)]
    assert cloud.ask("GET", path)[1]["integrations"] == []


def test_a_change_without_effect_says_so(visit, cloud):
    """A channel that is off for all messages stays off for a category."""
    page = visit("#/u/ada/what")

    switch(page, "Builds, SMS").click()

    expect(page.get_by_role("status")).to_contain_text("Saved, but without effect")
    expect(switch(page, "Builds, SMS")).not_to_be_checked()


def test_below_640_pixels_each_category_is_a_group(visit):
    """Title and description name the group; its switches have the same names as in the table."""
    page = visit("#/u/ada/what", width=320)

    group = page.get_by_role("group", name="Builds")
    expect(group.get_by_role("switch", name="Builds, Email")).to_be_checked()


def test_a_new_version_is_offered(visit, cloud):
    """An old prefix is 404, and the page says what to do."""
    visit.expect_error("404")
    page = visit("#/u/ada/what")
    page.route("**/words/de.json", lambda route: route.fulfill(status=404, body="{}"))

    page.get_by_role("button", name="Deutsch").click()

    button = page.get_by_role("button", name="Reload: a new version was installed")
    expect(button).to_be_visible()
    page.unroute("**/words/de.json")
    button.click()
    expect(button).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_have_text("What you get")
