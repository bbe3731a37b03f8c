"""Fifty users, each with their own overrides, and a caller who sends them messages.

The caller repeats every request that gets no final response, with the same ``request_id``. It sends
some requests several times in parallel, cancels some deliveries and retries some that failed.
"""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from evidence.chaos.receivers import Receivers
from tools.failure import ToolFailure

PATIENCE = 120.0
"""Seconds for which a caller repeats a request."""

RESPONSE_WITHIN = 30.0
"""Seconds: as long as API Gateway waits for a function."""

TYPES = ("WEBHOOK", "TEST", "CLI")

SECURITY, BETA = "security", "beta"
CATEGORIES: dict[str, dict[str, object]] = {
    SECURITY: {"title": "Security", "locked": True, "reach_by": ["EMAIL"], "urgent": True},
    BETA: {"title": "Beta", "enabled": False},
}
"""One that is locked and urgent, and one that is opt-in."""

#: Parameters of the stack: quick retries for users without overrides, and a mail server.
PARAMETERS = {
    "ToolDefaultEnabled": "false",
    "TestDefaultRetryDelaySeconds": "1",
    "CliDefaultRetryDelaySeconds": "2",
    "EmailSender": "chaos@example.com",
    "SmtpTls": "none",
}


REHEARSALS: dict[int, dict[str, object]] = {
    1: {"fail_attempts": 1, "failure": "crash"},
    5: {"fail_attempts": 2},
}
"""TEST's rehearsal for every twentieth user: the end of its process, or failures."""


@dataclass(frozen=True, slots=True)
class User:
    """A user, and how their webhook receiver behaves."""

    user_id: str
    behavior: str
    retry_count: int
    retry_delay_seconds: int
    rehearsal: dict[str, object] | None
    opted_out: bool = False
    """Whether the user disabled EMAIL, which a locked category still uses."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send, and how many seconds after the first one."""

    after: float
    user_id: str
    body: dict[str, Any]
    deliver_in: float | None = None
    expires_in: float | None = None
    copies: int = 1
    """Equal requests, sent in parallel."""
    cancels: int | None = None
    """The place of the delivery that is cancelled once the message is accepted."""

    @property
    def request_id(self) -> str:
        """Return its request ID."""
        return str(self.body["request_id"])


