"""The whole service with in-memory ports, for tests of behavior."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from dispatcher.configuration.categories import PolicyCache
from dispatcher.configuration.health import Health
from dispatcher.configuration.health_changes import HealthChanges
from dispatcher.configuration.overrides import Configurations, Defaults
from dispatcher.configuration.receiver_health import PauseRules
from dispatcher.configuration.resolution import system_defaults
from dispatcher.configuration.rows import Category, Override, Preferences
from dispatcher.configuration.suppressions import Suppressions
from dispatcher.delivery import transitions
from dispatcher.delivery.doorbells import DeadLetter, Doorbell, encode
from dispatcher.delivery.feedback import Feedback
from dispatcher.delivery.holds import Holds
from dispatcher.delivery.mail_links import MailLinkWriter
from dispatcher.delivery.perform import DeliveryContext
from dispatcher.delivery.prepare import MessageBuilder
from dispatcher.delivery.receivers import Receivers
from dispatcher.delivery.redrive import Rounds
from dispatcher.delivery.replan import Replanner
from dispatcher.delivery.rows import Delivery, MessageRow, message_id_of, place_of
from dispatcher.delivery.sweeper import Sweeper
from dispatcher.delivery.worker import Worker
from dispatcher.messages.acceptance import Acceptance
from dispatcher.messages.history import History
from dispatcher.messages.intake import Intake
from dispatcher.messages.mailbox import Mailbox
from dispatcher.messages.planning import Planner
from dispatcher.messages.preview import Preview
from dispatcher.messages.requests import Requests
from tests.catalogues import switched_off
from tests.fakes import (
    FakeClock,
    FakeIdGenerator,
    FakeProbes,
    MemoryDoorbells,
    MemoryEventLog,
    MemoryOverrides,
    MemoryPolicies,
    MemoryTable,
    MemoryVault,
    PatientWatchdog,
    ScriptedChannel,
)
from tests.feedback import STACK

USER = "ada@example.com"
ZONE = "Europe/Berlin"
"""The zone of users who set none."""
HOOK = {"url": "https://hooks.example.com/x"}
ENVIRON = {"STAGE": "local"}
PAUSE_RULES = "10/43200/3600/86400/604800"
"""The template's default."""


