"""The one loop that writes message rows: refusals, lost responses, repeats, rings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import pytest

from dispatcher.delivery import perform, transitions
from dispatcher.delivery.doorbells import DeadLetter, Doorbell
from dispatcher.delivery.outcomes import Delivered, Permanent, Retry
from dispatcher.delivery.perform import DeliveryContext
from dispatcher.delivery.rows import PlannedDelivery, RequestRow
from dispatcher.delivery.transitions import (
    Attempted,
    CancelDenied,
    ClaimDenied,
    Ending,
    GivenBack,
    RetryPolicy,
    SettleDenied,
    Step,
)
from dispatcher.errors import NotFoundError, UnavailableError
from dispatcher.integrations.integration import Recipient
from tests.fakes import FakeClock, FakeIdGenerator, MemoryDoorbells, MemoryEventLog, MemoryTable
from tests.rows import (
    DELIVERY,
    FAILED,
    ID_1,
    ID_2,
    MESSAGE_ID,
    NOW,
    SOON,
    SUCCESS,
    changed,
    claimed,
    message,
)

RETENTION = 90 * 86_400.0
IDS = {
    "user_id": "ada",
    "delivery_id": ID_1,
    "request_id": "r-1",
    "integration_type": "WEBHOOK",
}
WAKE = Doorbell("ada", MESSAGE_ID, "r-1", NOW - 7)


class ScriptedTable(MemoryTable):
    """A table in which something happens at each write; afterwards writes simply succeed.

    ``writes`` holds each row that was to be written, with its time.
    """

    def __init__(self, clock) -> None:
        super().__init__(overrides=None)
        self.clock = clock
        self.acts: list = []
        self.writes: list = []

    def write(self, row, *, on):
        """Let the next act decide what becomes of a write."""
        self.writes.append((round(self.clock.seconds - NOW, 3), row))
        act = self.acts.pop(0) if self.acts else succeeds
        return act(self, partial(super().write, row, on=on))

    def others_write(self, **fields):
        """Change the row as another process would."""
        [row] = self.messages()
        row = replace(row, **fields, rev=f"other-{len(self.writes)}".encode())
        self.put(row)
        return row

    @property
    def stored(self):
        """Return the one row that is stored."""
        [row] = self.messages()
        return row


# Possible results of a write.


def succeeds(table, write):
    """Write and return the response."""
    return write()


def throttled(table, write):
    """Fail without an effect."""
    raise UnavailableError("UpdateItem was throttled: rehearsed")


def lost(table, write):
    """Fail after the effect."""
    write()
    raise UnavailableError("the response of UpdateItem was lost: rehearsed")


def repeated(table, write):
    """Lose the response, so that the SDK writes again and is refused by its own row."""
    write()
    return write()


def refused(**fields):
    """Let another process write first."""

    def act(table, write):
        table.others_write(**fields)
        return write()

    return act


def overtaken(**fields):
    """Let another process write between the effect and the SDK's second attempt."""

    def act(table, write):
        write()
        table.others_write(**fields)
        return write()

    return act


def gone(table, write):
    """Let DynamoDB delete the row first."""
    table.rows.clear()
    return write()


@dataclass
class Listener:
    """Keeps what is published, unless it is broken."""

    ends: list
    broken: bool = False

    def publish(self, row, place):
        """Keep a delivery's end."""
        if self.broken:
            raise UnavailableError("PutEvents failed: rehearsed")
        self.ends.append((row, place))


@pytest.fixture
def clock():
    """A clock that only pauses and tests move."""
    return FakeClock(NOW)


@pytest.fixture
def table(clock):
    """A table whose writes may go wrong."""
    return ScriptedTable(clock)


@pytest.fixture
def context(table, clock):
    """The ports that every change of a row needs, in memory."""
    return DeliveryContext(
        messages=table,
        doorbells=MemoryDoorbells(),
        clock=clock,
        id_generator=FakeIdGenerator(),
        event_log=MemoryEventLog(),
        retention=RETENTION,
    )


@pytest.fixture
def run(context, table):
    """Store a row and perform a transition on it."""

    def run(row, transition, *acts):
        table.put(row)
        table.acts = list(acts)
        return perform.perform(context, row, transition)

    return run


