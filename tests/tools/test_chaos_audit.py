"""The audit after a chaos run: each kind of broken promise is found, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from dispatcher.delivery.doorbells import DeadLetter
from dispatcher.delivery.rows import Delivery, LogEntry, MessageRow, PlannedDelivery, RequestRow
from dispatcher.integrations.integration import Recipient
from evidence.chaos import promises
from evidence.chaos.audit import Audit, Cause
from evidence.chaos.figures import Lateness, figures
from evidence.chaos.ledger import Arrival, Fate, Write
from tests.documents import rows

MESSAGE = "01900000-0000-7000-8000-000000000000"
FIRST, SECOND = (f"{MESSAGE[:-2]}{place:02}" for place in (1, 2))
OTHER = "01900000-0000-7000-8000-000000000901"

DELIVERY = Delivery(
    type="WEBHOOK",
    status="pending",
    priority=1,
    max_attempts=3,
    retry_delay_seconds=2,
    due_at=100.0,
)


@dataclass
class Message:
    """A message as the crash proxy saw it; each method is a write or a send.

    The rows are written by hand: they must be able to break what the service's functions keep.
    """

    deliveries: tuple[Delivery, ...] = (DELIVERY,)
    mode: str = "all"
    writes: list[Write] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)

    def __post_init__(self):
        """Accept the message."""
        self.row = MessageRow(
            user_id="ada",
            message_id=MESSAGE,
            rev=b"0",
            request_id="r-1",
            session_id=None,
            subject=None,
            mode=self.mode,
            forced=False,
            created_at=100.0,
            expires_at=None,
            keep_until=0.0,
            deliveries=self.deliveries,
            sweep_at=160.0,
        )
        self.writes.append(Write(row=self.row, on=None, at=100.0, pid=1))

    def write(self, at, pid=7, **fields):
        """Write the row with other fields."""
        rev = str(len(self.writes)).encode()
        row = replace(self.row, **fields, rev=rev)
        self.writes.append(Write(row=row, on=self.row.rev, at=at, pid=pid))
        self.row = row

    def change(self, place=0, **fields):
        """Return the deliveries with other fields in one of them."""
        deliveries = list(self.row.deliveries)
        deliveries[place] = replace(deliveries[place], **fields)
        return tuple(deliveries)

    def claim(self, token, at, place=0, pid=7, lease=60.0):
        """Claim a delivery."""
        tries = self.row.deliveries[place].tries + 1
        self.write(
            at,
            pid=pid,
            owner=token,
            lease_until=at + lease,
            current=place,
            deliveries=self.change(place, tries=tries, held=None, not_before=None),
        )

    def send(self, at, fate=Fate.ACCEPTED, delivery_id=FIRST, **fields):
        """Let a request arrive that takes a tenth of a second."""
        arrival = {"fate": fate, "ended_at": at + 0.1, "content": "Hello"} | fields
        self.arrivals.append(Arrival(delivery_id=delivery_id, at=at, **arrival))

    def record(self, at, **fields):
        """Record an outcome: a retry, unless other fields say otherwise."""
        place = self.row.current
        attempts = self.row.deliveries[place].attempts + 1
        self.write(
            at,
            owner=None,
            lease_until=None,
            current=None,
            last_owner=self.row.owner,
            deliveries=self.change(place, **{"attempts": attempts} | fields),
        )

    def attempt(self, token, at, fate=Fate.REFUSED, place=0, **fields):
        """Claim, send after 0.2 s and record after 0.8 s."""
        self.claim(token, at, place=place)
        self.send(at + 0.2, fate, delivery_id=self.row.delivery_id(place))
        self.record(at + 0.8, **fields)

    def end(self, at=500.0, **fields):
        """Write what an ended row is like."""
        self.write(at, sweep_at=None, ttl=10**9, **fields)

    def audit(self, **fields):
        """Return an audit in which all parties agree, except for these fields."""
        ids = tuple(self.row.delivery_id(place) for place in range(len(self.row.deliveries)))
        agreeing = {
            "contents": {"r-1": "Hello"},
            "responses": {"r-1": [ids]},
            "refused": (),
            "cancelled": {},
            "reopened": {},
            "rows": [self.row],
            "requests": [request()],
            "statuses": {
                name: each.status for name, each in zip(ids, self.row.deliveries, strict=True)
            },
            "mailbox": {},
            "dead_letters": [],
            "redriven": frozenset(),
            "writes": self.writes,
            "arrivals": self.arrivals,
            "crashes": (),
            "deaths": {},
            "states": {},
            "opted_out": frozenset(),
        }
        return Audit(**agreeing | fields)


def request(**fields):
    """Return the request of the message."""
    usual = {
        "user_id": "ada",
        "request_id": "r-1",
        "message_id": MESSAGE,
        "fingerprint": b"f",
        "ttl": 10**9,
        "subject": None,
        "content": "Hello",
        "agent_id": None,
        "session_id": None,
        "recipient": Recipient(),
        "mode": "all",
        "forced": False,
        "created_at": 100.0,
        "due_at": 100.0,
        "expires_at": None,
        "deliveries": (),
        "skipped": (),
    }
    return RequestRow(**usual | fields)


def delivered(**fields):
    """Return a message that was refused at 100.6 and accepted at 103.1."""
    message = Message(**fields)
    message.attempt("a", 100.4)
    message.attempt("b", 102.9, Fate.ACCEPTED, status="success")
    message.end()
    return message


def failed(code="http_404", **fields):
    """Return a message that failed at its first attempt."""
    message = Message()
    message.attempt("a", 100.4, status="failed", error_code=code, **fields)
    message.end()
    return message


def sent_twice(fate=Fate.ACCEPTED, lease=60.0, **record):
    """Return a message whose receiver got it under each of two claims, at 100.6 and 170.3."""
    message = Message()
    message.claim("a", 100.4, lease=lease)
    message.send(100.6, fate)
    if record:
        message.record(101.2, **record)
    message.attempt("b", 170.1, Fate.ACCEPTED, status="success")
    message.end()
    return message


def entry(code, detail):
    """Return the log entry of the attempt that arrived at 100.6."""
    return LogEntry(
        number=1,
        round=1,
        started_at=100.6,
        duration_ms=10_000,
        outcome="retry",
        code=code,
        detail=detail,
    )


def broken(audit):
    """Return the broken promises with their cases."""
    return {promise: cases for promise, cases in promises.broken(audit).items() if cases}


def test_the_page_lists_every_promise():
    """The audited and the documented promises are the same, in the same order."""
    told = [name.replace("`", "") for name, _ in rows("docs/chaos-figures.md", "Audit")]

    assert told == [*promises.CHECKS]


def test_parties_that_agree_break_no_promise():
    """Refused once, accepted after the delay: two attempts, no duplicate, 0.2 s late."""
    found = delivered().audit()

    assert broken(found) == {}
    assert (figures(found)["statuses"], figures(found)["deliveries that no 202 named"]) == (
        {"success": 1},
        0,
    )
    assert (
        figures(found)["webhooks"],
        figures(found)["claims"],
        figures(found)["attempts without a record"],
    ) == (2, 2, 0)
    assert figures(found)["duplicates"] == {}
    assert figures(found)["lateness"]["retry"] == Lateness(pytest.approx(0.2), pytest.approx(0.2))


def test_an_accepted_delivery_without_a_row_is_lost():
    """A 202 named it."""
    found = delivered().audit(responses={"r-1": [(FIRST, SECOND)]})

    assert broken(found) == {
        "no accepted message is lost": [f"{SECOND}: was accepted, but has no row"]
    }


def test_a_send_without_a_row_is_lost():
    """A receiver got it, but the history does not show it."""
    message = delivered()
    message.send(1.0, delivery_id=OTHER)

    found = message.audit()

    assert broken(found) == {"no accepted message is lost": [f"{OTHER}: was sent, but has no row"]}


@pytest.mark.parametrize("integration_type", ["WEBHOOK", "TEST"])
def test_a_success_without_a_receiver_is_lost(integration_type):
    """No receiver accepted it, and it is in no mailbox."""
    message = Message((replace(DELIVERY, type=integration_type),))
    message.attempt("a", 100.4, Fate.REFUSED, status="success")
    message.end()

    found = message.audit(mailbox={SECOND: "Hello"})

    assert broken(found) == {
        "no accepted message is lost": [f"{FIRST}: success, but no receiver took it"]
    }


def test_a_row_that_no_202_named_is_figures():
    """The caller never got its response; the delivery still has to end."""
    found = delivered().audit(responses={})

    assert (figures(found)["deliveries that no 202 named"], broken(found)) == (1, {})


def test_a_request_without_a_message_was_never_accepted():
    """A caller that got no 202 for it was promised nothing."""
    planned = (PlannedDelivery(type="CLI", priority=1, max_attempts=1, retry_delay_seconds=1),)
    orphan = request(request_id="r-2", message_id=OTHER, deliveries=planned)

    found = delivered().audit(requests=[request(), orphan])

    assert (figures(found)["requests without a message and a 202"], broken(found)) == (1, {})


def test_a_request_without_deliveries_has_no_message():
    """Every integration was skipped."""
    found = delivered().audit(responses={"r-2": [()]})

    assert broken(found) == {}


@pytest.mark.parametrize(
    ("fields", "case"),
    [
        ({"owner": "b"}, f"{MESSAGE}: has ended, but has owner"),
        ({"sweep_at": 5.0}, f"{MESSAGE}: has ended, but has sweep_at"),
        ({"ttl": None}, f"{MESSAGE}: has ended, but has no ttl"),
    ],
)
def test_an_ended_row_owes_nothing(fields, case):
    """No claim, no time at which the sweeper looks, and a time to be deleted."""
    message = delivered()
    message.write(501.0, **fields)

    assert broken(message.audit()) == {"every delivery ends, and its end is final": [case]}


def test_a_delivery_that_did_not_end_is_found():
    """It is still pending when all other work is done."""
    message = Message()
    message.attempt("a", 100.4)

    assert broken(message.audit()) == {
        "every delivery ends, and its end is final": [f"{FIRST}: pending"]
    }


def test_an_end_that_does_not_last_is_found():
    """Only a new round may follow the end of a delivery."""
    message = failed()
    message.write(502.0, deliveries=message.change(status="skipped", error_code="cancelled"))

    assert broken(message.audit()) == {
        "every delivery ends, and its end is final": [f"{FIRST}: failed, then skipped"]
    }


@pytest.mark.parametrize(
    "statuses", [{FIRST: "pending"}, {}, {FIRST: "success", SECOND: "success"}]
)
def test_an_api_that_returns_something_else_is_found(statuses):
    """Another status, nothing, or a delivery that does not exist."""
    found = delivered().audit(statuses=statuses)

    assert broken(found).keys() == {"the API returns what the table holds"}


def test_equal_requests_with_different_responses_are_found():
    """All of them name the same deliveries."""
    found = delivered().audit(responses={"r-1": [(FIRST,), (FIRST,), ()]})

    assert broken(found) == {"equal requests make one message": ["r-1: 2 different responses"]}


def test_a_message_that_its_request_does_not_name_is_found():
    """A request has one message."""
    found = delivered().audit(requests=[request(message_id=OTHER)])

    assert broken(found) == {
        "equal requests make one message": [f"r-1: 1 messages, the request names {OTHER}"]
    }


def test_foreign_content_is_found():
    """At a receiver and in a mailbox."""
    message = delivered()
    message.arrivals[0] = replace(message.arrivals[0], content="Secret")

    found = message.audit(mailbox={FIRST: "Other"})

    assert broken(found) == {
        "no message is sent with another's content": [
            f"{FIRST}: 'Secret', not 'Hello'",
            f"{FIRST}: 'Other', not 'Hello'",
        ]
    }


@pytest.mark.parametrize(
    ("message", "deaths", "cause"),
    [
        (sent_twice(), {7: 101.0}, Cause.CRASH),
        (sent_twice(), {7: 100.5}, Cause.CRASH),
        (sent_twice(), {}, Cause.STALL),
        (sent_twice(Fate.CUT, error_code="connection"), {}, Cause.RECEIVER),
        (sent_twice(attempt_log=(entry("timeout", "no outcome"),)), {}, Cause.RECEIVER),
        (
            sent_twice(attempt_log=(entry("unavailable", "ReadTimeoutError"),)),
            {},
            Cause.RECEIVER,
        ),
    ],
    ids=[
        "killed",
        "killed with the request on its way",
        "stalled",
        "cut",
        "timeout",
        "timeout of a mailbox",
    ],
)
def test_a_duplicate_has_a_cause(message, deaths, cause):
    """The events that the guarantee names; a request may outlive its sender."""
    found = message.audit(deaths=deaths)

    assert figures(found)["duplicates"] == {cause: 1}
    assert broken(found) == {}


def test_a_record_that_was_not_written_is_a_cause():
    """It was tried, but is not among the writes that took effect."""
    message = sent_twice()
    lost = replace(message.writes[1].row, rev=b"lost", owner=None, last_owner="a")
    write = Write(row=lost, on=message.writes[1].row.rev, at=101.0, pid=7)

    found = message.audit(writes=[*message.writes, write])

    assert (figures(found)["duplicates"], broken(found)) == ({Cause.UNRECORDED: 1}, {})


@pytest.mark.parametrize(
    ("message", "deaths"),
    [
        (sent_twice(error_code="http_503"), {}),
        (sent_twice(lease=80.0), {7: 90.0}),
        (sent_twice(lease=80.0), {8: 101.0}),
    ],
    ids=["recorded", "died before its claim", "another process died"],
)
def test_a_duplicate_without_a_cause_is_found(message, deaths):
    """Its outcome was recorded, or nothing had happened to its worker."""
    found = message.audit(deaths=deaths)

    assert figures(found)["duplicates"] == {}
    assert broken(found)["every duplicate has its cause"] == [f"{FIRST}: sent again 69.7 s later"]


def test_a_request_that_was_not_read_is_no_duplicate():
    """Only what a receiver has taken can be there twice."""
    found = sent_twice(Fate.UNREAD).audit()

    assert (figures(found)["duplicates"], broken(found)) == ({}, {})


def test_a_repeated_mailbox_write_overwrites_its_row():
    """It needs a cause as well, but no reader sees it."""
    message = sent_twice()
    message.writes = [
        replace(
            write,
            row=replace(
                write.row,
                deliveries=tuple(replace(each, type="CLI") for each in write.row.deliveries),
            ),
        )
        for write in message.writes
    ]
    message.row = message.writes[-1].row

    found = message.audit(deaths={7: 101.0}, mailbox={FIRST: "Hello"})

    assert (
        figures(found)["duplicates"],
        figures(found)["overwritten in a mailbox"],
        broken(found),
    ) == ({}, 1, {})
    assert (figures(found)["webhooks"], figures(found)["mailbox writes"]) == (0, 2)


def test_a_new_round_is_no_duplicate():
    """A redrive asks for a new send."""
    message = Message()
    message.attempt("a", 100.4, Fate.CUT, status="failed", error_code="connection")
    reopened = message.change(status="pending", round=2, tries=0, attempts=0, error_code=None)
    message.write(120.0, deliveries=reopened)
    message.attempt("b", 120.5, Fate.ACCEPTED, status="success")
    message.end()
    letter = DeadLetter("ada", FIRST, 2)

    found = message.audit(dead_letters=[letter], redriven=frozenset({letter}), reopened={FIRST: 2})

    assert (figures(found)["duplicates"], figures(found)["new rounds"], broken(found)) == (
        {},
        1,
        {},
    )


def test_each_send_needs_its_own_claim():
    """One before any claim, two under one claim, and one under a claim that was given back."""
    message = Message()
    message.send(100.2, Fate.REFUSED)
    message.attempt("a", 100.4)
    message.claim("b", 103.0)
    message.send(103.2, Fate.REFUSED)
    message.write(
        103.5, owner=None, lease_until=None, last_owner="b", deliveries=message.change(tries=1)
    )
    message.attempt("c", 104.0, Fate.ACCEPTED, status="success")
    message.send(109.0, Fate.REFUSED)
    message.end()

    assert broken(message.audit())["one send per claim, none without"] == [
        f"{FIRST}: sent without a claim",
        f"{FIRST}: sent, and the claim given back",
        f"{FIRST}: sent twice under one claim",
    ]


def test_a_budget_that_is_exceeded_is_found():
    """More outcomes than attempts of a round, and more requests than 3 forgiven ones allow."""
    message = Message()
    for number in range(7):
        message.attempt(str(number), 100.4 + 10 * number, attempts=min(number + 1, 4))
    message.end(deliveries=message.change(status="failed", error_code="http_404"))

    found = message.audit(dead_letters=[DeadLetter("ada", FIRST, 2)])

    assert broken(found) == {
        "the budget of attempts holds": [
            f"{FIRST}: round 1: 4 recorded of 3",
            f"{FIRST}: round 1: sent 7 times, 3 + 3 at most",
        ]
    }


def test_a_budget_that_is_not_used_up_is_found():
    """A receiver that always refuses gets exactly all attempts."""
    message = failed("http_503")

    found = message.audit(dead_letters=[DeadLetter("ada", FIRST, 2)])

    assert broken(found) == {
        "the budget of attempts holds": [f"{FIRST}: round 1: gave up after 1 of 3"]
    }


def test_a_first_attempt_before_its_time_is_found():
    """``deliver_at`` counts from the acceptance on."""
    message = Message((replace(DELIVERY, due_at=105.0),))
    message.attempt("a", 100.4, Fate.ACCEPTED, status="success")
    message.end()

    assert broken(message.audit()) == {
        "no attempt is early": [
            f"{FIRST}: 4.400 s before it was due",
            f"{FIRST}: claimed 4.600 s before its time in the row",
        ]
    }


@pytest.mark.parametrize(
    ("retry_after", "at"), [(0.0, 102.69), (2.5, 103.19)], ids=["own delay", "Retry-After"]
)
def test_a_retry_before_its_time_is_found(retry_after, at):
    """The delay counts from the end of the attempt before; the receiver's longer wish wins."""
    message = delivered()
    first, second = message.arrivals
    arrivals = [replace(first, retry_after=retry_after), replace(second, at=at)]
    message.writes[3] = replace(message.writes[3], at=102.5)

    found = message.audit(arrivals=arrivals)

    assert broken(found) == {"no attempt is early": [f"{FIRST}: 0.010 s early"]}


