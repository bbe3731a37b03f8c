"""State that the scenes of the demo share: the service, the user, earlier results."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import boto3
import requests
from standardwebhooks import Webhook, WebhookVerificationError

from tools.local_cloud import CREDENTIALS, REGION
from tools.narrator import CheckFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tools.demo_servers import FakeServers
    from tools.narrator import Narrator
    from tools.receiver import Arrival, Receiver

Json = dict[str, Any]

PATIENCE = 40.0
"""Seconds that a message may take to reach all receivers; each function may start cold."""


@dataclass
class DemoContext:
    """State that the scenes share: service, user, fake servers, and results of earlier scenes."""

    stack: Mapping[str, str]
    narrator: Narrator
    receiver: Receiver
    user_id: str
    fake_servers: FakeServers | None = None
    before: Json = field(default_factory=dict)
    """The user's effective configuration before anything was set."""
    effective: Json = field(default_factory=dict)
    """The same with the user's overrides."""
    signing_secret: str = ""
    sent: Json = field(default_factory=dict)
    """The response to the message that was sent."""
    _http: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        """Keep to this machine."""
        # A proxy of the user's is not meant for our own addresses.
        self._http.trust_env = False

    @property
    def user(self) -> str:
        """Return the path below which all of the user's things are."""
        return f"/api/v1/users/{self.user_id}"

    def ask(
        self, method: str, path: str, body: Json | None = None, *, status: int = 200, log: str
    ) -> tuple[Json, Mapping[str, str]]:
        """Make a request and return what came, body and headers, if its status is the expected."""
        answer = self.reach(method, path, body)
        if answer.status_code != status:
            raise CheckFailedError(
                f"{method} {path}",
                expected=f"status {status}",
                came=f"{answer.status_code} {answer.text}",
                log=log_of(log),
            )
        return (answer.json() if answer.content else {}), answer.headers

    def reach(self, method: str, path: str, body: Json | None = None) -> requests.Response:
        """Make a request and return any response."""
        try:
            return self._http.request(
                method, self.stack["api_url"] + path, json=body, timeout=PATIENCE
            )
        except requests.RequestException as error:
            raise CheckFailedError(
                f"{method} {path}",
                expected="an answer",
                came=type(error).__name__,
                log=".local/logs/proxy.log; is it running? make status",
            ) from error

    def client(self, service: str) -> Any:  # noqa: ANN401 - each service has a separate class
        """Make an administrator's client of the local cloud."""
        make = cast("Callable[..., Any]", boto3.client)
        return make(
            service,
            endpoint_url=self.stack["endpoint_url"],
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    def stored_row(self) -> Json | None:
        """Look into the table of overrides itself, past the API."""
        answer = self.client("dynamodb").get_item(
            TableName=self.stack["OverridesTableName"],
            Key={"user_id": {"S": self.user_id}},
            ConsistentRead=True,
        )
        return cast("Json | None", answer.get("Item"))

    def history(self) -> list[Json]:
        """Return the deliveries of the message that was sent, in the order of their acceptance."""
        path = f"{self.user}/deliveries?request_id={self.sent['request_id']}"
        page, _ = self.ask("GET", path, log="list_deliveries")
        return list(reversed(page["deliveries"]))

    def await_deliveries(self, doing: str, look: Callable[[Sequence[Json]], None]) -> None:
        """Show how many deliveries have ended until all have; ``look`` sees each history read."""
        until, total = time.monotonic() + PATIENCE, len(self.sent["deliveries"])
        with self.narrator.waiting(doing, total) as show:
            while True:
                deliveries = self.history()
                look(deliveries)
                pending = [
                    one["integration_type"] for one in deliveries if one["status"] == "pending"
                ]
                show(total - len(pending), f"waiting for {', '.join(pending) or 'nobody'}")
                if not pending:
                    return
                if time.monotonic() > until:
                    raise CheckFailedError(
                        "every delivery ends",
                        expected=f"none pending after {PATIENCE:.0f} s",
                        came=f"{', '.join(pending)} still pending",
                        log=log_of("deliver_messages"),
                    )
                time.sleep(0.1)


def signature_fault(arrival: Arrival, secret: str) -> str | None:
    """Verify a request as a receiver of Standard Webhooks does; return what is wrong with it."""
    try:
        Webhook(secret).verify(arrival.body, dict(arrival.headers))
    except WebhookVerificationError as error:
        return str(error)
    return None


def log_of(function: str) -> str:
    """Name the command that shows a function's log."""
    home = os.environ.get("CLOUD_HOME")
    return f"make logs FOLLOW=0 GREP={function}{f' CLOUD_HOME={home}' if home else ''}"
