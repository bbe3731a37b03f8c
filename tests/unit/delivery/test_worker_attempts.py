"""An attempt: what the channel gets, and what the outcome makes of the delivery."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace

import pytest

from dispatcher.adapters.system import ThreadWatchdog
from dispatcher.configuration.rows import Secrets, UserOverrides
from dispatcher.delivery.doorbells import DeadLetter
from dispatcher.delivery.outcomes import Delivered, Permanent
from dispatcher.delivery.ports import Message
from dispatcher.delivery.rows import LogEntry
from dispatcher.errors import BrokenSettingError, UnavailableError
from dispatcher.integrations.integration import Address
from tests.visits import BUSY, NOT_FOUND, rehearse, ring_for, send, sends, slowly, visit
from tests.world import HOOK, USER

DAY = 86_400


def seal(world, secrets: dict) -> None:
    """Seal secrets in the user's WEBHOOK override."""
    override = world.overrides.get(USER).by_type["WEBHOOK"]
    sealed = world.vault.seal(USER, "WEBHOOK", secrets)
    by_type = {"WEBHOOK": replace(override, sealed=sealed)}
    world.overrides.rows[USER] = UserOverrides(by_type, 5)


# Rows ---------------------------------------------------------------------------------------------


def test_a_delivered_message(world):
    """The channel gets the whole message; the row then holds the outcome and nothing more to do."""
    body = {"subject": "For $n", "content": "Hi $n", "template_variables": {"n": "Ada"}}
    (only,) = send(world, session_id="s-1", agent_id="a-1", **body)
    accepted, delivery = world.row(only), world.delivery(only)
    world.clock.advance(2)
    rehearse(world, slowly(world, 1.25, Delivered({"message_id": "m-1"}, "accepted")))

    visit(world, only)

    start, row = accepted.created_at + 2, world.row(only)
    assert world.channels["TEST"].messages == [
        Message(
            delivery_id=only,
            request_id="r-1",
            session_id="s-1",
            agent_id="a-1",
            user_id=USER,
            integration_type="TEST",
            subject="For Ada",
            content="Hi Ada",
            config={},
            secrets={},
            address=Address("mailbox", USER),
            round=1,
            attempt=1,
            accepted_at=accepted.created_at,
            attempted_at=start,
        )
    ]
    delivered = replace(
        delivery,
        status="success",
        tries=1,
        attempts=1,
        first_attempt_at=start,
        last_attempt_at=start,
        delivered_at=start + 1.25,
        metadata={"message_id": "m-1"},
        attempt_log=(
            LogEntry(
                number=1,
                round=1,
                started_at=start,
                duration_ms=1250,
                outcome="delivered",
                code=None,
                detail="accepted",
            ),
        ),
    )
    assert row == replace(
        accepted,
        rev=row.rev,
        deliveries=(delivered,),
        last_owner=row.last_owner,
        sweep_at=None,
        ttl=accepted.keep_until,
    )
    assert row.rev != accepted.rev
    assert row.last_owner is not None
    assert world.doorbells.rung == []
    assert world.event_log.events() == ["message.accepted", "delivery.attempted"]


def test_a_delivery_that_is_retried(world):
    """It is due its delay after the end of the attempt, rung for by then, and not claimed."""
    (only,) = send(world)
    accepted, delivery = world.row(only), world.delivery(only)
    rehearse(world, slowly(world, 0.5, BUSY))

    visit(world, only)

    start, row = accepted.created_at, world.row(only)
    retried = replace(
        delivery,
        tries=1,
        attempts=1,
        due_at=start + 10.5,
        first_attempt_at=start,
        last_attempt_at=start,
        error_code="http_503",
        error_message="the receiver returned 503",
        attempt_log=(
            LogEntry(
                number=1,
                round=1,
                started_at=start,
                duration_ms=500,
                outcome="retry",
                code="http_503",
                detail="the receiver returned 503",
            ),
        ),
    )
    # sweep_at may be up to 60 s early, so it does not change.
    assert row == replace(accepted, rev=row.rev, deliveries=(retried,), last_owner=row.last_owner)
    assert world.doorbells.rung == [ring_for(world, only, 10)]


def test_the_second_attempt_is_recorded_beside_the_first(world):
    """Success clears the error of an earlier attempt; the log keeps both."""
    (only,) = send(world)
    rehearse(world, slowly(world, 0.5, BUSY))

    visit(world, only)
    first = world.delivery(only)
    world.run()

    delivery = world.delivery(only)
    second = first.first_attempt_at + 10.5
    assert delivery == replace(
        first,
        status="success",
        tries=2,
        attempts=2,
        last_attempt_at=second,
        delivered_at=second,
        error_code=None,
        error_message=None,
        metadata={"id": 2},
        attempt_log=(*first.attempt_log, delivery.attempt_log[1]),
    )
    assert [entry.code for entry in delivery.attempt_log] == ["http_503", None]
    assert [message.attempt for message in world.channels["TEST"].messages] == [1, 2]