def cancel(row):
    """Cancel the first delivery."""
    return transitions.cancel(row, 0, now=NOW, retention=RETENTION)


def begin(row, token="mine"):
    """Claim what is due."""
    return transitions.begin(row, token=token, now=NOW, retention=RETENTION)


def end(row, next_token=None):
    """Record a success."""
    done = Attempted(Delivered(), NOW - 3, 1.0)
    return transitions.settle(
        row, "mine", done, now=NOW, retention=RETENTION, next_token=next_token
    )


def reopen(row):
    """Begin round 2 of the first delivery."""
    return transitions.reopen(
        row, 0, round_number=1, policy=RetryPolicy(2, 30), token="caller", now=NOW
    )


# Read, compute, write -----------------------------------------------------------------------------


def test_a_step_is_written_under_a_fresh_rev(run, context, table):
    """The successor is stored as computed, and its events are logged with the delivery's IDs."""
    step, row = run(message(), cancel)

    assert step == cancel(message())
    assert row == table.stored == replace(step.row, rev=row.rev)
    assert row.rev != message().rev
    assert len(row.rev) == 8
    assert context.event_log.lines == [("delivery.cancelled", IDS)]


def test_the_fields_of_an_event_are_logged(run, context):
    """A log line has the fields of its event and the IDs of the event's delivery."""
    run(message(SUCCESS, FAILED), lambda row: transitions.reopen(
        row, 1, round_number=1, policy=RetryPolicy(2, 30), token="caller", now=NOW
    ))  # fmt: skip

    assert context.event_log.lines == [("round.opened", {**IDS, "delivery_id": ID_2, "round": 2})]


def test_a_transition_that_does_not_apply_writes_nothing(run, context, table):
    """A transition that does not apply returns its reason and the row, and writes nothing."""
    assert run(message(SUCCESS), cancel) == (CancelDenied.ENDED, message(SUCCESS))
    assert (table.writes, context.event_log.lines) == ([], [])


def test_a_refused_step_is_computed_again_on_the_row_that_refused_it(run, context, table):
    """A refused step is computed again under a fresh rev, so both changes are kept."""
    step, row = run(message(), cancel, refused(rings=1), refused(rings=2, sweep_at=NOW + 9))
    revs = [written.rev for _, written in table.writes]

    assert step == cancel(message(rings=2, sweep_at=NOW + 9, rev=b"other-2"))
    assert row == table.stored == replace(step.row, rev=row.rev)
    assert row.rings == 2
    assert len(set(revs)) == len(table.writes) == 3
    assert context.event_log.events() == ["delivery.cancelled"]


def test_a_refusing_row_may_deny_the_step(run, context, table):
    """A step that no longer applies to the refusing row returns the reason and that row."""
    other = claimed(message(), owner="other")
    denied, row = run(message(), begin, refused(owner="other", lease_until=NOW + 1, current=0))

    assert denied is ClaimDenied.LIVE
    assert row == table.stored
    assert (row.owner, row.deliveries) == (other.owner, other.deliveries)
    assert context.event_log.lines == []


@pytest.mark.parametrize(("refusals", "fails"), [(9, False), (10, True)])
def test_ten_refusals_in_a_row_are_a_failed_call(run, context, table, refusals, fails):
    """Ten refusals in a row raise an error, and no event is logged."""
    acts = [refused() for _ in range(refusals)]

    if fails:
        with pytest.raises(
            UnavailableError, match=r"^the message row was changed by others 10 times in a row$"
        ):
            run(message(), cancel, *acts)
    else:
        run(message(), cancel, *acts)

    assert len(table.writes) == 10
    assert context.event_log.events() == ([] if fails else ["delivery.cancelled"])


def test_a_row_that_is_gone_is_not_found(run):
    """A row that is gone raises an error that names the message."""
    with pytest.raises(NotFoundError, match=rf"^The message {MESSAGE_ID} is no longer stored\.$"):
        run(message(), cancel, gone)


@pytest.mark.parametrize("fate", [throttled, lost])
def test_a_failed_call_is_not_repeated(run, table, fate):
    """``perform`` does not repeat a failed call: the SDK has tried three times."""
    with pytest.raises(UnavailableError, match="rehearsed"):
        run(message(), cancel, fate)

    assert len(table.writes) == 1


