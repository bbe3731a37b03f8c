"""Settings that a local cloud refuses before it starts anything."""

from __future__ import annotations

import os
import sys

import pytest

from tests.fuzz_api import service_url
from tools.cloud import chosen_cloud, running_cloud
from tools.failure import ToolFailure, complaint
from tools.local_cloud import LocalCloud
from tools.paths import ports_file
from tools.processes import free_port

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def cloud(tmp_path):
    """A cloud that is left stopped."""
    one = LocalCloud(tmp_path, api_port=free_port(), cloud_port=free_port())
    yield one
    one.stop()


@pytest.mark.parametrize(
    ("part", "variable", "what"),
    [("proxy", "PORT", "service"), ("cloud", "GATEWAY_PORT", "local cloud")],
)
def test_a_service_that_runs_elsewhere_is_not_replaced(cloud, part, variable, what):
    """Another port may have other data: the person says that it is to move."""
    running = getattr(cloud, part)
    running.start(SLEEP, {variable: "8380"})

    with pytest.raises(ToolFailure) as failure:
        cloud.start()

    assert str(failure.value) == (
        f"The {what} runs at http://localhost:8380. To move it: make down first; "
        "each CLOUD_PORT has data of its own."
    )
    assert running.process() is not None


def test_what_sam_complains_of_is_shown_alone():
    """Its log before that is how it got there; except the reasons of failed resources."""
    way = "\tDeploying with following values\n\tStack name : local\n"
    error = "Error: Failed to create changeset for the stack: local\nMail needs a sender"

    refused = complaint(f"{way}\n{error}\n")
    failed = complaint(f"{way}CREATE_FAILED  AWS::SQS::Queue\n{error}\n")

    assert refused == error
    assert failed == f"{way}CREATE_FAILED  AWS::SQS::Queue\n{error}"


def test_the_ports_of_the_last_start_are_used_by_every_command(tmp_path, monkeypatch):
    """The settings of `make up` hold for later commands, also after `make down`."""
    monkeypatch.setenv("CLOUD_HOME", str(tmp_path))
    for variable in ("PORT", "CLOUD_PORT", "URL"):
        monkeypatch.delenv(variable, raising=False)
    usual = chosen_cloud()
    ports_file(tmp_path).write_text('{"PORT": 8390, "CLOUD_PORT": 4690}')

    assert (usual.api_port, usual.cloud_port) == (8080, 4566)
    for cloud in (chosen_cloud(), running_cloud()):
        assert (cloud.home, cloud.api_port, cloud.cloud_port) == (tmp_path, 8390, 4690)
    assert service_url(os.environ) == "http://localhost:8390"


def test_only_a_start_accepts_other_ports(tmp_path, monkeypatch):
    """`make down`, `status` and `logs` would report a service that does not exist."""
    monkeypatch.setenv("CLOUD_HOME", str(tmp_path))
    monkeypatch.setenv("PORT", "8390")
    monkeypatch.setenv("CLOUD_PORT", "4691")
    ports_file(tmp_path).write_text('{"PORT": 8390, "CLOUD_PORT": 4690}')

    assert chosen_cloud().cloud_port == 4691
    with pytest.raises(ToolFailure) as failure:
        running_cloud()
    assert str(failure.value) == (
        f"CLOUD_PORT=4691: the service in {tmp_path} has CLOUD_PORT=4690. "
        "Leave CLOUD_PORT out; for another service, give its CLOUD_HOME."
    )


def test_the_ports_of_a_running_service_come_first(cloud):
    """The processes know their ports, whatever an edited or missing file says."""
    cloud.proxy.start(SLEEP, {"PORT": "8390"})

    last = LocalCloud.last_of(cloud.home)

    assert (last.api_port, last.cloud_port) == (8390, 4566)


def test_a_start_stores_its_ports_and_clean_forgets_them(cloud, monkeypatch):
    """They are stored once the ports are known to be free, before anything is started."""
    monkeypatch.setattr("tools.local_cloud.CLOUD", [sys.executable, "-c", "raise SystemExit"])

    with pytest.raises(ToolFailure):
        cloud.start()
    last = LocalCloud.last_of(cloud.home)
    cloud.forget()

    assert (last.api_port, last.cloud_port) == (cloud.api_port, cloud.cloud_port)
    assert not ports_file(cloud.home).exists()
