"""Metrics: what the lines of the log count, read as CloudWatch Logs reads them."""

from __future__ import annotations

import io
import json
import logging
import uuid
from collections import Counter

import pytest
from aws_lambda_powertools import Logger

from dispatcher.adapters.event_log import StructuredEventLog, embedded
from dispatcher.delivery.outcomes import Delivered, Permanent, Retry
from dispatcher.events import EVENTS
from tests import emf
from tests.documents import rows
from tests.world import USER, World

STACK = "dispatcher-eu"
EVENT_ROWS = rows("docs/operations.md", "Log events")
BUSY = Retry("http_503", "the receiver returned 503")


class Written:
    """A event_log as functions have it, and what it has written."""

    def __init__(self, least: int = logging.INFO) -> None:
        self._stream = io.StringIO()
        logger = Logger(
            service=str(uuid.uuid4()), level="DEBUG", stream=self._stream, utc=True, location=None
        )
        self.event_log = StructuredEventLog(logger, stack=STACK, least=least)

    @property
    def lines(self) -> list[str]:
        """All lines, as they leave the function."""
        return self._stream.getvalue().splitlines()

    @property
    def metrics(self) -> list[emf.Datum]:
        """All values that CloudWatch would find in them."""
        return [datum for line in self.lines for datum in emf.metrics(line)]

    def total(self) -> dict[tuple[str, ...], float]:
        """Sum up the counts, by name and by the integration where it is known."""
        sums: Counter[tuple[str, ...]] = Counter()
        for name, dimensions, value, unit in self.metrics:
            assert dimensions.pop("stack") == STACK
            if unit == "Count":
                sums[name, *dimensions.values()] += value
        return dict(sums)

    def values(self, name: str, *dimensions: str) -> list[float]:
        """Return all values of one metric."""
        wanted = list(dimensions)
        return [
            datum.value
            for datum in self.metrics
            if datum.name == name and list(datum.dimensions.values())[1:] == wanted
        ]


@pytest.fixture
def written():
    """The event_log of one test."""
    return Written()


@pytest.fixture
def world(written):
    """A service that writes into it."""
    return World(event_log=written.event_log)


def test_an_accepted_message_counts_for_each_of_its_integrations(world, written):
    """The sum and each part: one line, whose deliveries go over several integrations."""
    world.webhook()
    world.override("CLI", enabled=True)

    world.send(request_id="r-1")
    world.send(request_id="r-2", integration_types=["TEST"])

    assert written.total() == {
        ("accepted",): 4,
        ("accepted_webhook",): 1,
        ("accepted_cli",): 1,
        ("accepted_test",): 2,
    }


def test_a_message_that_goes_nowhere_counts_nothing(world, written):
    """No zero is written that would become a metric to be paid for."""
    world.send(request_id="r-1", integration_types=["SMS"])

    assert [json.loads(line)["message"] for line in written.lines] == ["message.accepted"]
    assert written.metrics == []


def test_deliveries_count_once_when_they_end(world, written):
    """Every accepted delivery is delivered, failed or skipped in the end, and the sums agree."""
    world.webhook()
    world.channels["TEST"].outcomes = [BUSY, Delivered(), Permanent("http_404", "no")]
    world.send(request_id="r-1", integration_types=["TEST"])
    world.send(request_id="r-2", integration_types=["TEST"])
    world.send(request_id="r-3", integration_types=["WEBHOOK", "TEST"], mode="first_success")
    (called_off,) = world.send(request_id="r-4", integration_types=["TEST"], deliver_at=later())

    world.run()
    world.rounds.cancel(USER, called_off)

    total = written.total()
    assert {name: total[name] for name in total if not name[0].startswith("accepted_")} == {
        ("accepted",): 5,
        ("delivered",): 2,
        ("delivered", "TEST"): 1,
        ("delivered", "WEBHOOK"): 1,
        ("failed",): 1,
        ("failed", "TEST"): 1,
        ("skipped",): 2,
        ("skipped", "TEST"): 2,
        ("retried",): 1,
        ("retried", "TEST"): 1,
    }


def later() -> str:
    """Return a time that the world's clock does not reach by itself."""
    return "2027-01-20T00:00:00Z"


def test_an_attempt_tells_how_long_it_took_and_the_first_how_long_it_was_waited_for(world, written):
    """From its due time, as a user waits for the message; a retry's pause is not a delay."""

    def slowly():
        world.clock.advance(1.25)
        return BUSY

    world.channels["TEST"].outcomes = [slowly]
    (only,) = world.send(request_id="r-1", integration_types=["TEST"])
    world.doorbells.taken()
    world.clock.advance(3.5)

    world.handle(world.doorbell(only))
    world.run()

    assert written.values("first_attempt_age_ms") == [3500]
    assert written.values("first_attempt_age_ms", "TEST") == [3500]
    assert written.values("attempt_ms", "TEST") == [1250, 0]
    lines = [json.loads(line) for line in written.lines]
    assert [line["late_ms"] for line in lines if "late_ms" in line] == [3500, 0]


