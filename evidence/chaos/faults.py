"""Faults of AWS: the crash proxy draws one, or none, for each call of a function."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from typing import NamedTuple


class Fault(NamedTuple):
    """A kind of fault, and the share of calls that it affects."""

    name: str
    share: float
    status: int | None = None
    """The status of an error in place of the call; without one, the connection is cut."""
    code: str = ""
    has_effect: bool = False
    """Whether AWS carries out the call, and only its response is lost."""

    @property
    def response(self) -> tuple[int, list[tuple[str, str]], bytes] | None:
        """Return the error in AWS's JSON protocols; ``None`` if the connection is cut."""
        if self.status is None:
            return None
        body = {"__type": self.code, "message": "drawn by make chaos"}
        headers = [("Content-Type", "application/x-amz-json-1.0")]
        return self.status, headers, json.dumps(body).encode()


FAULTS = (
    Fault("throttled", 0.1, 400, "ThrottlingException"),
    Fault("reset before the effect", 0.05),
    Fault("error 500", 0.025, 500, "InternalServerError"),
    Fault("error 503", 0.025, 503, "ServiceUnavailable"),
    Fault("response lost after the effect", 0.1, has_effect=True),
)
"""30 % of all calls fail; a third of them are lost responses."""


class Faults:
    """Draws faults while they are on, and counts the calls and the faults by kind."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"{seed} faults")  # noqa: S311 - no secret
        self._lock = threading.Lock()
        self.is_on = False
        self.seen = 0
        self.faulty: Counter[str] = Counter()

    def draw(self) -> Fault | None:
        """Return the fault of the next call, if it has one."""
        if not self.is_on:
            return None
        with self._lock:
            self.seen += 1
            roll = self._random.random()
            for fault in FAULTS:
                roll -= fault.share
                if roll < 0:
                    self.faulty[fault.name] += 1
                    return fault
        return None