class World:
    """All use cases with their in-memory dependencies.

    ``wrap`` inserts a wrapper (such as faults) between the use cases and a table or a queue.
    """

    def __init__(
        self, *, wrap=lambda port: port, event_log=None, publisher=None, **environ: str
    ) -> None:
        # TEST alone is on by default, so that a message is one delivery unless a test says more.
        self.environ = {
            **ENVIRON,
            **switched_off(ENVIRON, but="TEST"),
            **environ,
        }
        self.clock = FakeClock()
        self.id_generator = FakeIdGenerator()
        self.overrides = MemoryOverrides()
        self.table = MemoryTable(self.overrides)
        self.doorbells = MemoryDoorbells()
        self.vault = MemoryVault()
        self.probes = FakeProbes()
        self.event_log = event_log or MemoryEventLog()
        self.channels: dict[str, ScriptedChannel] = defaultdict(ScriptedChannel)
        self.seconds_left = 100.0
        table, doorbells = wrap(self.table), wrap(self.doorbells)
        self.context = DeliveryContext(
            messages=table,
            doorbells=doorbells,
            clock=self.clock,
            id_generator=self.id_generator,
            event_log=self.event_log,
            retention=90 * 86_400.0,
            publisher=publisher,
        )
        self._version = 0
        self.policies = MemoryPolicies()
        self.categories = PolicyCache(wrap(self.policies), self.clock.monotonic)
        users = wrap(self.overrides)
        self.holds = Holds(context=self.context, overrides=users, default_zone=ZONE)
        self.planner = Planner(
            overrides=users,
            categories=self.categories,
            system_defaults=self.system_defaults,
            environ=self.environ,
            default_zone=ZONE,
            retention=self.context.retention,
            event_log=self.event_log,
        )
        self.changes = HealthChanges(event_log=self.event_log, publisher=publisher)
        self.acceptance = Acceptance(
            context=self.context, requests=table, planner=self.planner, holds=self.holds
        )
        self.preview = Preview(planner=self.planner, clock=self.clock)
        self.replanner = Replanner(context=self.context, holds=self.holds)
        self.rounds = Rounds(
            context=self.context,
            system_defaults=self.system_defaults,
            holds=self.holds,
            environ=self.environ,
        )
        self.builder = MessageBuilder(
            environ=self.environ,
            system_defaults=self.system_defaults,
            overrides=users,
            vault=self.vault,
            clock=self.clock,
            categories=self.categories,
            holds=self.holds,
            mail_links=lambda: self.mail_links,
        )
        self.mail_links = MailLinkWriter(
            sign=lambda purpose, payload: f"{purpose}-of-{payload['u']}-until-{payload['e']}",
            public_url="https://api.example.com",
            preferences_page="",
            console=True,
            footer=True,
        )
        self.suppressions = Suppressions(
            overrides=users, clock=self.clock, id_generator=self.id_generator
        )
        self.worker = Worker(
            context=self.context,
            builder=self.builder,
            channels=self.channels.__getitem__,
            rounds=self.rounds,
            watchdog=PatientWatchdog(),
            suppressions=self.suppressions,
            receivers=Receivers(
                overrides=users,
                rules=PauseRules.parse(self.environ.get("PAUSE_RULES", PAUSE_RULES)),
                clock=self.clock,
                id_generator=self.id_generator,
                changes=self.changes,
                replanner=self.replanner,
            ),
        )
        self.sweeper = Sweeper(context=self.context)
        self.feedback = Feedback(
            context=self.context, holds=self.holds, suppressions=self.suppressions, stack=STACK
        )
        self.defaults = Defaults(system_defaults=self.system_defaults)
        self.configurations = Configurations(
            environ=self.environ,
            system_defaults=self.system_defaults,
            overrides=self.overrides,
            vault=self.vault,
            clock=self.clock,
            id_generator=self.id_generator,
            policies=lambda: self.categories,
            changes=self.changes,
            replanner=lambda: self.replanner,
        )
        self.requests = Requests(store=self.table, clock=self.clock)
        self.history = History(store=self.table, clock=self.clock)
        self.mailbox = Mailbox(store=self.table, clock=self.clock)
        self.health = Health(
            system_defaults=self.system_defaults,
            service="dispatcher",
            probes=lambda: self.probes,
            clock=self.clock,
        )
        self.intake = Intake(
            acceptance=self.acceptance, doorbells=self.doorbells, event_log=self.event_log
        )

    def system_defaults(self):
        """Compute the defaults at each call, because tests change the environment."""
        return system_defaults(self.environ)

    def override(self, integration_type: str, user_id: str = USER, **settings: object) -> None:
        """Store an override as it is, whatever a caller would be allowed."""
        stored = self.overrides.get(user_id)
        override = Override(settings, created_at=1.0, updated_at=1.0)
        self.overrides.rows[user_id] = replace(
            stored,
            by_type={**stored.by_type, integration_type: override},
            version=self._next_version(user_id),
        )

    def suppress(
        self, integration_type: str, address: str, state: str = "bounced", user_id: str = USER
    ) -> None:
        """Suppress an address of the user."""
        self.suppressions.add(
            user_id,
            integration_type,
            address,
            state=state,
            at=self.clock.now(),
            delivery_id="d-1",
            detail="",
        )

    def prefer(self, user_id: str = USER, **fields: object) -> None:
        """Store preferences as they are; without fields they are removed."""
        stored = self.overrides.get(user_id)
        preferences = Preferences(updated_at=1.0, updated_via="api", **fields) if fields else None
        new = replace(stored, preferences=preferences, version=self._next_version(user_id))
        self.overrides.rows[user_id] = new
        if new.is_empty:
            del self.overrides.rows[user_id]

    def _next_version(self, user_id: str) -> int:
        # None comes twice, not even after the row was deleted.
        self._version = max(self._version, self.overrides.get(user_id).version) + 1
        return self._version

    def category(self, name: str, **fields: object) -> None:
        """Define a category, as of now for all."""
        category = Category(name=name, title=name.title(), **fields)
        policy = self.policies.policy
        self.policies.policy = replace(
            policy, categories={**policy.categories, name: category}, version=policy.version + 1
        )
        self.clock.advance(31)

    def webhook(self, **settings: object) -> None:
        """Give the user a WEBHOOK that can be delivered to."""
        self.override("WEBHOOK", **{"enabled": True, "config": HOOK, **settings})

    def send(self, **body: object) -> list[str]:
        """Accept a message and return the IDs of its deliveries in order."""
        accepted = self.acceptance.accept(USER, {"content": "Hello", **body})
        return [delivery["delivery_id"] for delivery in accepted.response["deliveries"]]

    def row(self, delivery_id: str, user_id: str = USER) -> MessageRow:
        """Return the message row of a delivery as it is stored."""
        return self.table.message(user_id, message_id_of(delivery_id))

    def delivery(self, delivery_id: str, user_id: str = USER) -> Delivery:
        """Return a delivery as it is stored."""
        return self.row(delivery_id, user_id).deliveries[place_of(delivery_id)]

    def put(self, delivery_id: str, **fields: object) -> None:
        """Set fields of a delivery, or else of its message row, as another writer would."""
        row, place = self.row(delivery_id), place_of(delivery_id)
        deliveries = list(row.deliveries)
        of_delivery = {
            name: value for name, value in fields.items() if hasattr(row.deliveries[place], name)
        }
        of_row = {name: value for name, value in fields.items() if name not in of_delivery}
        deliveries[place] = replace(row.deliveries[place], **of_delivery)
        rev = self.id_generator.rev()
        self.table.put(replace(row, deliveries=tuple(deliveries), rev=rev, **of_row))

    def doorbell(self, delivery_id: str, due_at: float | None = None) -> Doorbell:
        """Return a doorbell for the message of a delivery, as if it was rung for now."""
        row = self.row(delivery_id)
        due = self.delivery(delivery_id).due_at if due_at is None else due_at
        return Doorbell(row.user_id, row.message_id, row.request_id, due)

    def another_claims(self, delivery_id: str) -> MessageRow:
        """Let another worker claim what is due of a message, as if it was sending now."""
        row = self.row(delivery_id)
        step = transitions.begin(row, token="another", now=self.clock.now(), retention=0.0)
        claimed = replace(step.row, rev=self.id_generator.rev())
        self.table.put(claimed)
        return claimed

    def handle(self, message: Doorbell | DeadLetter) -> None:
        """Let the worker handle one queue message."""
        self.worker.handle(encode(message), "DeliveryQueue", lambda: self.seconds_left)

    def run(self, *, dead_letters: bool = False) -> None:
        """Handle all queue messages as they fall due, until none is left.

        Dead letters stay in their queue, as in life, unless they are wanted.
        """
        while True:
            rung = [
                message
                for message in self.doorbells.taken()
                if dead_letters or message[0] != "dead_letter"
            ]
            if not rung:
                return
            for _, message, delay in rung:
                self.clock.advance(delay)
                self.handle(message)