def test_a_permanent_failure_is_final(world):
    """A permanent failure is final and gets a dead letter, because its cause may be corrected."""
    (only,) = send(world)
    accepted, delivery = world.row(only), world.delivery(only)
    rehearse(world, NOT_FOUND)

    visit(world, only)

    row, now = world.row(only), world.clock.now()
    failed = replace(
        delivery,
        status="failed",
        tries=1,
        attempts=1,
        first_attempt_at=now,
        last_attempt_at=now,
        error_code="http_404",
        error_message="the receiver returned 404",
        attempt_log=row.deliveries[0].attempt_log,
    )
    assert row == replace(
        accepted,
        rev=row.rev,
        deliveries=(failed,),
        last_owner=row.last_owner,
        sweep_at=None,
        ttl=accepted.keep_until,
    )
    assert world.doorbells.rung == [("dead_letter", DeadLetter(USER, only, 2), 0)]


@pytest.mark.parametrize(
    ("detail", "kept"),
    [
        ("x" * 299, "x" * 299),
        ("x" * 300, "x" * 300),
        ("x" * 301, "x" * 300),
        ("é" * 200, "é" * 150),
        ("x" + "é" * 200, "x" + "é" * 149),
    ],
)
def test_a_long_detail_is_cut(world, detail, kept):
    """A row keeps 300 bytes of an outcome's detail, cut at a whole character."""
    (only,) = send(world)
    rehearse(world, Permanent("http_400", detail))

    visit(world, only)

    delivery = world.delivery(only)
    assert (delivery.attempt_log[0].detail, delivery.error_message) == (kept, kept)


# Retries ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "due", "sweep", "delay"),
    [
        (None, 10, 60, 10),
        (3.0, 10, 60, 10),
        (55.5, 55.5, 60, 56),
        (60.5, 60.5, 120.5, 61),
        (900.0, 900, 960, 900),
        (900.5, 900.5, 0.5, None),
        (1e9, DAY, DAY - 900, None),
    ],
)
def test_a_receiver_may_ask_for_more_time(world, after, due, sweep, delay):
    """``Retry-After`` counts up to a day; due times beyond 900 s are left to the sweeper."""
    (only,) = send(world)
    rehearse(world, replace(BUSY, after=after))

    visit(world, only)

    now = world.clock.now()
    assert (world.delivery(only).due_at - now, world.row(only).sweep_at - now) == (due, sweep)
    assert world.doorbells.rung == ([] if delay is None else [ring_for(world, only, delay)])


@pytest.mark.parametrize("retries", [0, 1, 2, 3, 20])
def test_a_receiver_that_always_fails_gets_one_attempt_and_one_per_retry(world, retries):
    """The budget of a round is ``1 + retry_count`` attempts; then comes one dead letter."""
    world.override("TEST", enabled=True, retry_count=retries)
    (only,) = send(world)
    rehearse(world, *[BUSY] * 30)
    dead_letters = []

    visit(world, only)
    while messages := world.doorbells.taken():
        for queue, message, delay in messages:
            world.clock.advance(delay)
            if queue == "dead_letter":
                dead_letters.append(message)
            else:
                world.handle(message)

    row, delivery = world.row(only), world.delivery(only)
    assert (sends(world), delivery.attempts, delivery.tries) == (retries + 1,) * 3
    assert (delivery.status, delivery.error_code) == ("failed", "http_503")
    assert (delivery.dead_letter_owed, row.sweep_at) == (False, None)
    assert dead_letters == [DeadLetter(USER, only, 2)]


@pytest.mark.parametrize("delay", [1, 30, 900, 901, DAY])
def test_no_attempt_is_early(world, delay):
    """A retry begins at least its delay after the end of the attempt before, however rung for."""
    world.override("TEST", enabled=True, retry_count=2, retry_delay_seconds=delay)
    (only,) = send(world)
    rehearse(world, *[slowly(world, 0.75, BUSY)] * 3)

    visit(world, only)
    while world.delivery(only).status == "pending":
        due_at, sweep_at = world.delivery(only).due_at, world.row(only).sweep_at
        moments = (due_at - 0.001, due_at, sweep_at)
        world.clock.seconds = min(moment for moment in moments if moment > world.clock.now())
        world.sweeper.sweep()
        for _, message, _ in world.doorbells.taken():
            world.handle(message)

    starts = [entry.started_at for entry in world.delivery(only).attempt_log]
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert len(gaps) == 2
    assert all(delay + 0.75 <= gap <= delay + 0.75 + 60 for gap in gaps)


