"""The whole service over the ports in memory, for tests of behaviour."""

from __future__ import annotations

from collections import defaultdict

from dispatcher.configuration.health import Health
from dispatcher.configuration.overrides import Configurations, Defaults
from dispatcher.configuration.resolution import Override, UserOverrides, system_defaults
from dispatcher.delivery import protocol
from dispatcher.delivery.doorbells import encode
from dispatcher.delivery.redrive import Rounds
from dispatcher.delivery.rows import REQUEST, Delivery
from dispatcher.delivery.sweeper import Sweeper
from dispatcher.delivery.worker import Worker
from dispatcher.messages.acceptance import Acceptance
from dispatcher.messages.history import History
from dispatcher.messages.intake import Intake
from tests.fakes import (
    FakeClock,
    FakeIdGenerator,
    FakeProbes,
    MemoryDeliveries,
    MemoryDoorbells,
    MemoryEventLog,
    MemoryOverrides,
    MemoryVault,
    PatientWatchdog,
    ScriptedChannel,
)

USER = "ada@example.com"
HOOK = {"url": "https://hooks.example.com/x"}


class World:
    """Holds every use case and what they stand on.

    ``wrap`` puts something (faults, say) between the use cases and a table or a queue.
    """

    def __init__(
        self, *, wrap=lambda port: port, event_log=None, outcomes=None, **environ: str
    ) -> None:
        # TEST alone is on by default, so that a message is one delivery unless a test says more.
        self.environ = {
            "STAGE": "local",
            "INTEGRATION_DEFAULTS_CLI_ENABLED": "false",
            **environ,
        }
        self.clock = FakeClock()
        self.id_generator = FakeIdGenerator()
        self.deliveries = MemoryDeliveries()
        self.overrides = MemoryOverrides()
        self.doorbells = MemoryDoorbells()
        self.vault = MemoryVault()
        self.probes = FakeProbes()
        self.event_log = event_log or MemoryEventLog()
        self.channels: dict[str, ScriptedChannel] = defaultdict(ScriptedChannel)
        self.seconds_left = 100.0
        shared = {
            "environ": self.environ,
            "system_defaults": self.system_defaults,
            "retention": 90 * 86_400.0,
            "overrides": self.overrides,
            "deliveries": wrap(self.deliveries),
            "doorbells": wrap(self.doorbells),
            "clock": self.clock,
            "id_generator": self.id_generator,
            "event_log": self.event_log,
        }
        self.acceptance = Acceptance(**shared)
        self.rounds = Rounds(**shared, outcomes=outcomes)
        self.worker = Worker(
            **shared,
            outcomes=outcomes,
            vault=self.vault,
            channels=self.channels.__getitem__,
            rounds=self.rounds,
            watchdog=PatientWatchdog(),
        )
        self.defaults = Defaults(system_defaults=self.system_defaults)
        self.configurations = Configurations(
            environ=self.environ,
            system_defaults=self.system_defaults,
            overrides=self.overrides,
            vault=self.vault,
            clock=self.clock,
            id_generator=self.id_generator,
        )
        self.history = History(deliveries=self.deliveries, clock=self.clock)
        self.health = Health(
            system_defaults=self.system_defaults,
            service="dispatcher",
            probes=self.probes,
            clock=self.clock,
        )
        self.intake = Intake(
            acceptance=self.acceptance, doorbells=self.doorbells, event_log=self.event_log
        )
        self.sweeper = Sweeper(
            deliveries=shared["deliveries"],
            doorbells=shared["doorbells"],
            clock=self.clock,
            event_log=self.event_log,
        )

    def system_defaults(self):
        """Work the defaults out anew each time: tests change the environment."""
        return system_defaults(self.environ)

    def override(self, integration_type: str, user_id: str = USER, **settings: object) -> None:
        """Store an override as it is, whatever a caller would be allowed."""
        by_type = dict(self.overrides.get(user_id).by_type)
        by_type[integration_type] = Override(settings, created_at=1.0, updated_at=1.0)
        version = self.overrides.get(user_id).version + 1
        self.overrides.rows[user_id] = UserOverrides(by_type, version)

    def webhook(self, **settings: object) -> None:
        """Give the user a WEBHOOK that can be delivered to."""
        self.override("WEBHOOK", **{"enabled": True, "config": HOOK, **settings})

    def send(self, **body: object) -> list[str]:
        """Accept a message and return the ids of its deliveries in order."""
        accepted = self.acceptance.accept(USER, {"content": "Hello", **body})
        return [one["delivery_id"] for one in accepted.answer["deliveries"]]

    def row(self, delivery_id: str) -> Delivery:
        """Return a delivery as it is stored."""
        return Delivery.of(self.deliveries.delivery(USER, delivery_id))

    def request(self, request_id: str, user_id: str = USER):
        """Return a request's row as it is stored."""
        return self.deliveries.get((user_id, REQUEST + request_id))

    def put(self, delivery_id: str, **fields: object) -> None:
        """Set fields of a delivery's row as they are."""
        key = protocol.key_of(USER, delivery_id)
        self.deliveries.apply(key, protocol.Change(when=(), set=fields))

    def another_claims(self, delivery_id: str) -> Delivery:
        """Let another worker claim a delivery, as if it was sending now."""
        key = protocol.key_of(USER, delivery_id)
        change = protocol.claim("another", self.clock.now())
        return Delivery.of(self.deliveries.apply(key, change))

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
