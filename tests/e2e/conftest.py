"""The suite's cloud: separate ports and state, so that it runs beside a `make up`."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from tests.e2e.api_session import ApiSession
from tests.e2e.system import System
from tools import after_deploy
from tools.local_cloud import STACK, LocalCloud
from tools.processes import free_port
from tools.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    import boto3


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """Return a local cloud that runs, with nothing deployed yet; each worker has one."""
    cloud = LocalCloud(
        tmp_path_factory.mktemp("cloud"), api_port=free_port(), cloud_port=free_port()
    )
    cloud.start()
    yield cloud
    # The logs stay, in pytest's temporary folder.
    cloud.forget()


@pytest.fixture(scope="session")
def stack(cloud: LocalCloud) -> dict[str, str]:
    """Return what `stack.json` holds: `api_url`, `endpoint_url` and the stack's outputs.

    TEST alone is on by default, so that a message is one delivery unless a test says more.
    """
    return cloud.deploy(
        {
            "CliDefaultEnabled": "false",
            "ToolDefaultEnabled": "false",
            "OutcomeBusName": "default",
            "Tracing": "Active",
            "RunbookUrl": "https://example.com/operations",
        }
    )


@pytest.fixture(scope="session")
def aws(cloud: LocalCloud) -> boto3.Session:
    """Return the administrator's session, whose clients talk to the suite's cloud."""
    return cloud.session


@pytest.fixture(scope="session")
def api(stack: dict[str, str]) -> Iterator[ApiSession]:
    """Return a session of requests that is bound to the API: `api.get("/health")`."""
    with ApiSession(stack["api_url"]) as session:
        yield session


@pytest.fixture(scope="session")
def system(stack: dict[str, str], api: ApiSession, aws: boto3.Session) -> System:
    """Return the deployed service with its tables, queues and functions."""
    return System(stack, api, aws, after_deploy.physical_ids(aws, STACK))


@pytest.fixture
def user() -> str:
    """Return a user whom no other test knows."""
    return f"user-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Return a webhook receiver on loopback that accepts everything, until a test says more."""
    with Receiver() as running:
        yield running