def test_a_take_over_before_the_end_of_the_lease_is_found():
    """Unless the run itself cut the lease short."""
    waited = sent_twice(Fate.UNREAD, lease=80.0)
    hastened = Message()
    hastened.claim("a", 100.4, lease=80.0)
    hastened.send(100.6, Fate.UNREAD)
    hastened.write(110.0, lease_until=110.0)
    hastened.writes[-1] = replace(hastened.writes[-1], by_rig=True)
    hastened.attempt("b", 110.5, Fate.ACCEPTED, status="success")
    hastened.end()

    assert broken(waited.audit()) == {
        "no attempt is early": [f"{FIRST}: taken over 10.300 s before the lease ended"]
    }
    assert broken(hastened.audit()) == {}


def test_a_first_attempt_out_of_order_is_found():
    """The second delivery was claimed while the first one had not been attempted."""
    message = Message((DELIVERY, replace(DELIVERY, priority=2)))
    message.attempt("a", 100.4, Fate.ACCEPTED, place=1, status="success")
    message.attempt("b", 102.0, Fate.ACCEPTED, place=0, status="success")
    message.end()

    assert broken(message.audit()) == {
        "first attempts follow the priority order": [
            f"{SECOND}: claimed before place 0 was attempted"
        ]
    }


def test_a_second_success_of_a_first_success_message_is_found():
    """Any success ends all other deliveries."""
    message = Message((DELIVERY, replace(DELIVERY, priority=2)), mode="first_success")
    message.attempt("a", 100.4, Fate.ACCEPTED, place=0, status="success")
    message.attempt("b", 102.0, Fate.ACCEPTED, place=1, status="success")
    message.end()

    assert broken(message.audit()) == {
        "a first_success message succeeds once": [f"{MESSAGE}: over WEBHOOK, WEBHOOK"]
    }


