"""The deployed stack with faulty AWS, dying processes and failing receivers around it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import psutil

from evidence.chaos.crash_proxy import CrashProxy
from evidence.chaos.faults import Faults
from evidence.chaos.ledger import Ledger
from evidence.chaos.reaper import Reaper
from evidence.chaos.receivers import Receivers
from evidence.chaos.seeded_random import SeededRandom
from evidence.chaos.stores import Stores
from evidence.chaos.traffic import PARAMETERS
from evidence.chaos.workers import Workers
from tools.failure import ToolFailure
from tools.local_cloud import LocalCloud
from tools.processes import LOOPBACK, free_port

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class ChaosRig:
    """A separate local cloud: functions → crash proxy → microburst → cloud, and receivers."""

    home: Path
    seed: int
    crash_share: float

    def __enter__(self) -> Self:
        """Start everything, without faults yet."""
        with ExitStack() as undo:
            proxy_port, faults_port = free_port(), free_port()
            self.cloud = LocalCloud(
                self.home,
                api_port=free_port(),
                cloud_port=free_port(),
                functions_endpoint=f"http://{LOOPBACK}:{proxy_port}",
            )
            undo.callback(self.cloud.forget)
            self.cloud.start()
            process = self.cloud.cloud.process()
            if process is None:
                raise ToolFailure(f"The local cloud has ended: {self.cloud.cloud.log}")
            self.faults = Faults(self.home, faults_port, self.cloud.cloud_port)
            undo.callback(self.faults.stop)
            self.faults.start(self.cloud.session)
            self.ledger = Ledger()
            self.seeded_random = SeededRandom(self.seed)
            self.workers = undo.enter_context(Workers(psutil.Process(process.pid)))
            self.reaper = Reaper(self.workers, self.ledger, self.seeded_random, self.crash_share)
            undo.enter_context(
                CrashProxy(proxy_port, faults_port, self.reaper, self.ledger, self.workers)
            )
            self.receivers = undo.enter_context(
                Receivers(self.seeded_random, self.reaper, self.ledger, self.workers)
            )
            self.stack = self.cloud.deploy(PARAMETERS)
            self.stores = Stores(self.cloud, self.stack)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything and delete the data; the logs stay."""
        self._undo.close()
