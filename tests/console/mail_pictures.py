"""Photographs an email of a category as a mail program shows it: a part of `make screenshots`."""

from __future__ import annotations

import email
import email.policy
from typing import TYPE_CHECKING, Literal

from channels.mime import Sender, compose
from dispatcher.delivery.ports import MailLinks, Message
from dispatcher.integrations.integration import Address

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

WIDTHS = {"wide": 720, "narrow": 360}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

MESSAGE = Message(
    delivery_id="019ab2c4-7d10-7c3e-9b1f-2a6d8e4f5c01",
    request_id="build-417",
    session_id=None,
    agent_id="build-agent",
    user_id="ada",
    integration_type="EMAIL",
    subject="Build 417 failed",
    content=(
        "Hello Ada,\n\nthe build of **main** failed after 4 minutes:\n\n"
        "- 312 tests passed\n- 2 tests failed in `tests/unit/test_settings.py`\n\n"
        "[Open the log](https://ci.example.com/builds/417)"
    ),
    config={"format": "html"},
    secrets={},
    address=Address("email", "ada@example.com"),
    round=1,
    attempt=1,
    accepted_at=1_795_800_000.0,
    attempted_at=1_795_800_001.0,
    links=MailLinks(
        category="builds",
        title="Builds",
        unsubscribe_url="https://notify.example.com/u/token",
        preferences_url="https://notify.example.com/p/token",
        footer=True,
    ),
)


def photograph(browser: Browser, folder: Path) -> None:
    """Save a picture for each theme and width."""
    mail = compose(MESSAGE, Sender("Builds", "builds@example.com"), "ada@example.com")
    read = email.message_from_bytes(mail.content, policy=email.policy.default)
    part = read.get_body(("html",))
    if part is None:
        raise ValueError("the mail has no HTML")
    for theme in THEMES:
        for name, width in WIDTHS.items():
            context = browser.new_context(
                color_scheme=theme, viewport={"width": width, "height": 240}
            )
            page = context.new_page()
            page.set_content(part.get_content())
            page.screenshot(path=folder / f"email-{theme}-{name}.png", full_page=True)
            context.close()
