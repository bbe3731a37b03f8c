"""The page /docs, with which people read the API and try it: Swagger UI in one response.

Script and style come from Powertools, so the page needs no other host. Its content security policy
permits only these scripts and requests to this API.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

START = """
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#api",
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  tryItOutEnabled: true,
  validatorUrl: null,
});
"""
"""The address is relative: it holds behind any stage prefix."""


class Page(NamedTuple):
    """An HTML page and its content security policy."""

    html: str
    policy: str


@cache
def page() -> Page:
    """Build the page from its files."""
    style, script = _bundled("swagger-ui.min.css"), _bundled("swagger-ui-bundle.min.js")
    html = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Integration dispatcher</title><style>{style}</style></head><body>"
        '<div id="api"></div>'
        '<noscript>This page needs JavaScript; <a href="openapi.json">openapi.json</a> does not.'
        f"</noscript><script>{script}</script><script>{START}</script></body></html>\n"
    )
    policy = (
        f"default-src 'none'; script-src {_hashed(script)} {_hashed(START)}; "
        f"style-src {_hashed(style)}; img-src data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(html, policy)


def _bundled(name: str) -> str:
    import aws_lambda_powertools

    package = Path(aws_lambda_powertools.__file__).parent
    return (package / "event_handler" / "openapi" / "swagger_ui" / name).read_text("utf-8")


def _hashed(source: str) -> str:
    digest = hashlib.sha256(source.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
