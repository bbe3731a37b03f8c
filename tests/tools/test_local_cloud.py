"""What a local cloud refuses before it starts anything."""

from __future__ import annotations

import sys

import pytest

from tools.failure import ToolFailure
from tools.local_cloud import LocalCloud, complaint
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
    """Its log before that is how it got there; but for why single resources failed."""
    way = "\tDeploying with following values\n\tStack name : local\n"
    error = "Error: Failed to create changeset for the stack: local\nMail needs a sender"

    refused = complaint(f"{way}\n{error}\n")
    failed = complaint(f"{way}CREATE_FAILED  AWS::SQS::Queue\n{error}\n")

    assert refused == error
    assert failed == f"{way}CREATE_FAILED  AWS::SQS::Queue\n{error}"
