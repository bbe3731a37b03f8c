"""The promises of the service, and what breaks each: ``docs/chaos-figures.md`` has the table.

The service's rules are stated again, because its own functions would hide its own mistakes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from dispatcher.delivery.doorbells import DeadLetter
from evidence.chaos.audit import ROUNDING, Audit, Track
from evidence.chaos.ledger import Fate
from evidence.chaos.traffic import BETA, SECURITY

FINAL = frozenset({"success", "failed", "skipped"})

FORGIVEN = 3
"""Attempts of a round that may stay without a record and do not use its budget."""

NO_DEAD_LETTER = frozenset({"expired", "content_expired", "no_address", "not_configured"})
"""Error codes of failures that a new round cannot change."""

RETRIED = frozenset({"http_500", "http_503", "unavailable"})
"""Error codes of deliveries that fail only once their budget is used up."""

EMAIL = "EMAIL"
RECEIVERS = frozenset({"WEBHOOK", EMAIL})
"""The types whose receivers see a repeated send; a mailbox overwrites its own row."""

KNOWN = 12.0
"""Seconds for which a worker may go by old preferences: it reads them again after 10 s."""

CALL = 60.0
"""Seconds within which a function reads preferences and writes what follows from them."""

SPREAD = 120.0
"""Seconds over which users are spread after a window opens."""

CATEGORY = "a category that is off is skipped, and no other; a locked one reaches its user"

Check = Callable[[Audit], Iterator[str]]
OfTrack = Callable[[Track, Audit], Iterator[str]]

CHECKS: defaultdict[str, list[Check]] = defaultdict(list)
"""The checks of each promise, which yield the cases in which it is broken."""


def promise(text: str) -> Callable[[Check], Check]:
    """Decorate a check of a whole run."""

    def add(check: Check) -> Check:
        CHECKS[text].append(check)
        return check

    return add


def of_delivery(text: str) -> Callable[[OfTrack], OfTrack]:
    """Decorate a check of each delivery, whose ID begins the case."""

    def add(check: OfTrack) -> OfTrack:
        @promise(text)
        def _each(audit: Audit) -> Iterator[str]:
            for name, track in audit.tracks.items():
                yield from (f"{name}: {case}" for case in check(track, audit))

        return check

    return add


def broken(audit: Audit) -> dict[str, list[str]]:
    """Return all promises, each with the cases in which it is broken."""
    return {
        text: [case for check in checks for case in check(audit)] for text, checks in CHECKS.items()
    }


@promise("a caller that repeats its request gets its response")
def _refused(audit: Audit) -> Iterator[str]:
    yield from audit.refused


@promise("no accepted message is lost")
def _lost(audit: Audit) -> Iterator[str]:
    stored = {(track.row.request_id, name) for name, track in audit.tracks.items()}
    for _, name in sorted(audit.accepted - stored):
        yield f"{name}: was accepted, but has no row"
    for name in sorted({arrival.delivery_id for arrival in audit.arrivals} - audit.tracks.keys()):
        yield f"{name}: was sent, but has no row"
    for name, track in audit.tracks.items():
        was_received = (
            any(arrival.fate is Fate.ACCEPTED for arrival in track.arrivals)
            if track.delivery.type in RECEIVERS
            else name in audit.mailbox
        )
        if track.delivery.status == "success" and not was_received:
            yield f"{name}: success, but no receiver took it"


@promise("every delivery ends, and its end is final")
def _has_not_ended(audit: Audit) -> Iterator[str]:
    for row in audit.rows:
        left = {
            "owner": row.owner is not None,
            "sweep_at": row.sweep_at is not None,
            "dead_letter_owed": any(one.dead_letter_owed for one in row.deliveries),
            "no ttl": row.ttl is None,
        }
        if all(delivery.status in FINAL for delivery in row.deliveries):
            for name in (name for name, is_left in left.items() if is_left):
                yield f"{row.message_id}: has ended, but has {name}"
    for name, track in audit.tracks.items():
        if track.delivery.status not in FINAL:
            yield f"{name}: {track.delivery.status}"
        for _, _, old, new in track.moves():
            is_reopened = old.status == "failed" and new.round == old.round + 1
            if old.status in FINAL and new.status != old.status and not is_reopened:
                yield f"{name}: {old.status}, then {new.status}"


@promise("the API returns what the table holds")
def _differs_from_table(audit: Audit) -> Iterator[str]:
    stored = {name: str(track.delivery.status) for name, track in audit.tracks.items()}
    for name in sorted(stored.keys() | audit.statuses.keys()):
        if stored.get(name) != audit.statuses.get(name):
            yield f"{name}: {stored.get(name)} in the table, API: {audit.statuses.get(name)}"


@promise("equal requests make one message")
def _differs_from_equal(audit: Audit) -> Iterator[str]:
    for request_id, ids in audit.responses.items():
        if len(set(ids)) > 1:
            yield f"{request_id}: {len(set(ids))} different responses"
    named = {request.request_id: request.message_id for request in audit.requests}
    messages = defaultdict(list)
    for row in audit.rows:
        messages[row.request_id].append(row.message_id)
    for request_id, stored in messages.items():
        name = named.get(request_id, "none")
        if stored != [name]:
            yield f"{request_id}: {len(stored)} messages, the request names {name}"


@of_delivery("no message is sent with another's content")
def _has_other_content(track: Track, audit: Audit) -> Iterator[str]:
    content = audit.contents.get(track.row.request_id)
    for other in (*(one.content for one in track.arrivals), audit.mailbox.get(track.delivery_id)):
        if other not in {None, content}:
            yield f"{other!r}, not {content!r}"


@of_delivery("every duplicate has its cause")
def _is_duplicate_without_cause(track: Track, audit: Audit) -> Iterator[str]:
    for first, again, cause in track.duplicates(audit.deaths):
        if cause is None:
            yield f"sent again {again.arrival.at - first.arrival.at:.1f} s later"


@of_delivery("one send per claim, none without")
def _has_no_claim_of_its_own(track: Track, _audit: Audit) -> Iterator[str]:
    used: set[str] = set()
    for claim in map(track.claim_of, track.arrivals):
        if claim is None:
            yield "sent without a claim"
        elif claim.given_back:
            yield "sent, and the claim given back"
        elif claim.token in used:
            yield "sent twice under one claim"
        else:
            used.add(claim.token)


@of_delivery("the budget of attempts holds")
def _breaks_budget(track: Track, _audit: Audit) -> Iterator[str]:
    for delivery in track.history.rounds(track.place):
        most, attempts = delivery.max_attempts, delivery.attempts
        fates = [send.arrival.fate for send in track.sends if send.claim.round == delivery.round]
        if attempts > most:
            yield f"round {delivery.round}: {attempts} recorded of {most}"
        if len(fates) > most + FORGIVEN:
            yield f"round {delivery.round}: sent {len(fates)} times, {most} + 3 at most"
        used_up = delivery.status == "failed" and delivery.error_code in RETRIED
        known = delivery.unknown <= FORGIVEN and set(fates) <= {Fate.REFUSED}
        if used_up and known and attempts != most:
            yield f"round {delivery.round}: gave up after {attempts} of {most}"


@of_delivery("no attempt is early")
def _is_early(track: Track, _audit: Audit) -> Iterator[str]:
    for at, due_at, case in _due_times(track):
        if at < due_at - ROUNDING:
            yield case.format(f"{due_at - at:.3f} s")


def _due_times(track: Track) -> Iterator[tuple[float, float, str]]:
    """Yield when something happened, the time from which it was allowed, and the case."""
    if track.history.writes and track.arrivals:
        first = track.history.writes[0].row.deliveries[track.place]
        # A hold may end early, but not before the time without it.
        due_at = first.due_at if first.not_before is None else first.not_before
        yield track.arrivals[0].at, due_at, "{} before it was due"
    for claim in track.claims:
        yield claim.at, claim.due_at, "claimed {} before its time in the row"
        if claim.taken_over_at is not None:
            yield claim.taken_over_at, claim.lease_until, "taken over {} before the lease ended"
    for first_send, again in track.repeats(frozenset(Fate)):
        if first_send.claim.record is not None:
            yield again.arrival.at, track.due_after(first_send), "{} early"


@of_delivery("no message is sent while its user may not be disturbed")
def _disturbs(track: Track, audit: Audit) -> Iterator[str]:
    for at, claim in ((send.arrival.at, send.claim) for send in track.sends):
        states = audit.possible(track.row.user_id, at - KNOWN, at)
        openings = [state.opening(track.delivery.type, at - KNOWN) for state in states]
        is_exempt = track.row.category == SECURITY or claim.ignores_hours
        # A worker that stalled beyond its lease may send late.
        if at < claim.lease_until and not is_exempt and min(openings) > at:
            yield f"{min(openings) - at:.3f} s before the opening"


@of_delivery("no delivery is held without a reason, or beyond its opening")
def _is_held_too_long(track: Track, audit: Audit) -> Iterator[str]:
    for before, write, old, new in track.moves():
        if not new.held or (old.held, old.due_at) == (new.held, new.due_at):
            continue
        read_at = write.at if before else track.row.created_at
        states = audit.possible(track.row.user_id, read_at - CALL, write.at)
        free = max(write.at, new.not_before or 0.0)
        opening = max(state.opening(new.type, free) for state in states)
        is_exempt = track.row.category == SECURITY or new.ignores_hours
        if is_exempt or new.due_at > opening + SPREAD:
            yield f"held for {new.due_at - opening:.3f} s after the opening"


@promise(CATEGORY)
def _is_planned_against_choice(audit: Audit) -> Iterator[str]:
    for request in audit.requests:
        begin, end = request.created_at - CALL, request.created_at + CALL
        wants = {state.wants_beta for state in audit.possible(request.user_id, begin, end)}
        off = [skip.type for skip in request.skipped if skip.reason.startswith("category_")]
        by_lock = [planned.type for planned in request.deliveries if planned.by_lock]
        is_locked = request.category == SECURITY
        expected = [EMAIL] if is_locked and request.user_id in audit.opted_out else []
        has_email = any(planned.type == EMAIL for planned in request.deliveries)
        name = request.request_id
        if off and (request.category != BETA or wants == {True}):
            yield f"{name}: {', '.join(off)} skipped, although the category is on"
        if request.deliveries and request.category == BETA and wants == {False}:
            yield f"{name}: has deliveries, although the category is off"
        if by_lock != expected or (is_locked and not has_email):
            yield f"{name}: by lock over {by_lock or 'nothing'}, not {expected}"


@of_delivery(CATEGORY)
def _ignores_choice(track: Track, audit: Audit) -> Iterator[str]:
    row = track.row
    for arrival, claim in track.sends:
        states = audit.possible(row.user_id, arrival.at - KNOWN, arrival.at)
        is_off = row.category == BETA and not any(state.wants_beta for state in states)
        if is_off and arrival.at < claim.lease_until:
            yield "sent although its category is off"
    for at in switched_off(track):
        states = audit.possible(row.user_id, at - CALL, at)
        if row.category != BETA or all(state.wants_beta for state in states):
            yield "skipped, although its category is on"


def switched_off(track: Track) -> Iterator[float]:
    """Yield when a delivery was skipped because its category was off."""
    for _, write, old, new in track.moves():
        is_skipped = new.status == "skipped" != old.status
        if is_skipped and str(new.error_code).startswith("category_"):
            yield write.at


@of_delivery("first attempts follow the priority order")
def _is_out_of_order(track: Track, _audit: Audit) -> Iterator[str]:
    """A delivery is claimed first after all that were due before it were attempted, or ended."""
    for before, write, old, new in track.moves():
        if not (before and new.round == 1 and new.tries == 1 and old.tries == 0):
            continue
        for place, earlier in enumerate(write.row.deliveries[: track.place]):
            is_untried = earlier.status == "pending" and earlier.round == 1
            # A delivery that is held or has to wait gives way.
            if is_untried and earlier.attempts == 0 and earlier.due_at <= old.due_at:
                yield f"claimed before place {place} was attempted"


@promise("a first_success message succeeds once")
def _succeeds_twice(audit: Audit) -> Iterator[str]:
    for row in audit.rows:
        types = [delivery.type for delivery in row.deliveries if delivery.status == "success"]
        if row.mode == "first_success" and len(types) > 1:
            yield f"{row.message_id}: over {', '.join(types)}"


@of_delivery("no send after a 200 of DELETE")
def _is_sent_after_cancel(track: Track, audit: Audit) -> Iterator[str]:
    cancelled_at = audit.cancelled.get(track.delivery_id)
    if cancelled_at is None:
        return
    ended = (str(track.delivery.status), track.delivery.error_code)
    if ended != ("skipped", "cancelled"):
        yield f"cancelled, then {ended}"
    for arrival, claim in track.sends:
        # A worker that stalled beyond its lease may send late.
        if cancelled_at < arrival.at < claim.lease_until:
            yield f"sent {arrival.at - cancelled_at:.3f} s after the 200"


@promise("every redrive and every 202 of /retry opens its round")
def _is_in_old_round(audit: Audit) -> Iterator[str]:
    redriven = {letter.delivery_id: letter.round for letter in audit.redriven}
    for name, number in (*redriven.items(), *audit.reopened.items()):
        track = audit.tracks.get(name)
        if track is None or track.delivery.round >= number:
            continue
        # A first_success message is not redriven once another delivery has succeeded.
        has_succeeded = any(one.status == "success" for one in track.row.deliveries)
        if name in audit.reopened or track.row.mode == "all" or not has_succeeded:
            yield f"{name}: is in round {track.delivery.round}, not {number}"


@promise("every final failure has its dead letter")
def _has_wrong_dead_letter(audit: Audit) -> Iterator[str]:
    letters = Counter(audit.dead_letters)
    failed = {
        DeadLetter(track.row.user_id, name, delivery.round + 1): delivery is track.delivery
        for name, track in audit.tracks.items()
        for delivery in track.history.rounds(track.place)
        if delivery.status == "failed" and delivery.error_code not in NO_DEAD_LETTER
    }
    for letter, is_last in failed.items():
        # A round that /retry opened needs no dead letter any more.
        if is_last and letter not in letters:
            yield f"{letter.delivery_id}: failed, no dead letter"
    for letter in letters.keys() - failed.keys():
        case = f"dead letter for round {letter.round}, but it did not fail"
        yield f"{letter.delivery_id}: {case}"


@promise("every write of a row passed the crash proxy")
def _passed_elsewhere(audit: Audit) -> Iterator[str]:
    for history in audit.histories:
        if not history.is_complete:
            yield f"{history.row.message_id}: after {len(history.writes)} writes"