# Lost responses -----------------------------------------------------------------------------------


@pytest.mark.parametrize("transition", [cancel, begin])
def test_a_lost_response_is_recognized_by_its_rev(run, context, table, transition):
    """The row that refuses the SDK's second attempt is the one that was written."""
    step, row = run(message(), transition, repeated)

    assert step == transition(message())
    assert row == table.stored == replace(step.row, rev=row.rev)
    assert len(table.writes) == 1


def test_a_lost_response_logs_its_events_once(run, context):
    """A write whose response was lost logs its events once."""
    run(message(), cancel, repeated)

    assert context.event_log.lines == [("delivery.cancelled", IDS)]


TAKEN_OVER = {"owner": "other", "lease_until": NOW + 99, "current": 1}
CLAIMED = claimed(message(replace(DELIVERY, tries=1), DELIVERY))


@pytest.mark.parametrize(
    ("row", "transition", "since"),
    [
        (message(), begin, {"sweep_at": NOW + 5}),
        (CLAIMED, partial(end, next_token="next"), {"sweep_at": NOW + 5}),
        (CLAIMED, partial(end, next_token="next"), {"last_owner": "x"}),
        (CLAIMED, partial(end, next_token="next"), TAKEN_OVER),
        (CLAIMED, end, {"sweep_at": NOW + 5}),
        (message(FAILED), reopen, {"sweep_at": NOW + 5}),
        (message(FAILED), reopen, {"owner": "other", "lease_until": NOW + 60, "current": 0}),
        (message(FAILED, FAILED), reopen, {"rings": 1}),
    ],
    ids=[
        "claim by owner",
        "record by next owner",
        "record by next owner alone",
        "record by last owner after a take-over",
        "record by last owner",
        "round by opened_by",
        "round by opened_by while it is claimed",
        "round by opened_by beside another",
    ],
)
def test_a_lost_response_is_recognized_after_another_write(run, table, row, transition, since):
    """A token that only this write can have left shows that it took effect [16] [17]."""
    step, seen = run(row, transition, overtaken(**since))

    assert step == transition(row)
    assert seen == table.stored == replace(step.row, **since, rev=seen.rev)
    assert len(table.writes) == 1


@pytest.mark.parametrize(
    ("row", "transition", "others"),
    [
        (claimed(message(DELIVERY, DELIVERY)), partial(transitions.cancel, place=1), {}),
        (CLAIMED, partial(transitions.cancel, place=1), {"rings": 1}),
        (message(last_owner="x"), partial(transitions.cancel, place=0), {"rings": 1}),
        (
            message(replace(DELIVERY, opened_by="x"), SOON),
            partial(transitions.cancel, place=1),
            {"rings": 1},
        ),
        (message(), partial(transitions.begin, token="mine"), {"last_owner": "x"}),
    ],
    ids=["same owner", "same owner and last owner", "same last owner", "same opener", "no owner"],
)
def test_a_token_that_was_there_before_shows_nothing(run, table, row, transition, others):
    """A refused step is computed again unless this call itself left the token."""
    step, _ = run(
        row, partial(transition, now=NOW, retention=RETENTION), refused(**others), refused()
    )

    assert isinstance(step, Step)
    assert len(table.writes) == 3


def test_another_workers_claim_is_not_recognized(run, table):
    """Two claims of the same delivery differ by their tokens."""
    step, row = run(message(), begin, refused(**TAKEN_OVER, last_owner="y"))

    assert (step, row.owner, len(table.writes)) == (ClaimDenied.LIVE, "other", 1)


def test_another_callers_round_is_not_recognized(run, table):
    """A round that another caller opened makes this call's step inapplicable."""
    theirs = replace(reopen(message(FAILED)).row.deliveries[0], opened_by="another")

    step, row = run(message(FAILED), reopen, refused(deliveries=(theirs,)))

    assert step is transitions.ReopenDenied.NOT_FAILED
    assert row.deliveries == (theirs,)


# Record -------------------------------------------------------------------------------------------

BUSY = Attempted(Retry("http_503", "the receiver returned 503"), NOW - 3, 1.0)
OK = Attempted(Delivered({"id": 1}, "accepted", "http_202"), NOW - 3, 1.0)


