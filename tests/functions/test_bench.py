"""Every process that `make bench` measures runs to its end and does what it is measured for."""

from __future__ import annotations

import json
import subprocess

import pytest

from evidence.bench import processes
from evidence.bench.processes import fake_server, last_line, timed
from evidence.bench.rows import HOOKED
from tools.build import build


@pytest.fixture(scope="module")
def address():
    """Return the address of fake AWS and receivers, for what is built."""
    build()
    with fake_server() as address:
        yield address


def test_every_function_handles_its_sample(address):
    """A cold start is only measured if its first request succeeds."""
    measured = processes.measured_functions()

    assert len(measured) > 20
    for name in measured:
        assert timed(processes.start_of(name, address)).cpu > 0, name


def test_the_worker_attempts_a_delivery_and_opens_a_round_in_its_first_batch(address):
    """A doorbell that is dropped would be a cheaper cold start."""
    command, environment = processes.start_of("deliver_messages", address)

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)

    events = [json.loads(line).get("message") for line in done.stdout.splitlines()]
    assert sorted(filter(None, events)) == ["batch.handled", "delivery.attempted", "round.opened"]


def test_warm_requests_are_timed_beside_bare_reads(address):
    """Both are timed in the same process, by processor and by wall time."""
    warm = processes.turns(address, *processes.WARM, "2", "3")

    assert {name: len(costs) for name, costs in warm.items()} == {"get": 2, "bare": 2}


def test_batches_wait_for_their_receivers(address):
    """A batch whose doorbells are dropped would be faster than its receivers."""
    arguments = ("deliver_messages", "batch", f"{HOOKED}50", "2", "1")

    batches = processes.turns(address, *arguments)

    assert {name: len(costs) for name, costs in batches.items()} == {"one": 2, "ten": 2}
    assert min(wall for costs in batches.values() for _, wall in costs) >= 0.05


def test_webhooks_are_timed(address):
    """The script fails unless all webhooks are delivered."""
    costs = json.loads(last_line(processes.webhooks(f"{address}/hook/0", 20)))

    assert {name: len(cost) for name, cost in costs.items()} == {"worker": 2, "session": 2}
