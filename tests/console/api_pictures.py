"""Open /docs in a real Chromium as a person does, and photograph it: part of `make screenshots`.

It fails if the page asks another host for anything, if the browser complains (of the page's policy,
say), or if "Try it out" does not get the response that the document promises.
"""

from __future__ import annotations

import os
import sys
from urllib.parse import urlsplit

from playwright.sync_api import Page, expect, sync_playwright

from tests.browser import NAMES, program
from tests.console.mail_pictures import photograph
from tests.fuzz_api import service_url
from tools.paths import ROOT

IMAGES = ROOT / "docs" / "images"


def look(page: Page, url: str) -> None:
    """Open the page, give it a token, send a message, and photograph it on the way."""
    page.goto(f"{url}/docs")
    expect(page.locator(".opblock")).to_have_count(page.evaluate(COUNT))
    page.screenshot(path=IMAGES / "docs.png")

    page.get_by_role("button", name="Authorize").first.click()
    expect(page.locator(".auth-container")).to_have_count(2)
    page.locator(".auth-container input").first.fill("a-token-of-the-issuer")
    page.locator(".auth-container").first.get_by_role("button", name="Apply credentials").click()
    page.get_by_role("button", name="Close").first.click()

    operation = page.locator("#operations-Messages-send_message")
    operation.locator(".opblock-summary-control").click()
    with page.expect_request(f"{url}/api/v1/users/john.doe/deliveries") as sent:
        operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table .response-col_status").last
    expect(answer).to_contain_text("202")
    assert sent.value.headers["authorization"] == "Bearer a-token-of-the-issuer"
    page.set_viewport_size({"width": 1280, "height": 1960})
    operation.evaluate("one => one.scrollIntoView()")
    page.screenshot(path=IMAGES / "try-it-out.png")


COUNT = """async () => {
  const told = await (await fetch("openapi.json")).json();
  return Object.values(told.paths).flatMap(Object.keys).length;
}"""


def main() -> int:
    """Look, and tell what was wrong."""
    url = service_url(os.environ)
    browser = program()
    if browser is None:
        print(f"There is no Chromium here; it is one of {', '.join(NAMES)}.", file=sys.stderr)
        return 1
    wrong: list[str] = []
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        # No sandbox: it needs rights that a container does not give.
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1280, "height": 1400})
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda asked: (
                wrong.append(f"asks {asked.url}")
                if urlsplit(asked.url).scheme.startswith("http")
                and urlsplit(asked.url).netloc != urlsplit(url).netloc
                else None
            ),
        )
        look(page, url)
        photograph(chromium, IMAGES)
        chromium.close()
    for one in wrong:
        print(f"error: {one}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