@pytest.fixture
def record(context, table, clock):
    """Store the claimed row and record how its claim ended, with so many seconds left."""

    def record(*acts, settlement=OK, seconds=100.0, row=CLAIMED, next_token="next"):
        table.put(row)
        table.acts = list(acts)
        return perform.record(
            context,
            row,
            settlement,
            next_token=next_token,
            remaining=lambda: round(NOW + seconds - clock.seconds, 3),
        )

    return record


def expected(now=NOW, *, next_token="next", settlement=OK):
    """Return the step of a record."""
    return transitions.settle(
        CLAIMED, "mine", settlement, now=now, retention=RETENTION, next_token=next_token
    )


@pytest.mark.parametrize("settlement", [OK, BUSY, GivenBack(), Ending("skipped", "x", "y")])
def test_record(record, table, settlement):
    """The record and the next claim are one write."""
    step, row = record(settlement=settlement)

    assert step == expected(settlement=settlement)
    assert row == table.stored == replace(step.row, rev=row.rev)
    assert (row.owner, len(table.writes)) == ("next", 1)


@pytest.mark.parametrize(
    ("seconds", "next_token", "owner"),
    [(30.0, "next", "next"), (29.999, "next", None), (30.0, None, None)],
)
def test_the_next_claim_takes_30_seconds(record, seconds, next_token, owner):
    """Without the time to send and to record, or without a token, nothing is claimed."""
    _, row = record(seconds=seconds, next_token=next_token)

    assert (row.owner, row.last_owner) == (owner, "mine")


def test_a_failed_record_is_repeated_after_growing_pauses(record, table, context):
    """The pauses double from 50 ms to 2 s; each repeat is computed for its own time."""
    step, row = record(*[throttled] * 9)
    pauses = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2, 2, 2]
    times = [round(sum(pauses[:count]), 3) for count in range(10)]

    assert [at for at, _ in table.writes] == times
    assert step == expected(now=NOW + times[-1])
    assert row == table.stored
    assert context.event_log.events() == ["delivery.attempted"]


def test_all_repeats_claim_under_one_token(record, table):
    """All repeats use the same next token, so any of them that took effect is recognized [16]."""
    step, row = record(throttled, lost, throttled)

    assert [written.owner for _, written in table.writes] == ["next"] * 4
    assert isinstance(step, Step)
    assert row == table.stored
    assert (row.owner, row.deliveries[1].tries) == ("next", 1)
    assert row.rev == table.writes[1][1].rev


def test_a_lost_record_is_recognized_when_the_time_for_a_claim_is_over(record, table):
    """The claim that the lost write made counts, though its repeat would make none."""
    step, row = record(lost, seconds=30.01)

    assert (step.row.owner, row.owner, row.last_owner) == (None, "next", "mine")
    assert row == table.stored


@pytest.mark.parametrize(("seconds", "writes"), [(2.05, 2), (2.049, 1), (0.0, 1), (2.25, 3)])
def test_a_record_is_repeated_while_2_seconds_remain_after_the_pause(
    record, table, context, seconds, writes
):
    """A record that cannot be repeated any more fails, and the lost outcome is logged."""
    with pytest.raises(UnavailableError, match="rehearsed"):
        record(*[throttled] * 9, seconds=seconds)

    assert len(table.writes) == writes
    assert context.event_log.lines == [
        (
            "record.lost",
            {**IDS, "outcome": "delivered", "code": "http_202", "detail": "accepted"},
        )
    ]


@pytest.mark.parametrize("settlement", [GivenBack(), Ending("skipped", "disabled_by_user")])
def test_a_claim_without_an_attempt_loses_no_outcome(record, context, settlement):
    """A failed record of a claim without an attempt logs no lost outcome."""
    with pytest.raises(UnavailableError, match="rehearsed"):
        record(throttled, seconds=1.0, settlement=settlement)

    assert context.event_log.lines == []