def test_what_may_have_been_sent_twice_is_counted(world, written):
    """A worker that died left a claim: the next one cannot know whether it had sent."""
    (only,) = world.send(request_id="r-1", integration_types=["TEST"])
    world.another_claims(only)
    world.clock.advance(61)

    world.handle(world.doorbell(only))

    assert written.total()["duplicate_risk",] == 1


def test_parked_messages_are_counted(world, written):
    """From whichever queue they came."""
    world.worker.handle("{}", "RetryQueue", lambda: 100.0)
    world.intake.take("{}", "id-1")

    assert written.total() == {("parked",): 2}


def test_callers_who_are_refused_and_those_who_cannot_be_checked_count_apart(written):
    """The first is the caller's fault, the second makes every call fail."""
    written.event_log.emit("caller.rejected", reason="the token has expired")
    written.event_log.emit("caller.unchecked", error="UnavailableError")
    written.event_log.emit("caller.authenticated", caller="key:agent")

    assert written.total() == {("callers_refused",): 1, ("callers_unchecked",): 1}


def test_a_sweep_tells_how_late_the_latest_delivery_is(world, written):
    """The number that shows first that the service does not keep up."""
    world.send(request_id="r-1", integration_types=["TEST"])
    world.clock.advance(400)

    world.sweeper.sweep()

    assert written.values("oldest_due_seconds") == [400]
    assert written.total()["whole_sweeps",] == 1


def test_a_sweep_with_faults_does_not_count_as_one(world, written):
    """It did not see all rows, or could not ring: the alarm must hear its silence."""
    world.send(request_id="r-1", integration_types=["TEST"])
    world.clock.advance(400)
    world.doorbells.broken = True

    world.sweeper.sweep()

    assert written.values("oldest_due_seconds") == [400]
    assert ("whole_sweeps",) not in written.total()


def test_metrics_do_not_vanish_with_the_log_level():
    """An operator who logs less still needs alarms; lines without a metric are left out."""
    written = Written(least=logging.ERROR)
    world = World(event_log=written.event_log)

    world.send(request_id="r-1", integration_types=["TEST"])
    written.event_log.emit("batch.handled", source="RetryQueue", records=1, failed=0)
    written.event_log.emit("doorbell.lost", user_id=USER)

    lines = [json.loads(line) for line in written.lines]
    assert [(line["level"], line["message"]) for line in lines] == [("INFO", "message.accepted")]


@pytest.mark.parametrize(
    ("event", "level", "status", "written_at"),
    [
        *((cells[0].strip("`"), cells[1], 200, cells[1].split(",")[0]) for cells in EVENT_ROWS),
        ("request.handled", "INFO, WARNING if 5xx", 499, "INFO"),
        ("request.handled", "INFO, WARNING if 5xx", 500, "WARNING"),
    ],
)
def test_a_line_has_the_level_that_the_page_documents(written, event, level, status, written_at):
    """Every event is written at its documented level, and for 5xx at the higher one."""
    fields = {**dict.fromkeys(EVENTS[event].fields, 0), "deliveries": {}, "status": status}

    written.event_log.emit(event, **fields)

    [line] = map(json.loads, written.lines)
    assert (line["message"], line["level"]) == (event, written_at)
    assert EVENTS[event].level == level


def test_a_line_is_counted_by_stack_and_integration_alone(world, written):
    """Every other value (a user, an ID) would create a separate metric, and cost."""
    world.send(request_id="r-1")
    world.run()
    world.sweeper.sweep()

    kept_by = {tuple(datum.dimensions) for datum in written.metrics}

    assert kept_by == {("stack",), ("stack", "integration_type")}


def test_a_metric_hides_no_field_of_its_line():
    """It is beside the fields: only the sweep's number is both, and unchanged."""
    world = World()
    world.send(request_id="r-1")
    world.run()
    world.sweeper.sweep()

    both = {
        name
        for event, fields in world.event_log.lines
        for _, name, _ in EVENTS[event].values(fields)
        if name in fields
    }

    assert both == {"oldest_due_seconds"}


def test_a_line_that_counts_nothing_stays_as_it_is():
    """Neither an event without metrics, nor one whose metrics have nothing to say."""
    lines = [
        embedded("request.handled", {"status": 200}, stack=STACK, now=1.0),
        embedded("delivery.ended", {"status": "pending"}, stack=STACK, now=1.0),
    ]

    assert lines == [{}, {}]