def test_a_send_after_a_cancellation_is_found():
    """DELETE had returned 200, and the worker had not stalled beyond its lease."""
    message = Message()
    message.attempt("a", 100.4)
    skipped = {"status": "skipped", "error_code": "cancelled"}
    message.write(101.5, deliveries=message.change(**skipped))
    message.end()
    message.send(103.0, Fate.REFUSED)
    after_lease = replace(message.arrivals[-1], at=161.0)

    found = message.audit(cancelled={FIRST: 101.6})
    stalled = message.audit(cancelled={FIRST: 101.6}, arrivals=[message.arrivals[0], after_lease])

    assert broken(found)["no send after a 200 of DELETE"] == [
        f"{FIRST}: sent 1.400 s after the 200"
    ]
    assert "no send after a 200 of DELETE" not in broken(stalled)


def test_a_cancelled_delivery_stays_cancelled():
    """DELETE had returned 200, and it was delivered."""
    found = delivered().audit(cancelled={FIRST: 900.0})

    assert broken(found) == {
        "no send after a 200 of DELETE": [f"{FIRST}: cancelled, then ('success', None)"]
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"reopened": {FIRST: 2}},
        {"redriven": frozenset({DeadLetter("ada", FIRST, 2)})},
    ],
    ids=["retry", "redrive"],
)
def test_a_round_that_was_not_opened_is_found(fields):
    """A 202 of /retry named it, or its dead letter was handled."""
    found = failed().audit(dead_letters=[DeadLetter("ada", FIRST, 2)], **fields)

    assert broken(found) == {
        "every redrive and every 202 of /retry opens its round": [f"{FIRST}: is in round 1, not 2"]
    }


