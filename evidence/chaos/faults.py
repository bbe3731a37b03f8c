"""Faulty AWS: microburst between the functions and the local cloud."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import requests

from tools.local_cloud import CREDENTIALS, wait_for
from tools.paths import MICROBURST
from tools.processes import LOOPBACK, Background


class Fault(NamedTuple):
    """A kind of fault."""

    name: str
    share: float
    """Of all calls."""
    effect: Mapping[str, object]
    """In a rule of microburst."""
    action: str
    """A word by which microburst counts it."""


FAULTS = (
    Fault(
        "throttled", 0.1, {"error": {"code": "ThrottlingException", "status": 400}}, "Throttling"
    ),
    Fault("reset before the effect", 0.05, {"reset": True}, "reset"),
    Fault(
        "error 500", 0.025, {"error": {"code": "InternalServerError", "status": 500}}, "Internal"
    ),
    Fault("error 503", 0.025, {"error": {"code": "ServiceUnavailable", "status": 503}}, "Service"),
    Fault("response lost after the effect", 0.1, {"response": {"abort_bytes": 0}}, "abort"),
)
"""30 % of all calls fail; a third of them are lost responses."""

_COUNT = re.compile(r'^microburst_faults_total\{.*action="(.*)"\} (\d+)$', re.MULTILINE)


class Calls(NamedTuple):
    """AWS calls of the functions while faults were on."""

    seen: int
    faulty: Mapping[str, int]
    """By kind."""


class Faults:
    """One microburst process, without faults at first."""

    def __init__(self, home: Path, port: int, cloud_port: int) -> None:
        self._port = port
        self._cloud_port = cloud_port
        self._process = Background("faults", home)
        self._control = requests.Session()
        self._control.trust_env = False
        self._before = 0
        self._seen = 0

    @property
    def url(self) -> str:
        """Return the URL of the faulty AWS."""
        return f"http://{LOOPBACK}:{self._port}"

    def start(self, session: boto3.Session) -> None:
        """Start it, and make a first call to each service: it loads their models for seconds."""
        self._process.stop()
        upstream = f"http://{LOOPBACK}:{self._cloud_port}"
        command = [*(str(MICROBURST), "--upstream", upstream), "--resign"]
        self._process.start([*command, "--port", str(self._port)], CREDENTIALS)
        wait_for(self._process, f"{self.url}/_microburst/health", "The fault proxy")
        session.client("dynamodb", endpoint_url=self.url).list_tables()
        session.client("sqs", endpoint_url=self.url).list_queues()
        session.client("kms", endpoint_url=self.url).list_keys()

    def stop(self) -> None:
        """Stop it."""
        self._process.stop()

    def turn_on(self) -> None:
        """Make 30 % of all calls faulty from now on."""
        self._before = self._requests()
        self._ask("POST", "rules", list(rules()))

    def turn_off(self) -> None:
        """Let all calls pass from now on."""
        self._ask("POST", "rules", [])
        self._seen = self._requests() - self._before

    def calls(self) -> Calls:
        """Return the number of calls, and of the faulty ones by kind."""
        # Not /fired, the audit log: it keeps the last 2,000 only. These counters lose nothing.
        text = self._control.get(f"{self.url}/_microburst/metrics", timeout=10).text
        kinds = Counter[str]()
        for action, count in _COUNT.findall(text):
            [name] = [fault.name for fault in FAULTS if fault.action in action]
            kinds[name] += int(count)
        return Calls(self._seen, kinds)

    def _requests(self) -> int:
        stats: dict[str, Any] = self._ask("GET", "stats")
        return int(stats["requests"]["total"])

    def _ask(self, method: str, what: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        url = f"{self.url}/_microburst/{what}"
        answer = self._control.request(method, url, json=body, timeout=10)
        answer.raise_for_status()
        return answer.json()


def rules() -> Iterator[dict[str, object]]:
    """Yield the rules; each one sees only calls that the rules before it let pass."""
    rest = 1.0
    for fault in FAULTS:
        yield {"service": "*", "probability": fault.share / rest, **fault.effect}
        rest -= fault.share
