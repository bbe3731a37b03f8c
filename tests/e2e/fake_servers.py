"""The other ends of the service: a client of its API, and a receiver of its webhooks."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter

from tests.contract import breaches, routed
from tools.loopback import LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

ANSWER_WITHIN = 30.0
"""Seconds: as long as API Gateway waits for a function."""


class ApiSession(requests.Session):
    """Talks to one API: a path is enough for a URL. The user's own proxy is left out."""

    def __init__(self, api_url: str) -> None:
        super().__init__()
        self.api_url = api_url
        self.trust_env = False
        self.mount("http://", HTTPAdapter(pool_maxsize=50))

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send a request to a path of the API; fail if the document does not allow the response."""
        answer = super().request(method, self.api_url + url, **{"timeout": ANSWER_WITHIN} | options)
        if found := routed(method, url):
            wrong = [*breaches(found[0].function, answer.status_code, answer.headers, answer.text)]
            assert not wrong, wrong
        return answer


@dataclass(frozen=True)
class Arrival:
    """A request that reached the receiver."""

    at: float
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Return the body, read."""
        return json.loads(self.body)


@dataclass
class Receiver:
    """A real HTTP server on a free port of loopback that notes what arrives and when.

    It returns the entries of `script`, (status, headers), one after the other, and then 204.
    """

    script: Sequence[tuple[int, Mapping[str, str]]] = ()
    arrivals: list[Arrival] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Listen."""
        receiver = self
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                at = time.time()
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                arrival = Arrival(at, self.command, self.path, headers, body)
                with lock:
                    number = len(receiver.arrivals)
                    receiver.arrivals.append(arrival)
                script = receiver.script
                status, extra = script[number] if number < len(script) else (204, {})
                self.send_response(status)
                for name, value in extra.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_POST = do_PUT = do_PATCH = answer  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                """Keep quiet: what arrives is noted."""

        self._server = LoopbackServer(Handler)
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening, and leave no thread behind."""
        self._server.stop()

    @property
    def url(self) -> str:
        """Return the address to register."""
        return f"{self._server.origin}/hook"