@pytest.mark.parametrize(
    ("rounds", "case"),
    [
        ((), f"{FIRST}: failed, no dead letter"),
        ((2, 3), f"{FIRST}: dead letter for round 3, but it did not fail"),
    ],
)
def test_a_dead_letter_that_is_missing_or_wrong_is_found(rounds, case):
    """A final failure has a dead letter for the next round."""
    letters = [DeadLetter("ada", FIRST, number) for number in rounds]

    assert broken(failed().audit(dead_letters=letters)) == {
        "every final failure has its dead letter": [case]
    }


def test_a_dead_letter_may_be_doubled_and_some_failures_have_none():
    """A new round cannot change that a message has expired."""
    letter = DeadLetter("ada", FIRST, 2)

    doubled = failed().audit(dead_letters=[letter, letter])
    without = failed("expired").audit()

    assert (figures(doubled)["doubled dead letters"], broken(doubled)) == (1, {})
    assert (figures(without)["doubled dead letters"], broken(without)) == (0, {})


def test_a_write_that_did_not_pass_the_proxy_is_found():
    """The stored row is not the last of the writes that were seen, or the first one is missing."""
    message = delivered()

    unseen = message.audit(rows=[replace(message.row, rev=b"unseen")])
    headless = message.audit(writes=message.writes[1:])

    assert broken(unseen)["every write of a row passed the crash proxy"] == [
        f"{MESSAGE}: after 0 writes"
    ]
    assert broken(headless)["every write of a row passed the crash proxy"] == [
        f"{MESSAGE}: after 5 writes"
    ]


