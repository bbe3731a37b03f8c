"""The whole service over the ports in memory, for tests of behaviour."""

from __future__ import annotations

from collections import defaultdict

from dispatcher.delivery import Delivery
from dispatcher.doorbells import encode
from dispatcher.resolution import Override
from dispatcher.usecases.acceptance import Acceptance
from dispatcher.usecases.configurations import Configurations
from dispatcher.usecases.delivering import Worker
from dispatcher.usecases.history import History
from dispatcher.usecases.intake import Intake
from dispatcher.usecases.rounds import Rounds
from dispatcher.usecases.sweeping import Sweeper
from tests.fakes import (
    FakeClock,
    FakeIdentities,
    MemoryDeliveries,
    MemoryDoorbells,
    MemoryJournal,
    MemoryOverrides,
    MemoryVault,
    PatientWatchdog,
    ScriptedChannel,
)

USER = "ada@example.com"


class World:
    """Holds every use case and what they stand on."""

    def __init__(self, **environ: str) -> None:
        self.environ = {"STAGE": "local", **environ}
        self.clock = FakeClock()
        self.identities = FakeIdentities()
        self.deliveries = MemoryDeliveries()
        self.overrides = MemoryOverrides()
        self.doorbells = MemoryDoorbells()
        self.vault = MemoryVault()
        self.journal = MemoryJournal()
        self.channels: dict[str, ScriptedChannel] = defaultdict(ScriptedChannel)
        self.seconds_left = 100.0
        shared = {
            "environ": self.environ,
            "retention": 90 * 86_400.0,
            "overrides": self.overrides,
            "deliveries": self.deliveries,
            "doorbells": self.doorbells,
            "clock": self.clock,
            "identities": self.identities,
            "journal": self.journal,
        }
        self.acceptance = Acceptance(**shared)
        self.rounds = Rounds(**shared)
        self.worker = Worker(
            **shared,
            vault=self.vault,
            channels=self.channels.__getitem__,
            rounds=self.rounds,
            watchdog=PatientWatchdog(),
        )
        self.configurations = Configurations(
            environ=self.environ,
            overrides=self.overrides,
            vault=self.vault,
            clock=self.clock,
            identities=self.identities,
        )
        self.history = History(deliveries=self.deliveries, clock=self.clock)
        self.intake = Intake(
            acceptance=self.acceptance, doorbells=self.doorbells, journal=self.journal
        )
        self.sweeper = Sweeper(
            deliveries=self.deliveries,
            doorbells=self.doorbells,
            clock=self.clock,
            journal=self.journal,
        )

    def override(self, integration_type: str, user_id: str = USER, **settings: object) -> None:
        """Store an override as it is, whatever a caller would be allowed."""
        by_type = dict(self.overrides.get(user_id).by_type)
        by_type[integration_type] = Override(settings, created_at=1.0, updated_at=1.0)
        version = self.overrides.get(user_id).version + 1
        self.overrides.rows[user_id] = type(self.overrides.get(user_id))(by_type, version)

    def send(self, **body: object) -> list[str]:
        """Accept a message and return the ids of its deliveries in order."""
        accepted = self.acceptance.accept(USER, {"content": "Hello", **body})
        return [one["delivery_id"] for one in accepted.answer["deliveries"]]

    def row(self, delivery_id: str) -> Delivery:
        """Return a delivery as it is stored."""
        return Delivery.of(self.deliveries.delivery(USER, delivery_id))

    def answer(self, doorbell) -> None:
        """Let the worker answer one doorbell."""
        self.worker.answer(encode(doorbell), "DeliveryQueue", lambda: self.seconds_left)

    def run(self, *, tickets: bool = False) -> None:
        """Answer all doorbells as they fall due, until none is left; tickets stay, as in life."""
        while True:
            rung = [one for one in self.doorbells.taken() if tickets or one[0] != "dead_letter"]
            if not rung:
                return
            for _, doorbell, delay in rung:
                self.clock.advance(delay)
                self.answer(doorbell)
