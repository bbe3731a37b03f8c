"""Slack's Web API: one call is one request, within the time of the attempt, and bounded in size.

The SDK's client with its transport replaced. Its own one asks the environment for proxies, follows
redirects with the token in hand, reads answers of any length, and logs what they say.
"""

from __future__ import annotations

import http.client
import json
import logging
import urllib.request
from functools import cache
from typing import TYPE_CHECKING, Any

from slack_sdk import WebClient

from dispatcher.tls import client_context

if TYPE_CHECKING:
    from dispatcher.deadline import Deadline

PUBLIC = "https://slack.com/api/"

LARGEST_BODY = 1024 * 1024
"""Bytes; the rest is not read, so a longer body is no JSON."""

NO_JSON = '{"ok": false, "error": "invalid_answer"}'
"""Replaces a body that is no JSON object: a proxy's page, or a cut."""

FAULTS = (OSError, http.client.HTTPException, KeyError, TypeError, ValueError)
"""All that a peer can bring about beside ``SlackApiError``."""

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
        with _opener().open(req, timeout=self._deadline.require(self._reserve)) as response:
            body = bytearray()
            while len(body) < LARGEST_BODY and (part := response.read1(65_536)):
                body += part
                self._deadline.require()
        return {
            "status": response.status,
            "headers": response.headers,
            "body": _object(bytes(body)),
        }


def _object(body: bytes) -> str:
    try:
        text = body.decode()
        return text if isinstance(json.loads(text), dict) else NO_JSON
    except (ValueError, RecursionError):
        return NO_JSON


@cache
def _opener() -> urllib.request.OpenerDirector:
    # Two handlers and no more: no proxies, no redirects, and an error status is an answer.
    opener = urllib.request.OpenerDirector()
    opener.add_handler(urllib.request.HTTPHandler())
    opener.add_handler(urllib.request.HTTPSHandler(context=client_context()))
    return opener
