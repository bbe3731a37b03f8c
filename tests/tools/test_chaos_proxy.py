"""The crash proxy and the reaper: which processes are killed at which step, and what is kept."""

from __future__ import annotations

import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from itertools import count

import psutil
import pytest

from evidence.chaos.crash_proxy import CrashProxy
from evidence.chaos.faults import FAULTS, Faults
from evidence.chaos.ledger import Arrival, Fate, Ledger
from evidence.chaos.reaper import Reaper
from evidence.chaos.seeded_random import roll
from evidence.chaos.workers import Workers
from tools.loopback import LoopbackServer
from tools.processes import free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

#: Makes one call of AWS and prints the status of its response.
FUNCTION = """
import http.client, sys
port, target, body = sys.argv[1:]
connection = http.client.HTTPConnection("127.0.0.1", int(port))
connection.request("POST", "/", body, {"X-Amz-Target": target})
print(connection.getresponse().status, flush=True)
sys.stdin.read()
"""

#: A local cloud: it runs one function, named by its first argument, so many times.
CLOUD = """
import os, subprocess, sys
name, times, function, *arguments = sys.argv[1:]
named = os.environ | {"AWS_LAMBDA_FUNCTION_NAME": name}
for _ in range(int(times)):
    child = subprocess.Popen([sys.executable, "-c", function, *arguments], env=named)
    print("code", child.wait(), flush=True)
"""

WORKER = "stack-DeliverMessagesFunction-1"
DELIVERY = "01900000-0000-7000-8000-000000000001"
PUT = {
    "TableName": "deliveries",
    "Item": {
        "user_id": {"S": "ada"},
        "sk": {"S": f"MAILBOX#CLI#{DELIVERY}"},
        "content": {"S": "Hello"},
    },
}


class Aws(BaseHTTPRequestHandler):
    """Returns 200 to everything, and remembers it."""

    calls: list[bytes]

    def do_POST(self):
        """Remember the body."""
        self.calls.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Print nothing."""


class Ran:
    """A function that ran, and what was seen of its call."""

    def __init__(self, *, seed, share, name=WORKER, times=1, target="DynamoDB.PutItem", body=PUT):
        handler = type("Handler", (Aws,), {"calls": []})
        aws, port, self.ledger = LoopbackServer(handler), free_port(), Ledger()
        aws.start()
        arguments = [name, str(times), FUNCTION, str(port), target, json.dumps(body)]
        with (
            subprocess.Popen(
                [sys.executable, "-c", CLOUD, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            ) as cloud,
            Workers(psutil.Process(cloud.pid)) as workers,
        ):
            reaper = Reaper(workers, self.ledger, seed, share)
            reaper.is_on = True
            faults = Faults(seed)
            with CrashProxy(port, aws.server_port, faults, reaper):
                self.output = cloud.communicate()[0].split("\n")[:-1]
        aws.stop()
        self.calls = len(handler.calls)
        self.crashes = reaper.crashes


def seed_for(before, after):
    """Return a seed whose numbers for the two moments of the send are below 0.5, or not."""
    for seed in count():
        rolls = [
            roll(seed, "crash", f"DeliverMessages: {moment} send", DELIVERY) < 0.5
            for moment in ("before", "after")
        ]
        if rolls == [before, after]:
            return seed
    raise AssertionError


@pytest.mark.parametrize(
    ("before", "after", "output", "calls", "crashes", "fate"),
    [
        (True, False, ["code -9"], 0, ["DeliverMessages: before send"], Fate.UNREAD),
        (False, True, ["code -9"], 1, ["DeliverMessages: after send"], Fate.BEREFT),
        (False, False, ["200", "code 0"], 1, [], Fate.ACCEPTED),
    ],
    ids=["before", "after", "spared"],
)
def test_a_process_is_killed_before_or_after_a_step(before, after, output, calls, crashes, fate):
    """Before, AWS never sees the call; after, it has taken effect, but no response comes."""
    ran = Ran(seed=seed_for(before, after), share=0.5)

    (arrival,) = ran.ledger.arrivals
    assert (ran.output, ran.calls, ran.crashes) == (output, calls, crashes)
    assert arrival == Arrival(
        delivery_id=DELIVERY,
        at=arrival.at,
        fate=fate,
        ended_at=arrival.ended_at,
        content="Hello",
    )


@pytest.mark.parametrize(
    "call",
    [
        {"name": "stack-GetHealthFunction-1"},
        {"target": "DynamoDB.DescribeTable", "body": {"TableName": "deliveries"}},
    ],
    ids=["another function", "no step"],
)
def test_other_calls_pass(call):
    """Only steps of the protocol are struck, and only functions that take part in it."""
    ran = Ran(seed=1, share=1.0, **call)

    assert (ran.output, ran.calls, ran.crashes) == (["200", "code 0"], 1, [])


def test_a_delivery_is_struck_once_at_each_step():
    """The share is of deliveries, not of their attempts."""
    ran = Ran(seed=seed_for(before=True, after=False), share=0.5, times=2)

    assert ran.output == ["code -9", "200", "code 0"]


def test_each_fault_has_its_share_of_the_calls():
    """A seed always draws the same faults, and none while they are off."""
    first, again = Faults(7), Faults(7)
    off = [first.draw() for _ in range(9)]
    first.is_on = again.is_on = True
    drawn = [first.draw() for _ in range(10_000)]

    assert off == [None] * 9
    assert drawn == [again.draw() for _ in range(10_000)]
    assert first.seen == 10_000
    for fault in FAULTS:
        assert drawn.count(fault) == first.faulty[fault.name]
        assert first.faulty[fault.name] == pytest.approx(fault.share * 10_000, rel=0.2)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_an_error_or_a_cut_connection(fault, monkeypatch):
    """Only a lost response has an effect; the caller sees AWS's status or a cut connection."""
    monkeypatch.setattr(Faults, "draw", lambda _: fault)

    ran = Ran(seed=1, share=0.0)

    assert ran.output == ([str(fault.status), "code 0"] if fault.status else ["code 1"])
    assert ran.calls == int(fault.has_effect)
