"""The page behind the unsubscribe link of an email (RFC 8058), and its form.

It works without JavaScript and loads nothing. Its policy allows exactly its own style, computed
from the same text.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from typing import TYPE_CHECKING, NamedTuple

from dispatcher import wiring
from dispatcher.edges import header_values
from dispatcher.edges.http import RETRY_AFTER, Response
from dispatcher.errors import (
    ConflictError,
    FieldError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from dispatcher.lines import one_line
from dispatcher.settings import settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dispatcher.configuration.rows import Category
    from dispatcher.edges.http import Request
    from dispatcher.strict_json import JsonObject

IS_UNDO = {
    ("List-Unsubscribe", "One-Click"): False,
    ("action", "unsubscribe"): False,
    ("action", "undo"): True,
}
"""The one field of a form, and whether it takes an earlier one back."""

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --paper: #ffffff; --accent: #0b57d0;
  --on-accent: #ffffff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #16181c; --accent: #8ab4f8; --on-accent: #10131a; }
}
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
main { max-width: 36rem; margin: 0 auto; padding: 3rem 1rem; }
h1 { margin: 0 0 1rem; font-size: 1.75rem; line-height: 1.25; }
p { margin: 0 0 1rem; }
button { margin: 0.5rem 0 1.5rem; padding: 0.625rem 1.25rem; border: 1px solid var(--accent);
  border-radius: 0.25rem; background: var(--accent); color: var(--on-accent); font: inherit; }
a { color: var(--accent); }
a:focus-visible, button:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; }
"""

PAGE = """\
<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{heading}</h1>
<p>{text}</p>{form}{link}
</main>
</body>
</html>
"""
FORM = """
<form method="post"><button name="action" value="{action}">{label}</button></form>"""
LINK = """
<p><a href="{url}" rel="noreferrer">{label}</a></p>"""

CONSOLE = "../console"
"""Relative: it holds behind any stage prefix."""


class Words(NamedTuple):
    """The words of a page: heading and text with ``{}`` for the category, and the button."""

    heading: str
    text: str
    action: str | None = None
    label: str | None = None


WORDS: Mapping[str, Mapping[str, Words]] = {
    "en": {
        "ask": Words(
            "Unsubscribe from {}",
            "You will not get {} by email any more. All other channels stay as they are.",
            "unsubscribe",
            "Unsubscribe",
        ),
        "ended": Words(
            "You are unsubscribed from {}",
            "You will not get {} by email any more. All other channels stay as they are.",
            "undo",
            "Undo",
        ),
        "undone": Words(
            "You get {} by email again",
            "Nothing else has changed.",
            "unsubscribe",
            "Unsubscribe",
        ),
        "locked": Words(
            "{} cannot be switched off",
            "These messages are sent to everyone whom they concern. Nothing has changed.",
        ),
        "removed": Words(
            "This subscription does not exist any more",
            "The sender has removed this kind of message. Nothing has changed.",
        ),
        "not_found": Words(
            "This link is not valid",
            "It may be incomplete, or older than 400 days. Use the link in a newer email.",
        ),
        "unavailable": Words(
            "This did not work",
            "Nothing has changed. Try again in a few seconds: reload this page.",
        ),
    },
    "de": {
        "ask": Words(
            "{} abbestellen",
            "Sie erhalten {} dann nicht mehr per E-Mail. "
            "Alle anderen Kanäle bleiben, wie sie sind.",
            "unsubscribe",
            "Abbestellen",
        ),
        "ended": Words(
            "{} ist abbestellt",
            "Sie erhalten {} nicht mehr per E-Mail. Alle anderen Kanäle bleiben, wie sie sind.",
            "undo",
            "Rückgängig machen",
        ),
        "undone": Words(
            "Sie erhalten {} wieder per E-Mail",
            "Sonst hat sich nichts geändert.",
            "unsubscribe",
            "Abbestellen",
        ),
        "locked": Words(
            "{} lässt sich nicht abbestellen",
            "Diese Nachrichten gehen an alle, die sie betreffen. Es hat sich nichts geändert.",
        ),
        "removed": Words(
            "Dieses Abonnement gibt es nicht mehr",
            "Der Absender hat diese Art von Nachricht entfernt. Es hat sich nichts geändert.",
        ),
        "not_found": Words(
            "Dieser Link ist nicht gültig",
            "Vielleicht ist er unvollständig oder älter als 400 Tage. "
            "Nehmen Sie den Link aus einer neueren E-Mail.",
        ),
        "unavailable": Words(
            "Das hat nicht geklappt",
            "Es hat sich nichts geändert. Versuchen Sie es in einigen Sekunden noch einmal: Laden "
            "Sie diese Seite neu.",
        ),
    },
}

