"""A client of the API that holds every response to the document."""

from __future__ import annotations

from typing import Any

import requests
from requests.adapters import HTTPAdapter

from tests.contract import breaches, routed

ANSWER_WITHIN = 30.0
"""Seconds: as long as API Gateway waits for a function."""


class ApiSession(requests.Session):
    """Talks to one API: a path is enough for a URL. The user's own proxy is left out."""

    def __init__(self, api_url: str) -> None:
        super().__init__()
        self.api_url = api_url
        self.trust_env = False
        self.mount("http://", HTTPAdapter(pool_maxsize=50))

    # The options are those of requests, which names each of them.
    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send a request to a path of the API; fail if the response does not match the document."""
        answer = super().request(method, self.api_url + url, **{"timeout": ANSWER_WITHIN} | options)
        if found := routed(method, url):
            wrong = [*breaches(found[0].function, answer.status_code, answer.headers, answer.text)]
            assert not wrong, wrong
        return answer