# Channels that fail -------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RuntimeError("token xoxb-1"), KeyError("x"), UnavailableError()])
def test_an_exception_of_a_channel_is_a_failed_attempt(world, error):
    """It is retried and logged by its name alone: its text may hold a secret."""
    (only,) = send(world)
    rehearse(world, error)

    visit(world, only)

    delivery, name = world.delivery(only), type(error).__name__
    assert (delivery.status, delivery.attempts, delivery.error_code, delivery.error_message) == (
        "pending",
        1,
        "internal_error",
        f"the TEST channel failed: {name}",
    )
    line = {
        "user_id": USER,
        "delivery_id": only,
        "request_id": "r-1",
        "integration_type": "TEST",
        "error": name,
    }
    assert ("channel.failed", line) in world.event_log.lines
    assert "xoxb" not in repr((world.event_log.lines, world.table.rows))


def test_a_broken_setting_that_a_channel_meets_is_named(world):
    """The operator reads which variable to correct; it is no fault of the channel."""
    (only,) = send(world)
    rehearse(world, BrokenSettingError("SLACK_API_URL", "is 'ä'"))

    visit(world, only)

    delivery = world.delivery(only)
    assert (delivery.error_code, delivery.error_message) == (
        "broken_setting",
        "SLACK_API_URL is 'ä'",
    )


def test_a_channel_that_cannot_be_loaded_is_a_failed_attempt(world):
    """An import error of a channel costs its own delivery an attempt, and no record."""
    (only,) = send(world)
    world.worker = replace(world.worker, channels={}.__getitem__)

    visit(world, only)

    assert world.delivery(only).error_message == "the TEST channel failed: KeyError"


class ShortWatchdog:
    """The real watchdog with a short limit."""

    def within(self, seconds, work):
        """Wait for a moment instead of the time asked for."""
        assert seconds == 10.0
        return ThreadWatchdog().within(0.05, work)


def test_the_watchdog_ends_an_attempt_after_10_seconds(world):
    """Without an outcome by then, the attempt counts as failed and is retried."""
    (only,) = send(world)
    response = threading.Event()
    rehearse(world, lambda: response.wait(10) and Delivered())
    world.worker = replace(world.worker, watchdog=ShortWatchdog())

    visit(world, only)
    response.set()

    delivery = world.delivery(only)
    assert (delivery.status, delivery.error_code, delivery.error_message) == (
        "pending",
        "timeout",
        "no outcome within 10 s",
    )


@pytest.mark.parametrize(
    ("outcome", "code"), [(Delivered(), None), (ValueError(), "internal_error")]
)
def test_the_watchdog_passes_on_what_comes_in_time(world, outcome, code):
    """The outcome or the exception of the channel arrives unchanged."""
    (only,) = send(world)
    rehearse(world, outcome)
    world.worker = replace(world.worker, watchdog=ShortWatchdog())

    visit(world, only)

    assert world.delivery(only).error_code == code


# Rendering ----------------------------------------------------------------------------------------


class RenderingChannel:
    """Renders as a function says, then delivers."""

    def __init__(self, rendering):
        self.rendering = rendering
        self.sends = 0

    def render(self, message):
        """Do what the test says."""
        self.rendering(message)
        return self.send

    def send(self):
        """Count the send."""
        self.sends += 1
        return Delivered()


def test_rendering_is_no_part_of_the_attempt(world):
    """The attempt's clock starts once the message is rendered."""
    (only,) = send(world)
    channel = RenderingChannel(lambda _: world.clock.advance(9))
    world.worker = replace(world.worker, channels=lambda _: channel)
    accepted = world.clock.now()

    visit(world, only)

    (entry,) = world.delivery(only).attempt_log
    assert (channel.sends, entry.started_at - accepted >= 9, entry.duration_ms) == (1, True, 0)


def test_a_rendering_without_end_is_given_up(world):
    """A rendering that takes 10 s is retried with another code, and no message is sent."""
    (only,) = send(world)
    released = threading.Event()
    channel = RenderingChannel(lambda _: released.wait(10))
    world.worker = replace(world.worker, channels=lambda _: channel, watchdog=ShortWatchdog())

    visit(world, only)
    released.set()

    delivery = world.delivery(only)
    assert (delivery.status, delivery.error_code, channel.sends) == (
        "pending",
        "rendering_timeout",
        0,
    )


