"""What `make bench` measures can be measured: each process runs to its end, once."""

from __future__ import annotations

import json
import sys

import pytest

from bench import artifacts, cold
from bench.processes import fake_server, last_line, timed
from bench.rows import CONTENT, HOOKED, SUBJECT
from tools.build import build
from tools.paths import ROOT


@pytest.fixture(scope="module")
def address():
    """Return the address of fake AWS and receivers, for what is built."""
    build()
    with fake_server() as address:
        yield address


def test_every_function_answers_its_sample(address):
    """A start that ends with a refusal is none that may be measured."""
    measured = [
        name
        for name, parts in artifacts.functions().items()
        if parts["is_api"] or name in {"authorize_request", "deliver_messages"}
    ]

    assert len(measured) > 20
    for name in measured:
        assert timed(cold.start_of(name, address)).cpu > 0, name


def test_warm_requests_and_batches_are_timed(address):
    """By processor and wall time, each beside what it is compared with."""
    sample = str(ROOT / "events" / "get_effective_configuration.json")
    path = artifacts.search_path("get_effective_configuration")
    warm = json.loads(
        last_line((artifacts.isolated(path, "warm", sample), artifacts.settings(address)))
    )
    path = artifacts.search_path("deliver_messages")
    batch = artifacts.isolated(path, "batch", f"{HOOKED}1", "2")
    batches = json.loads(last_line((batch, artifacts.settings(address))))

    assert {name: len(costs) for name, costs in warm.items()} == {"get": 2, "bare": 2}
    assert {name: len(costs) for name, costs in batches.items()} == {"one": 2, "ten": 2}


@pytest.mark.parametrize("script", ["worker", "session"])
def test_webhooks_are_timed(address, script, tmp_path):
    """All of them delivered, or the script fails."""
    content = tmp_path / "content.json"
    content.write_text(json.dumps({"subject": SUBJECT, "content": CONTENT}))
    command = [sys.executable, str(ROOT / "bench" / "inside" / f"{script}.py")]
    environment = {"CONTENT": str(content), "PYTHONPATH": str(ROOT)}

    cost = json.loads(last_line(([*command, f"{address}/hook/0", "20"], environment)))

    assert len(cost) == 2
