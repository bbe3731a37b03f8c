"""The promises of delivery under random faults, in virtual time.

Queues double, delay and shuffle; tables and queues throttle, or lose an answer after the effect;
workers crash or stall in a send and meet each other there; people cancel, retry and redrive. The
sweeper runs each minute. ``docs/architecture.md`` tells the protocol that holds all this.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter, defaultdict

import pytest

from dispatcher.delivery import Delivery
from dispatcher.doorbells import Ticket, encode
from dispatcher.errors import ConflictError, UnavailableError
from dispatcher.outcomes import Delivered, Permanent, Retry
from dispatcher.protocol import NO_TICKET
from tests.fakes import Faulty
from tests.world import USER, World

CALLS = ("get", "apply", "commit", "ring", "ring_retry", "leave_ticket", "open")
VISIBILITY = 720
INVOCATION = 120
HOUR = 3600


class CrashError(BaseException):
    """The process of a worker ended here."""


class Cloud:
    """One random scenario."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.world = World(wrap=lambda port: Faulty(port, self.fate, *CALLS))
        self.begin = self.world.clock.now()
        self.faults_end = self.begin + self.random.choice([0, 600, 2 * HOUR])
        self.rate = self.random.choice([0.05, 0.3])
        self.crash_rate = self.random.choice([0.0, 0.03, 0.15])
        self.stall_rate = self.random.choice([0.0, 0.0, 0.1])
        self.queue: list[tuple[float, int, object]] = []
        self.count = itertools.count()
        self.depth = 0
        self.sends = defaultdict(list)
        self.firsts = defaultdict(list)
        self.excused = Counter()
        self.tickets: set[Ticket] = set()
        self.broken: list[str] = []
        self.ids: list[str] = []
        for name in ("TEST", "WEBHOOK"):
            self.world.channels[name] = self
            self.world.override(
                name,
                enabled=True,
                priority=self.random.randint(1, 3),
                retry_count=self.random.choice([0, 1, 3]),
                retry_delay_seconds=self.random.choice([1, 30, 900, 901, HOUR]),
                config={"url": "https://hooks.example.com/x"} if name == "WEBHOOK" else {},
            )
        self.world.override("SMS", enabled=True, config={"phone_number": "+14155552671"})

    # The world ------------------------------------------------------------------------------------

    @property
    def faulty(self) -> bool:
        """Tell whether things still go wrong."""
        return self.world.clock.now() < self.faults_end

    def fate(self, _name: str) -> str:
        """Say what becomes of a call, and how long it takes."""
        if not self.faulty or self.random.random() > self.rate:
            return ""
        fate = self.random.choice(["throttled", "lost", "repeated"])
        self.world.clock.advance({"throttled": 0.7, "lost": 9.0, "repeated": 3.0}[fate])
        return fate

    def hold(self, promise: bool, broken: str) -> None:  # noqa: FBT001 - the promise itself
        """Note a broken promise: raised here, it would be taken for a failed attempt."""
        if not promise:
            self.broken.append(broken)

    def deliver(self, message):
        """Be the receiver: hold the promises that hold at a send, then come to something."""
        row = self.world.row(message.delivery_id)
        now, key = self.world.clock.now(), (message.delivery_id, message.round)
        self.hold(row.status == "pending", "sent after its end")
        self.hold(now >= row.due_at, "sent before it was due")
        ends = [end for end, outcome in self.sends[key] if isinstance(outcome, Retry)]
        if ends and not self.excused[key]:
            self.hold(now >= ends[-1] + row.retry_delay_seconds, "sent before its delay was over")
        if message.round == 1 and not self.sends[key]:
            self.firsts[message.request_id].append(message.delivery_id)
        if self.random.random() < 0.1:
            self.something_else()
        self.world.clock.advance(self.random.choice([0.2, 2.0, 10.0]))
        outcome = self.random.choice(
            [Delivered(), Delivered(), Retry("http_503", "busy"), Permanent("http_404", "no")]
        )
        self.sends[key].append((self.world.clock.now(), outcome))
        if self.faulty and self.random.random() < self.stall_rate:
            self.excused[key] += 1
            self.world.clock.advance(self.random.uniform(70, 800))
            self.something_else()
        if self.faulty and self.random.random() < self.crash_rate:
            self.excused[key] += 1
            raise CrashError
        return outcome

    def something_else(self) -> None:
        """Let others act in the middle of a send."""
        if self.depth < 2:
            self.depth += 1
            self.random.choice([self.person, self.world.sweeper.sweep, self.work])()
            self.depth -= 1

    # What happens ---------------------------------------------------------------------------------

    def accept(self, number: int) -> None:
        """Ask until there is an answer, and now and then once more."""
        ahead = self.random.choice([None, None, 45, 2000])
        body = {
            "request_id": f"r-{number}",
            "content": "x",
            "mode": self.random.choice(["all", "first_success"]),
            "integration_types": self.random.choice(
                [["TEST"], ["TEST", "WEBHOOK"], ["SMS", "TEST", "WEBHOOK"]]
            ),
        }
        if ahead:
            body["deliver_at"] = f"2027-01-15T{8 + ahead // HOUR:02}:{ahead % HOUR // 60:02}:00Z"
        answers = []
        while not answers or self.random.random() < 0.3:
            try:
                answers.append(self.world.acceptance.accept(USER, body).answer)
            except UnavailableError:
                continue
        assert all(answer == answers[0] for answer in answers)
        self.ids += [one["delivery_id"] for one in answers[0]["deliveries"]]

    def person(self) -> None:
        """Cancel, retry or redrive."""
        delivery_id = self.random.choice(self.ids)
        try:
            match self.random.randrange(3):
                case 0:
                    self.world.rounds.cancel(USER, delivery_id)
                case 1:
                    self.world.rounds.retry(USER, delivery_id)
                case 2 if self.tickets:
                    self.put(0, self.random.choice(sorted(self.tickets, key=repr)))
        except (ConflictError, UnavailableError):
            pass

    def put(self, delay: float, doorbell: object) -> None:
        """Queue a message, late by a moment or by a while, once or twice."""
        for _ in range(self.random.choice([1, 1, 1, 2])):
            late = self.random.choice([0.0, 0.1, 20.0])
            due = self.world.clock.now() + delay + late
            heapq.heappush(self.queue, (due, next(self.count), doorbell))

    def collect(self) -> None:
        """Move what was rung into the queue; lose some of it while things go wrong."""
        for name, doorbell, delay in self.world.doorbells.taken():
            if name == "dead_letter":
                self.tickets.add(doorbell)
            elif not (self.faulty and self.random.random() < 0.1):
                self.put(delay, doorbell)

    def work(self) -> None:
        """Answer the doorbell that is due; what fails or crashes comes back later."""
        self.collect()
        if not self.queue or self.queue[0][0] > self.world.clock.now():
            return
        _, _, doorbell = heapq.heappop(self.queue)
        end = self.world.clock.now() + INVOCATION
        worker, clock = self.world.worker, self.world.clock
        try:
            worker.answer(encode(doorbell), "DeliveryQueue", lambda: end - clock.now())
        except (UnavailableError, CrashError):
            due = self.world.clock.now() + VISIBILITY
            heapq.heappush(self.queue, (due, next(self.count), doorbell))
        self.collect()

    def run(self) -> None:
        """Go on until nothing is owed, or for so long that something must be wrong."""
        for number in range(self.random.choice([1, 3, 6])):
            self.accept(number)
        minute = self.begin
        while self.world.clock.now() < self.begin + 30 * HOUR:
            self.collect()
            next_bell = self.queue[0][0] if self.queue else minute
            self.world.clock.seconds = max(self.world.clock.seconds, min(next_bell, minute))
            if self.world.clock.now() >= minute:
                self.world.sweeper.sweep()
                minute = self.world.clock.now() + 60
                if self.faulty and self.random.random() < 0.2:
                    self.person()
            self.work()
            if not self.faulty and not self.owed():
                return

    def rows(self) -> list[Delivery]:
        """Return all deliveries that were written."""
        return [
            Delivery.of(row)
            for key, row in self.world.deliveries.rows.items()
            if key[1].startswith("DELIVERY#")
        ]

    def owed(self) -> bool:
        """Tell whether anything is pending, or a ticket owed."""
        return any(row.status == "pending" or row.sweep_at is not None for row in self.rows())