def test_a_record_that_is_refused_while_the_claim_is_held_is_computed_again(record, table):
    """A record that is refused while its claim is held is computed again [24]."""
    cancelled = replace(DELIVERY, status="skipped", error_code="cancelled")

    step, row = record(refused(deliveries=(CLAIMED.deliveries[0], cancelled)))

    assert [one.status for one in row.deliveries] == ["success", "skipped"]
    assert (row.owner, len(table.writes)) == (None, 2)
    assert step.ended == (0,)


@pytest.mark.parametrize(
    ("settlement", "lines"),
    [
        (
            Attempted(Permanent("http_410", "gone", gone=True), NOW, 1.0),
            [
                (
                    "record.lost",
                    {**IDS, "outcome": "permanent", "code": "http_410", "detail": "gone"},
                )
            ],
        ),
        (
            BUSY,
            [
                (
                    "record.lost",
                    {
                        **IDS,
                        "outcome": "retry",
                        "code": "http_503",
                        "detail": "the receiver returned 503",
                    },
                )
            ],
        ),
        (GivenBack(), []),
    ],
)
def test_the_outcome_of_a_lost_claim_is_dropped(record, table, context, settlement, lines):
    """The outcome of a claim that was taken over is dropped, and the loss is logged."""
    denied, row = record(refused(**TAKEN_OVER), settlement=settlement)

    assert (denied, row) == (SettleDenied.LOST, table.stored)
    assert (row.owner, len(table.writes)) == ("other", 1)
    assert context.event_log.lines == lines


@pytest.mark.parametrize("since", [{"last_owner": "other"}, {}])
def test_a_released_row_is_not_recognized_as_recorded(record, table, since):
    """A row that another worker took over and released does not count as this record."""
    released = {"owner": None, "lease_until": None, "current": None}

    denied, row = record(refused(**released, **since), next_token=None)

    assert (denied, row, len(table.writes)) == (SettleDenied.LOST, table.stored, 1)


def test_a_lost_record_names_the_claimed_delivery(record, context):
    """The line of a lost outcome names the delivery that was attempted."""
    record(refused(owner="other"), row=claimed(message(SOON, DELIVERY), 1))

    [(_, fields)] = context.event_log.lines
    assert fields["delivery_id"] == ID_2


def test_ten_refusals_of_a_record_are_repeated_like_a_failed_call(record, table):
    """Ten refusals of a record are a failed call, which is repeated while there is time."""
    step, _ = record(*[refused() for _ in range(10)])

    assert isinstance(step, Step)
    assert [at for at, _ in table.writes] == [0.0] * 10 + [0.05] * 2


def test_the_record_of_a_row_that_is_gone_is_not_repeated(record, table):
    """A record whose row is gone is not repeated."""
    with pytest.raises(NotFoundError):
        record(gone)

    assert len(table.writes) == 1


# Accept -------------------------------------------------------------------------------------------

REQUEST = RequestRow(
    user_id="ada",
    request_id="r-1",
    message_id=MESSAGE_ID,
    fingerprint=b"f" * 32,
    ttl=int(NOW) + 1400,
    subject="Subject",
    content="Hello",
    agent_id=None,
    session_id="s-1",
    recipient=Recipient(),
    mode="all",
    forced=False,
    created_at=NOW - 7,
    due_at=NOW - 7,
    expires_at=None,
    deliveries=(
        PlannedDelivery(type="WEBHOOK", priority=3, max_attempts=4, retry_delay_seconds=30),
    ),
    skipped=(),
)


@pytest.mark.parametrize(
    ("due_in", "rung"),
    [
        (-7.0, [("delivery", WAKE, 0)]),
        (29.5, [("delivery", replace(WAKE, due_at=NOW + 29.5), 30)]),
        (900.0, [("delivery", replace(WAKE, due_at=NOW + 900), 900)]),
        (900.001, []),
    ],
)
def test_admit(context, table, due_in, rung):
    """The message is written under a fresh rev, then the first queue is rung within 900 s."""
    request = replace(REQUEST, due_at=NOW + due_in)
    perform.admit(context, request)

    step = transitions.accept(request, now=NOW)
    assert table.stored == replace(step.row, rev=table.stored.rev)
    assert len(table.stored.rev) == 8
    assert context.doorbells.rung == rung


