"""Client of Slack's Web API: each call is one request with a limit in time and size.

The SDK's client with another transport. The SDK's own transport uses proxies from the environment,
sends the token along with redirects, reads responses of any length, and logs their content.
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
"""Bytes of a body that are read, so a longer body is not valid JSON."""

VERDICT = '{"ok": true}'
"""Replaces a truncated body that begins with ``"ok": true``, which is Slack's first member."""

NO_JSON = '{"ok": false, "error": "invalid_answer"}'
"""Replaces a body that is not a JSON object, such as a proxy's page or a truncated body."""

FAULTS = (OSError, http.client.HTTPException, KeyError, TypeError, ValueError)
"""Exceptions that a server's behavior can cause, besides ``SlackApiError``."""

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
            # A body that the deadline truncated is a timeout, not an invalid response.
            self._deadline.require()
        elif 200 < status < 300:
            # The SDK accepts only 200 as success.
            status = 200
        wish = response.retry_after
        headers = {} if wish is None else {"Retry-After": wish}
        return {"status": status, "headers": headers, "body": body or NO_JSON}


def _object(body: bytes) -> str | None:
    """Return a body's JSON object; ``None`` if it has none and does not begin with a success."""
    with suppress(ValueError, RecursionError):
        text = body.decode()
        if isinstance(json.loads(text), dict):
            return text
    return VERDICT if _ACCEPTED.match(body) else None
