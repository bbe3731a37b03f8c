"""Slack's Web API: one call is one request, within the time of the attempt, and bounded in size.

The SDK's client with its transport replaced. Its own one asks the environment for proxies, follows
redirects with the token in hand, reads answers of any length, and logs what they say.
"""

from __future__ import annotations

import http.client
import json
import logging
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from slack_sdk import WebClient

from dispatcher.http_client import send

if TYPE_CHECKING:
    import urllib.request

    from dispatcher.deadline import Deadline

PUBLIC = "https://slack.com/api/"

LARGEST_BODY = 1024 * 1024
"""Bytes; the rest is not read, so a longer body is no JSON."""

VERDICT = '{"ok": true}'
"""Replaces a body that is cut off behind Slack's verdict, which is its first member."""

NO_JSON = '{"ok": false, "error": "invalid_answer"}'
"""Replaces a body that is no JSON object: a proxy's page, or a cut."""

FAULTS = (OSError, http.client.HTTPException, KeyError, TypeError, ValueError)
"""All that a peer can bring about beside ``SlackApiError``."""

_ACCEPTED = re.compile(rb'\s*\{\s*"ok"\s*:\s*true\s*[,}]')

_silent = logging.getLogger("channels.slack_web.sdk")
_silent.setLevel(logging.CRITICAL)
_silent.disabled = True


class SlackWeb(WebClient):
    """A ``WebClient`` for one attempt."""

    def __init__(self, token: str, base_url: str, deadline: Deadline, *, reserve: float) -> None:
        super().__init__(token, base_url, logger=_silent, retry_handlers=[])
        self._deadline = deadline
        self._reserve = reserve

    def _perform_urllib_http_request_internal(
        self,
        url: str,  # noqa: ARG002 - the request has it too
        req: urllib.request.Request,
    ) -> dict[str, Any]:
        self._deadline.require(self._reserve)
        response = send(req, self._deadline, largest=LARGEST_BODY)
        status, body = response.status, _object(response.body)
        if body is None:
            # Cut off by the deadline: a timeout, not nonsense.
            self._deadline.require()
        elif 200 < status < 300:
            # The SDK takes 200 alone for a success.
            status = 200
        wish = response.retry_after
        headers = {} if wish is None else {"Retry-After": wish}
        return {"status": status, "headers": headers, "body": body or NO_JSON}


def _object(body: bytes) -> str | None:
    """Return the JSON object of a body; ``None`` if it has none, and no verdict either."""
    with suppress(ValueError, RecursionError):
        text = body.decode()
        if isinstance(json.loads(text), dict):
            return text
    return VERDICT if _ACCEPTED.match(body) else None
