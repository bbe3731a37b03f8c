"""The web console of the deployed stack: addresses, headers, compression and one journey."""

from __future__ import annotations

import re

import pytest
import requests
from playwright.sync_api import expect

from tests.console.visitor import Visitor

ASSETS = re.compile(r"console/assets/[0-9a-f]{12}")


@pytest.fixture
def shell(stack):
    """The response of the console's address."""
    return requests.get(f"{stack['api_url']}/console", timeout=60)


def test_the_address_returns_the_shell(shell):
    """200, HTML, revalidated by its tag, with the policy of the contract."""
    assert shell.status_code == 200
    assert shell.headers["Content-Type"] == "text/html; charset=utf-8"
    assert shell.headers["Cache-Control"] == "no-cache"
    assert "trusted-types 'none'" in shell.headers["Content-Security-Policy"]
    assert shell.headers["Referrer-Policy"] == "no-referrer"
    again = requests.get(shell.url, headers={"If-None-Match": shell.headers["ETag"]}, timeout=60)
    assert again.status_code == 304


def test_assets_are_compressed_and_kept(stack, shell):
    """The proxy compresses as API Gateway does; a byte of another version is 404."""
    [prefix] = set(ASSETS.findall(shell.text))

    script = requests.get(f"{stack['api_url']}/{prefix}/app/main.js", timeout=60)
    old = requests.get(f"{stack['api_url']}/console/assets/{'0' * 12}/app/main.js", timeout=60)

    assert script.status_code == 200
    assert script.headers["Content-Encoding"] == "gzip"
    assert script.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert old.status_code == 404
    assert "trusted-types 'none'" in old.headers["Content-Security-Policy"]


def test_other_verbs_are_told_which_one_is_allowed(stack):
    """A page can be read, not changed."""
    response = requests.post(f"{stack['api_url']}/console", timeout=60)

    assert response.status_code == 405
    assert response.headers["Allow"] == "GET"


def test_a_switch_changes_what_is_delivered(stack, api, user, chromium):
    """A person disables TEST; the next message is skipped, and its reason is returned."""

    class Stack:
        url = stack["api_url"].replace("127.0.0.1", "localhost")

    visit = Visitor(chromium, Stack)
    page = visit.context().new_page()
    page.goto(f"{Stack.url}/console#/u/{user}/what")
    page.get_by_role("switch", name="Everything without a category, Test").click()
    expect(page.get_by_role("status")).to_contain_text("Saved")

    body = {"subject": "Hello", "content": "x", "integration_types": ["TEST"]}
    sent = api.post(f"/api/v1/users/{user}/deliveries", json=body).json()

    assert [one["reason"] for one in sent["skipped"]] == ["disabled_by_user"]
    page.get_by_role("link", name="History").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("History")
    visit.leave()