def test_messages_are_rendered_one_at_a_time(world):
    """While one message is rendered, no other rendering of the process starts."""
    first, second = send(world)[0], send(world, request_id="r-2")[0]
    began, released, running = threading.Event(), threading.Event(), []

    def rendering(message):
        running.append(message.delivery_id)
        began.set()
        assert released.wait(10)

    channel = RenderingChannel(rendering)
    world.worker = replace(world.worker, channels=lambda _: channel, watchdog=ThreadWatchdog())
    visits = [threading.Thread(target=visit, args=(world, one)) for one in (first, second)]
    visits[0].start()
    assert began.wait(10)
    visits[1].start()
    while not world.row(second).owner:
        visits[1].join(0.01)
    before = list(running)
    released.set()
    for one in visits:
        one.join()

    assert (before, running, channel.sends) == ([first], [first, second], 2)


@pytest.mark.parametrize("error", [RuntimeError("xoxb-1"), KeyError("x")])
def test_a_rendering_that_fails_is_a_failed_attempt(world, error):
    """It costs its own delivery an attempt, and is logged by its name alone."""
    (only,) = send(world)

    def rendering(_):
        raise error

    world.worker = replace(world.worker, channels=lambda _: RenderingChannel(rendering))

    visit(world, only)

    assert world.delivery(only).error_message == f"the TEST channel failed: {type(error).__name__}"
    assert "xoxb" not in repr((world.event_log.lines, world.table.rows))


def test_a_rendering_that_uses_up_the_lease_sends_nothing(world):
    """The claim is given back: the rest of the lease is checked directly before the send."""
    (only,) = send(world)
    channel = RenderingChannel(lambda _: world.clock.advance(26))
    world.worker = replace(world.worker, channels=lambda _: channel)

    visit(world, only)

    assert (channel.sends, world.delivery(only).tries) == (0, 0)


# Secrets ------------------------------------------------------------------------------------------


def test_only_the_channel_gets_the_secrets(world):
    """The override's row shows ``***``; the message has the values and the issued secret."""
    world.webhook(config={**HOOK, "headers": {"X-Key": "***"}})
    secrets = Secrets({"headers": {"X-Key": "k-1"}}, {"signing_secret": "whsec_1"})
    seal(world, secrets.document())
    (only,) = send(world, "WEBHOOK")

    visit(world, only)

    (message,) = world.channels["WEBHOOK"].messages
    assert message.config == {**HOOK, "headers": {"X-Key": "k-1"}}
    assert message.secrets == {"signing_secret": "whsec_1"}
    assert message.address == Address("url", HOOK["url"])
    assert "k-1" not in repr((world.table.rows, world.event_log.lines))


def test_nothing_is_sent_without_its_secrets(world):
    """A key that refuses to decrypt costs an attempt, which is retried."""
    world.webhook()
    seal(world, {"issued": {"signing_secret": "s"}})
    (only,) = send(world, "WEBHOOK")
    world.vault.broken = True

    visit(world, only)
    denied = world.delivery(only)
    world.vault.broken = False
    world.run()

    assert (denied.status, denied.attempts, denied.error_code) == (
        "pending",
        1,
        "secret_unavailable",
    )
    assert (sends(world, "WEBHOOK"), world.delivery(only).status) == (1, "success")


# The line of an attempt ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        (
            Delivered({"id": "m-1"}, "accepted"),
            {"outcome": "delivered", "code": None, "detail": "accepted", "status": "success"},
        ),
        (
            BUSY,
            {"outcome": "retry", "code": "http_503", "detail": BUSY.detail, "status": "pending"},
        ),
        (
            NOT_FOUND,
            {
                "outcome": "permanent",
                "code": "http_404",
                "detail": NOT_FOUND.detail,
                "status": "failed",
            },
        ),
    ],
)
def test_one_line_of_the_log_describes_an_attempt(world, outcome, line):
    """It has the outcome, how late the attempt was, and the delivery's status after it."""
    (only,) = send(world)
    world.clock.advance(1.5)
    rehearse(world, slowly(world, 0.25, outcome))

    visit(world, only)

    assert world.event_log.lines[1:] == [
        (
            "delivery.attempted",
            {
                "user_id": USER,
                "delivery_id": only,
                "request_id": "r-1",
                "integration_type": "TEST",
                "number": 1,
                "round": 1,
                "max_attempts": 2,
                "late_ms": 1500,
                "duration_ms": 250,
                "error_code": line["code"],
                **line,
            },
        )
    ]