@pytest.mark.parametrize("seed", range(40))
def test_the_promises_hold_under_faults(seed):
    """Nothing is lost, the budget holds, nobody overtakes, tickets are never missing."""
    cloud = Cloud(seed)

    cloud.run()

    rows = {row.delivery_id: row for row in cloud.rows()}
    assert cloud.broken == []
    assert set(cloud.ids) <= set(rows)
    assert {row.status for row in rows.values()} <= {"success", "failed", "skipped"}
    for row in rows.values():
        assert (row.owner, row.sweep_at, row.ticket_owed, row.waits) == (None, None, False, False)
        assert row.attempts <= row.max_attempts
        assert row.tries <= row.max_attempts + 3
        owes = row.status == "failed" and row.error_code not in NO_TICKET
        assert not owes or Ticket(USER, row.delivery_id, row.round + 1) in cloud.tickets
    for key, sends in cloud.sends.items():
        assert len(sends) <= rows[key[0]].max_attempts + 3
        successes = sum(isinstance(outcome, Delivered) for _, outcome in sends)
        assert successes <= 1 + cloud.excused[key]
    for delivered in cloud.firsts.values() if not cloud.stall_rate else ():
        assert delivered == sorted(delivered), "a lower priority overtook a first try"
    chains = defaultdict(list)
    for row in rows.values():
        chains[row.chain or row.delivery_id].append(row.status)
    assert all(statuses.count("success") <= 1 for statuses in chains.values())