def test_refused_writes_are_no_history():
    """A claim that was refused grants nothing."""
    message = delivered()
    refused = replace(message.writes[1].row, rev=b"refused", owner="z")
    write = Write(row=refused, on=b"0", at=100.45, pid=9)

    found = message.audit(writes=[*message.writes, write])

    assert (figures(found)["claims"], broken(found)) == (2, {})


def test_crashes_are_figures():
    """By step, and those between a send and its record."""
    crashes = (
        "DeliverMessages: after send",
        "DeliverMessages: before claim",
    )

    found = sent_twice().audit(crashes=crashes, deaths={7: 101.0, 8: 300.0})

    assert figures(found)["crashes"] == {
        "DeliverMessages: after send": 1,
        "DeliverMessages: before claim": 1,
    }
    assert figures(found)["crashes between send and record"] == 1


def test_lateness_counts_from_when_the_next_claim_was_allowed():
    """A retry from its due time, a take-over from the end of the lease."""
    message = Message()
    message.claim("a", 100.0)
    message.send(100.6, Fate.UNREAD)
    message.claim("b", 170.0)
    message.send(170.2, Fate.REFUSED)
    message.record(170.5)
    message.attempt("c", 175.0, Fate.ACCEPTED, status="success")
    message.end()

    found = message.audit(deaths={7: 100.6})

    assert figures(found)["lateness"]["take-over"] == Lateness(10.0, 10.0)
    assert figures(found)["lateness"]["retry"] == Lateness(pytest.approx(2.7), pytest.approx(2.7))