def test_admit_a_message_that_exists(context, table):
    """A message that exists stays as it is, but the ring is repeated [27] [28]."""
    row = message(SUCCESS)
    table.put(row)

    perform.admit(context, REQUEST)

    assert table.stored == row
    assert context.doorbells.rung == [("delivery", WAKE, 0)]


def test_admit_survives_a_lost_ring(context, table):
    """A lost ring is logged, and the message is accepted: the sweeper repairs the ring."""
    context.doorbells.broken = True

    perform.admit(context, REQUEST)

    assert table.stored.message_id == MESSAGE_ID
    assert context.event_log.lines == [("doorbell.lost", {"user_id": "ada", "request_id": "r-1"})]


def test_admit_does_not_ring_for_what_may_not_be_stored(context, table, monkeypatch):
    """No ring is sent for a message row that may not be stored."""

    def fail(row):
        raise UnavailableError("PutItem failed: rehearsed")

    monkeypatch.setattr(table, "create", fail)

    with pytest.raises(UnavailableError):
        perform.admit(context, REQUEST)

    assert context.doorbells.rung == []


# Dead letters -------------------------------------------------------------------------------------

OWED = message(
    replace(FAILED, dead_letter_owed=True),
    FAILED,
    replace(FAILED, dead_letter_owed=True, round=2),
    ttl=int(NOW) + 5,
    sweep_at=NOW + 60,
)
OWED_LETTERS = (DeadLetter("ada", ID_1, 2), DeadLetter("ada", MESSAGE_ID[:-2] + "03", 3))
LETTERS = [("dead_letter", dead_letter, 0) for dead_letter in OWED_LETTERS]
SETTLED = changed(OWED, {"dead_letter_owed": False}, {}, {"dead_letter_owed": False}, sweep_at=None)


def test_send_dead_letters(context, table):
    """Dead letters are sent first; then one write clears their flags."""
    table.put(OWED)

    row = perform.send_dead_letters(context, OWED, OWED_LETTERS)

    assert row == table.stored == replace(SETTLED, rev=row.rev)
    assert (context.doorbells.rung, len(table.writes)) == (LETTERS, 1)


def test_no_dead_letter_is_owed(context, table):
    """A row without a dead letter to send costs no call."""
    row = message(FAILED)

    assert perform.send_dead_letters(context, row, ()) is row
    assert (context.doorbells.rung, table.writes) == ([], [])


def test_a_dead_letter_that_may_not_be_sent_stays_owed(context, table):
    """The flag of a dead letter that may not have been sent stays set."""
    table.put(OWED)
    context.doorbells.broken = True

    with pytest.raises(UnavailableError):
        perform.send_dead_letters(context, OWED, OWED_LETTERS)

    assert table.stored == OWED


def test_flags_that_another_process_cleared_need_no_write(context, table):
    """Flags that another process has cleared need no write, and the stored row is returned."""
    table.put(OWED)
    table.acts = [refused(deliveries=SETTLED.deliveries)]

    row = perform.send_dead_letters(context, OWED, OWED_LETTERS)

    assert row == table.stored
    assert (row.deliveries, len(table.writes)) == (SETTLED.deliveries, 1)


# The end of a visit -------------------------------------------------------------------------------


def finish(context, row):
    """End a visit whose last step left the row like this."""
    step = Step(row=row, dead_letters=transitions.dead_letters_owed(row))
    perform.finish(context, step, row)


@pytest.mark.parametrize(
    ("row", "rung"),
    [
        (message(), [("retry", WAKE, 0)]),
        (message(SOON, SUCCESS), [("retry", replace(WAKE, due_at=NOW + 100), 100)]),
        (
            message(replace(DELIVERY, due_at=NOW + 900)),
            [("retry", replace(WAKE, due_at=NOW + 900), 900)],
        ),
        (message(replace(DELIVERY, due_at=NOW + 900.001)), []),
        (message(SUCCESS), []),
        (claimed(message(DELIVERY, SOON)), []),
        (OWED, LETTERS),
        (
            message(replace(FAILED, dead_letter_owed=True), SOON, sweep_at=NOW),
            [LETTERS[0], ("retry", replace(WAKE, due_at=NOW + 100), 100)],
        ),
    ],
)
def test_a_visit_ends_with_dead_letters_and_a_ring(context, table, row, rung):
    """The ring is for the row's next due time within 900 s, unless a worker holds the claim."""
    table.put(row)

    finish(context, row)

    assert context.doorbells.rung == rung
    assert not transitions.dead_letters_owed(table.stored)


