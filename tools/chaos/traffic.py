"""Fifty people, each with settings of their own, and a caller who sends them messages.

The caller behaves as a good one does: whatever is not a 202, it sends again with the same
``request_id``, until it has one.
"""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter

from tools.failure import ToolFailure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tools.chaos.receivers import Receivers

PATIENCE = 120.0
"""Seconds for which a caller tries to get its 202."""

ANSWER_WITHIN = 30.0
"""Seconds: as long as API Gateway waits for a function."""

KINDS = ("WEBHOOK", "TEST", "CLI")

#: Parameters of the stack: quick retries where a person has set none, and nothing beside KINDS.
PARAMETERS = {
    "ToolDefaultEnabled": "false",
    "TestDefaultRetryDelaySeconds": "1",
    "CliDefaultRetryDelaySeconds": "2",
}


REHEARSALS: dict[int, dict[str, object]] = {
    1: {"fail_attempts": 1, "failure": "crash"},
    5: {"fail_attempts": 2},
}
"""What TEST rehearses, for every twentieth person: an end of its process, say."""


@dataclass(frozen=True, slots=True)
class Person:
    """A user, and what kind of receiver they have."""

    user_id: str
    temper: str
    retry_count: int
    retry_delay_seconds: int
    rehearsal: dict[str, object] | None


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send, and when after the first one."""

    after: float
    user_id: str
    body: dict[str, Any]
    deliver_in: float | None = None
    expires_in: float | None = None


@dataclass(kw_only=True)
class Caller:
    """Sends to one API and keeps the first book: what was promised."""

    api_url: str
    at_once: int
    """Requests at a time."""
    accepted: set[str] = field(default_factory=set)
    repeats: int = 0
    """Requests that had to be sent again."""
    refused: list[str] = field(default_factory=list)
    """Messages that were never taken, with the last answer."""

    def __post_init__(self) -> None:
        """Keep to this machine."""
        self._lock = threading.Lock()
        self._http = requests.Session()
        self._http.trust_env = False
        self._http.mount("http://", HTTPAdapter(pool_maxsize=self.at_once))

    def settle(self, people: Sequence[Person], receivers: Receivers) -> None:
        """Give everybody their settings."""
        settings = [
            (person.user_id, body) for person in people for body in overrides(person, receivers)
        ]
        with ThreadPoolExecutor(self.at_once) as pool:
            list(pool.map(lambda one: self._set(*one), settings))

    def send(self, messages: Sequence[Message]) -> None:
        """Send all, each at its time or as soon as a caller is free, until each has its 202."""
        began = time.monotonic()

        def later(message: Message) -> None:
            time.sleep(max(0.0, began + message.after - time.monotonic()))
            self._send(message)

        with ThreadPoolExecutor(self.at_once) as pool:
            list(pool.map(later, messages))

    def shown(self, user_id: str) -> Iterator[dict[str, Any]]:
        """Yield all deliveries of a user as the API shows them."""
        cursor: str | None = None
        while True:
            params = {"limit": "200"} | ({"cursor": cursor} if cursor else {})
            url = f"{self.api_url}/api/v1/users/{user_id}/deliveries"
            answer = self._http.get(url, params=params, timeout=ANSWER_WITHIN)
            answer.raise_for_status()
            page = answer.json()
            yield from page["deliveries"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _set(self, user_id: str, body: dict[str, object]) -> None:
        answer = self._post(f"/api/v1/users/{user_id}/integrations", body)
        if answer is None or answer.status_code != 201:
            raise ToolFailure(f"an override was not taken: {answer and answer.text}")

    def _send(self, message: Message) -> None:
        now = datetime.now(UTC)
        body = dict(message.body)
        if message.deliver_in is not None:
            body["deliver_at"] = _written(now + timedelta(seconds=message.deliver_in))
        if message.expires_in is not None:
            body["expires_at"] = _written(now + timedelta(seconds=message.expires_in))
        until = time.monotonic() + PATIENCE
        pause = 0.1
        while True:
            answer = self._post(f"/api/v1/users/{message.user_id}/deliveries", body)
            if answer is not None and answer.status_code == 202:
                ids = {one["delivery_id"] for one in answer.json()["deliveries"]}
                with self._lock:
                    self.accepted |= ids
                return
            told = "no answer" if answer is None else f"{answer.status_code} {answer.text}"
            for_good = answer is not None and answer.status_code < 500
            with self._lock:
                self.repeats += 1
                if for_good or time.monotonic() > until:
                    self.refused.append(f"{body['request_id']}: {told}")
                    return
            time.sleep(pause)
            pause = min(2 * pause, 2.0)

    def _post(self, path: str, body: object) -> requests.Response | None:
        try:
            return self._http.post(self.api_url + path, json=body, timeout=ANSWER_WITHIN)
        except requests.RequestException:
            return None


def population(seed: int, count: int, most_retries: int) -> list[Person]:
    """Return the people: most of every kind, a few whose receiver is broken or leaves for good."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    people = []
    for number in range(count):
        temper = {3: "broken", 7: "leaving"}.get(number % 20, "mixed")
        rehearsal = REHEARSALS.get(number % 20)
        person = Person(
            f"chaos-{number:02}",
            temper,
            chance.randint(0, most_retries),
            chance.randint(1, 3),
            rehearsal,
        )
        people.append(person)
    return people


def overrides(person: Person, receivers: Receivers) -> Iterator[dict[str, object]]:
    """Yield the overrides of a person."""
    yield {
        "integration_type": "WEBHOOK",
        "retry_count": person.retry_count,
        "retry_delay_seconds": person.retry_delay_seconds,
        "config": {"url": receivers.url(person.temper, person.user_id)},
    }
    if person.rehearsal:
        yield {"integration_type": "TEST", "config": person.rehearsal}


def messages(seed: int, people: Sequence[Person], deliveries: int, pace: float) -> list[Message]:
    """Return messages that make so many deliveries, ``pace`` messages a second."""
    chance = random.Random(f"{seed} messages")  # noqa: S311 - no secret
    made: list[Message] = []
    left = deliveries
    while left > 0:
        kinds = chance.choices(
            (KINDS, ("WEBHOOK",), ("WEBHOOK", "TEST"), ("TEST", "CLI")), (30, 50, 10, 10)
        )[0][:left]
        body: dict[str, Any] = {
            "request_id": f"chaos-{seed}-{len(made)}",
            "content": f"Message {len(made)}",
            "integration_types": list(kinds),
        }
        if len(kinds) > 1 and chance.random() < 0.4:
            body["mode"] = "first_success"
        made.append(
            Message(
                after=len(made) / pace,
                user_id=chance.choice(people).user_id,
                body=body,
                deliver_in=chance.choice((2.0, 5.0)) if chance.random() < 0.06 else None,
                expires_in=chance.choice((40.0, 120.0)) if chance.random() < 0.06 else None,
            )
        )
        left -= len(kinds)
    return made


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