@dataclass(kw_only=True)
class Caller:
    """Sends to one API, and remembers what it was promised."""

    api_url: str
    parallel: int
    """Requests at a time."""
    responses: dict[str, list[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(list))
    """The delivery IDs of each 202, by request ID."""
    cancelled: dict[str, float] = field(default_factory=dict)
    """When DELETE returned 200, by delivery ID."""
    reopened: dict[str, int] = field(default_factory=dict)
    """The round that a 202 of ``/retry`` named, by delivery ID."""
    repeats: int = 0
    """Requests that had to be repeated."""
    refused: list[str] = field(default_factory=list)
    """Requests without a final response, with the last response."""

    def __post_init__(self) -> None:
        """Open connections to this machine only."""
        self._lock = threading.Lock()
        self._http = requests.Session()
        self._http.trust_env = False
        self._http.mount("http://", HTTPAdapter(pool_maxsize=2 * self.parallel))

    def set_overrides(self, users: Sequence[User], receivers: Receivers) -> None:
        """Create all users' overrides."""
        bodies = [(user.user_id, body) for user in users for body in overrides(user, receivers)]

        def create(user_id: str, body: object) -> None:
            # 409: on a busy machine the response of an earlier try came too late.
            path = f"/api/v1/users/{user_id}/integrations"
            self._repeat("POST", path, body, accept=(201, 409))

        with ThreadPoolExecutor(self.parallel) as pool:
            list(pool.map(create, *zip(*bodies, strict=True)))
        if self.refused:
            raise ToolFailure(f"an override was not created: {self.refused[0]}")

    def set_categories(self) -> None:
        """Define the categories."""
        for name, body in CATEGORIES.items():
            self._repeat("PUT", f"/api/v1/categories/{name}", body, accept=(200, 201))

    def prefer(self, user_id: str, body: dict[str, Any]) -> None:
        """Change a user's preferences."""
        self._repeat("PUT", f"/api/v1/users/{user_id}/preferences", body)

    def send(self, messages: Sequence[Message]) -> None:
        """Send all, each at its time or as soon as a thread is free, until each has its 202."""
        began = time.monotonic()

        def send(message: Message) -> None:
            time.sleep(max(0.0, began + message.after - time.monotonic()))
            self._send(message)

        copies = [message for message in messages for _ in range(message.copies)]
        with ThreadPoolExecutor(self.parallel) as pool:
            list(pool.map(send, copies))

    def retry(self, user_id: str, delivery_id: str, *, now: bool) -> None:
        """Begin a new round of a failed delivery; ``now`` ignores hours and mutes."""
        query = "?now=true" if now else ""
        # 409: another call has opened the round, or the delivery cannot be retried any more.
        path = f"{_path(user_id, delivery_id)}/retry{query}"
        response = self._repeat("POST", path, accept=(202, 409))
        if response is not None and response.status_code == 202:
            self.reopened[delivery_id] = response.json()["round"]

    def statuses(self, user_id: str) -> Iterator[tuple[str, str]]:
        """Yield ID and status of all deliveries of a user as the API returns them."""
        cursor: str | None = None
        while True:
            params = {"limit": "200"} | ({"cursor": cursor} if cursor else {})
            url = f"{self.api_url}/api/v1/users/{user_id}/deliveries"
            response = self._http.get(url, params=params, timeout=RESPONSE_WITHIN)
            response.raise_for_status()
            page = response.json()
            for delivery in page["deliveries"]:
                yield delivery["delivery_id"], delivery["status"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _send(self, message: Message) -> None:
        body = dict(message.body)
        if message.deliver_in is not None:
            body["deliver_at"] = _in(message.deliver_in)
        if message.expires_in is not None:
            body["expires_at"] = _in(message.expires_in)
        path = f"/api/v1/users/{message.user_id}/deliveries"
        response = self._repeat("POST", path, body, accept=(202,))
        if response is None:
            return
        ids = tuple(delivery["delivery_id"] for delivery in response.json()["deliveries"])
        with self._lock:
            self.responses[message.request_id].append(ids)
        if message.cancels is not None and message.cancels < len(ids):
            self._cancel(message.user_id, ids[message.cancels])

    def _cancel(self, user_id: str, delivery_id: str) -> None:
        # 409: it is being attempted, or has ended.
        response = self._repeat("DELETE", _path(user_id, delivery_id), accept=(200, 409))
        if response is not None and response.status_code == 200:
            self.cancelled[delivery_id] = time.time()

    def _repeat(
        self, method: str, path: str, body: object = None, accept: Sequence[int] = (200,)
    ) -> requests.Response | None:
        """Request until there is a final response; ``None`` if it has no expected status."""
        until, pause = time.monotonic() + PATIENCE, 0.1
        while True:
            response = None
            with suppress(requests.RequestException):
                response = self._http.request(
                    method, self.api_url + path, json=body, timeout=RESPONSE_WITHIN
                )
            if response is not None and response.status_code in accept:
                return response
            is_final = response is not None and response.status_code < 500
            if is_final or time.monotonic() > until:
                came = "no response" if response is None else response.text
                self.refused.append(f"{method} {path} {body or ''}: {came}")
                return None
            with self._lock:
                self.repeats += 1
            time.sleep(pause)
            pause = min(2 * pause, 2.0)


def population(seed: int, count: int, most_retries: int) -> list[User]:
    """Return the users; every twentieth has a receiver that is broken, or that leaves."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    return [
        User(
            f"chaos-{number:02}",
            {3: "broken", 7: "leaving"}.get(number % 20, "mixed"),
            chance.randint(0, most_retries),
            chance.randint(1, 3),
            REHEARSALS.get(number % 20),
            opted_out=number % 2 == 1,
        )
        for number in range(count)
    ]


def overrides(user: User, receivers: Receivers) -> Iterator[dict[str, object]]:
    """Yield the overrides of a user."""
    yield {
        "integration_type": "WEBHOOK",
        "retry_count": user.retry_count,
        "retry_delay_seconds": user.retry_delay_seconds,
        "config": {"url": receivers.url(user.behavior, user.user_id)},
    }
    if user.rehearsal:
        yield {"integration_type": "TEST", "config": user.rehearsal}
    if user.opted_out:
        yield {"integration_type": "EMAIL", "enabled": False}


def messages(seed: int, users: Sequence[User], deliveries: int, pace: float) -> list[Message]:
    """Return messages that make so many deliveries, ``pace`` messages a second."""
    chance = random.Random(f"{seed} messages")  # noqa: S311 - no secret
    # Its own numbers, so that the messages of a seed are those of earlier versions.
    extras = random.Random(f"{seed} extras")  # noqa: S311 - no secret
    subjects = random.Random(f"{seed} subjects")  # noqa: S311 - no secret
    result: list[Message] = []
    left = deliveries
    while left > 0:
        types = chance.choices(
            (TYPES, ("WEBHOOK",), ("WEBHOOK", "TEST"), ("TEST", "CLI")), (30, 50, 10, 10)
        )[0][:left]
        body: dict[str, Any] = {
            "request_id": f"chaos-{seed}-{len(result)}",
            "content": f"Message {len(result)}",
            "integration_types": list(types),
        }
        if len(types) > 1 and chance.random() < 0.4:
            body["mode"] = "first_success"
        roll = subjects.random()
        if roll < 0.1 and len(types) < left:
            body["category"] = SECURITY
            body["recipient"] = {"email": "user@example.com"}
            body["integration_types"].append("EMAIL")
        elif roll > 0.9:
            body["category"] = BETA
        message = Message(
            after=len(result) / pace,
            user_id=chance.choice(users).user_id,
            body=body,
            deliver_in=chance.choice((2.0, 5.0)) if chance.random() < 0.06 else None,
            expires_in=chance.choice((40.0, 120.0)) if chance.random() < 0.06 else None,
        )
        # A delivery that waits for its time can be cancelled; any other one is hard to catch.
        if extras.random() < (0.4 if message.deliver_in else 0.03):
            message = replace(message, cancels=extras.randrange(len(types)))
        # Times are relative to each request, so bodies with times are not equal.
        has_times = message.deliver_in or message.expires_in
        if extras.random() < 0.04 and not has_times:
            message = replace(message, copies=3)
        result.append(message)
        left -= len(body["integration_types"])
    return result


def _path(user_id: str, delivery_id: str) -> str:
    return f"/api/v1/users/{user_id}/deliveries/{delivery_id}"


def _in(seconds: float) -> str:
    """Return the time in so many seconds."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