CHANGE = {"en": "Change what you get", "de": "Ändern, was Sie erhalten"}

_RANGE = re.compile(
    r"\s*([A-Za-z]{1,8}|\*)(?:-[A-Za-z0-9-]+)?\s*(?:;\s*[Qq]=([01](?:\.[0-9]{0,3})?)\s*)?"
)
"""A language range of Accept-Language (RFC 9110, 12.5.4); ``*`` stands for all that none names."""


def show(request: Request) -> Response:
    """Return the page that asks; it changes nothing."""
    category = wiring.unsubscribing().category(_payload(request)["c"])
    return _page(request, _state(category, "ask"), category)


def change(request: Request) -> Response:
    """Do what the posted form says, and return the page that tells of it."""
    payload = _payload(request)
    form = [(name, value.strip()) for name, value in request.form]
    if len(form) != 1 or form[0] not in IS_UNDO:
        known = ", ".join("=".join(field) for field in IS_UNDO)
        raise InvalidInputError(FieldError("", f"must be a form with one of these fields: {known}"))
    undo = IS_UNDO[form[0]]
    category = wiring.unsubscribing().change(payload["u"], payload["c"], undo=undo)
    return _page(request, _state(category, "undone" if undo else "ended"), category)


def problem(error: Exception, request: Request) -> Response | None:
    """Return the page of an error that a person can meet; ``None`` for those of programs."""
    match error:
        case NotFoundError():
            return _page(request, "not_found", status=404)
        case UnavailableError() | ConflictError():
            return _page(request, "unavailable", status=503)
    return None


def language(header: str) -> str:
    """Return the language of the page for the value of an Accept-Language header."""
    qualities: dict[str, float] = {}
    for found in map(_RANGE.fullmatch, header.split(",")):
        if found is not None:
            name = found[1].lower()
            qualities[name] = max(qualities.get(name, 0.0), float(found[2] or 1))
    others = qualities.get("*", 0.0)
    return "de" if qualities.get("de", others) > qualities.get("en", others) else "en"


def _payload(request: Request) -> JsonObject:
    payload = wiring.links().open("unsubscribe", request.token)
    if payload is None:
        raise NotFoundError("There is no such link.")
    return payload


def _state(category: Category | None, otherwise: str) -> str:
    if category is None:
        return "removed"
    return "locked" if category.locked else otherwise


def _page(
    request: Request, state: str, category: Category | None = None, *, status: int = 200
) -> Response:
    chosen = language(",".join(header_values(request.event, "accept-language")))
    words = WORDS[chosen][state]
    # Isolated: a title in Arabic or Hebrew does not reorder the sentence around it.
    title = (one_line(category.title) or category.name) if category else ""
    shown = f"<bdi>{html.escape(title)}</bdi>"
    url = settings().preferences_page or (CONSOLE if settings().has_console else "")
    text = PAGE.format(
        language=chosen,
        title=html.escape(words.heading.format(title)),
        style=STYLE,
        heading=words.heading.format(shown),
        text=words.text.format(shown),
        form=FORM.format(action=words.action, label=words.label) if words.action else "",
        link=LINK.format(url=html.escape(url), label=CHANGE[chosen]) if url else "",
    )
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": POLICY,
        "Referrer-Policy": "no-referrer",
        "X-Robots-Tag": "noindex",
    }
    if status == 503:
        headers["Retry-After"] = str(RETRY_AFTER)
    return Response(status, text, headers)


def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )


POLICY = _policy()