def test_the_ring_follows_the_row_as_stored(context, table):
    """No ring is sent if another worker has claimed the row meanwhile."""
    row = message(replace(FAILED, dead_letter_owed=True), DELIVERY)
    table.put(row)
    table.acts = [refused(owner="other", lease_until=NOW + 60, current=1)]

    finish(context, row)

    assert context.doorbells.rung == LETTERS[:1]


def test_the_dead_letters_are_those_of_the_step(context, table):
    """A dead letter that the sweeper has sent meanwhile is sent again: it may be doubled."""
    table.put(SETTLED)
    step = Step(row=OWED, dead_letters=OWED_LETTERS)

    perform.finish(context, step, SETTLED)

    assert (context.doorbells.rung, table.stored) == (LETTERS, SETTLED)


@pytest.mark.parametrize(("due_in", "fails"), [(-7, True), (0, True), (0.001, False)])
def test_a_lost_ring_returns_the_doorbell_only_if_it_is_due(context, due_in, fails):
    """A lost ring fails the visit if the delivery is due; the sweeper repairs any later ring."""
    context.doorbells.broken = True
    row = message(replace(DELIVERY, due_at=NOW + due_in))

    if fails:
        with pytest.raises(UnavailableError):
            finish(context, row)
    else:
        finish(context, row)

    lost = ("doorbell.lost", {"user_id": "ada", "request_id": "r-1"})
    assert context.event_log.lines == ([] if fails else [lost])


def test_a_delayed_dead_letter_is_logged_and_fails_the_visit(context, table):
    """A dead letter that cannot be sent is logged and fails the visit."""
    table.put(OWED)
    context.doorbells.broken = True

    with pytest.raises(UnavailableError):
        finish(context, OWED)

    assert context.event_log.lines == [
        ("dead_letter.delayed", {"user_id": "ada", "request_id": "r-1"})
    ]


# Rings and publishing -----------------------------------------------------------------------------


@pytest.mark.parametrize(("due_in", "delay"), [(-7, 0), (0.001, 1), (899.5, 900), (5000, 900)])
def test_ring(context, due_in, delay):
    """A ring goes to the queue of retries, as late as SQS allows and never early."""
    perform.ring(context, message(), NOW + due_in)

    assert context.doorbells.rung == [("retry", replace(WAKE, due_at=NOW + due_in), delay)]


@pytest.mark.parametrize(
    ("due_at", "first", "rung"),
    [
        (None, False, []),
        (None, True, []),
        (0.0, False, [("retry", replace(WAKE, due_at=0.0), 0)]),
        (NOW + 29.5, False, [("retry", replace(WAKE, due_at=NOW + 29.5), 30)]),
        (NOW + 29.5, True, [("delivery", replace(WAKE, due_at=NOW + 29.5), 30)]),
    ],
)
def test_ring_if_possible(context, due_at, first, rung):
    """The first ring of a message goes to the queue of new messages; no due time, no ring."""
    perform.ring_if_possible(context, message(), due_at, first=first)

    assert context.doorbells.rung == rung


def test_publish(context):
    """The publisher gets the row and the place of the delivery that ended."""
    listener = Listener([])
    row = message(SOON, SUCCESS)

    perform.publish(replace(context, publisher=listener), row, 1)
    perform.publish(context, row, 1)

    assert listener.ends == [(row, 1)]


def test_a_lost_publication_is_logged(context):
    """A publication that fails is logged and fails nothing else."""
    context = replace(context, publisher=Listener([], broken=True))

    perform.publish(context, message(), 0)

    assert context.event_log.lines == [
        ("outcome.unpublished", {**IDS, "reason": "PutEvents failed: rehearsed"})
    ]


def test_ids():
    """Every line about a delivery has its four IDs."""
    assert perform.ids(message(SOON, replace(SUCCESS, type="SMS")), 1) == {
        "user_id": "ada",
        "delivery_id": ID_2,
        "request_id": "r-1",
        "integration_type": "SMS",
    }
