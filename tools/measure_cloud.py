"""A separate local cloud for one measurement, deleted afterwards."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tools import after_deploy
from tools.local_cloud import STACK, LocalCloud
from tools.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import boto3


SCHEDULE = "SweepDeliveriesFunctionEveryMinute"
"""The logical ID that SAM gives it."""


@contextmanager
def own_cloud() -> Iterator[tuple[Mapping[str, str], boto3.Session]]:
    """Run the service without other users; give its addresses and a session.

    Its schedule is gone: a measurement that wants a sweep asks for one.
    """
    with tempfile.TemporaryDirectory(prefix="measure-") as home:
        cloud = LocalCloud(Path(home), api_port=free_port(), cloud_port=free_port())
        try:
            cloud.start()
            stack = cloud.deploy({"CliDefaultEnabled": "false", "ToolDefaultEnabled": "false"})
            schedule = after_deploy.physical_ids(cloud.session, STACK)[SCHEDULE]
            cloud.session.client("scheduler").delete_schedule(Name=schedule)
            yield stack, cloud.session
        finally:
            cloud.stop()
