"""The counts and times of a run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from statistics import median_high
from typing import Any, NamedTuple

from dispatcher.delivery.rows import MessageRow
from evidence.chaos.audit import Audit, Track
from evidence.chaos.calls import Step, change
from evidence.chaos.promises import RECEIVERS, switched_off


class Lateness(NamedTuple):
    """Seconds between the time from which an attempt was allowed and its claim."""

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Lateness:
        """Return median and worst of them."""
        return cls(median_high(seconds), max(seconds)) if seconds else cls()

    median: float = 0.0
    worst: float = 0.0


def figures(audit: Audit) -> dict[str, Any]:
    """Return all figures by name."""
    tracks = audit.tracks.values()
    messages = {row.request_id for row in audit.rows}
    arrivals = Counter(track.delivery.type for track in tracks for _ in track.arrivals)
    duplicates: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    times: dict[str, list[Any]] = defaultdict(list)
    for track in tracks:
        causes = (cause for _, _, cause in track.duplicates(audit.deaths) if cause)
        duplicates[track.delivery.type in RECEIVERS].update(causes)
        for name, value in (*_lateness(track), *_holds(track)):
            times[name].append(value)
    return {
        "statuses": Counter(str(track.delivery.status) for track in tracks),
        "deliveries that no 202 named": len(
            audit.tracks.keys() - {one for _, one in audit.accepted}
        ),
        "requests without a message and a 202": sum(
            bool(request.deliveries) and request.request_id not in messages | audit.responses.keys()
            for request in audit.requests
        ),
        "webhooks": arrivals.pop("WEBHOOK", 0),
        "emails": arrivals.pop("EMAIL", 0),
        "mailbox writes": arrivals.total(),
        "duplicates": duplicates[True],
        "overwritten in a mailbox": duplicates[False].total(),
        "crashes": Counter(audit.crashes),
        "crashes between send and record": sum(
            claim.record is None and audit.deaths.get(claim.pid, 0.0) >= claim.at
            for track in tracks
            for _, claim in track.sends
        ),
        "claims": sum(len(track.claims) for track in tracks),
        "claims given back": sum(claim.given_back for track in tracks for claim in track.claims),
        "attempts without a record": sum(
            each.unknown for track in tracks for each in track.history.rounds(track.place)
        ),
        "new rounds": sum(track.delivery.round - 1 for track in tracks),
        "doubled dead letters": len(audit.dead_letters) - len(set(audit.dead_letters)),
        "holds begun by": Counter(times.pop("held", ())),
        "holds ended by": Counter(times.pop("released", ())),
        "lateness": {
            name: Lateness.of(times[name]) for name in ("retry", "take-over", "opening", "change")
        },
        "deliveries by lock": sum(
            planned.by_lock for request in audit.requests for planned in request.deliveries
        ),
        "skipped, category off": sum(
            skip.reason.startswith("category_") for each in audit.requests for skip in each.skipped
        )
        + sum(len([*switched_off(track)]) for track in tracks),
    }


def _lateness(track: Track) -> Iterator[tuple[str, float]]:
    """Yield how long after it was allowed the claim came that followed each send."""
    for send in track.sends:
        claim = send.claim
        later = [each for each in track.claims if each.at > claim.at and each.round == claim.round]
        if not later or any(
            new.held for _, write, _, new in track.moves() if claim.at <= write.at <= later[0].at
        ):
            continue
        if claim.record is not None:
            yield "retry", later[0].at - track.due_after(send)
        elif not claim.hastened:
            yield "take-over", later[0].at - claim.lease_until


def _holds(track: Track) -> Iterator[tuple[str, float | str]]:
    """Yield how holds began and ended, and how long after it each claim came."""
    freed_at: float | None = None
    for before, write, old, new in track.moves():
        is_claimed = write.row.current == track.place and new.tries > old.tries
        if new.held and not old.held:
            yield "held", _beginning(before, write.row, track.place)
        elif old.held and is_claimed:
            yield "released", "opening"
            yield "opening", write.at - old.due_at
        elif old.held and not new.held:
            is_free = new.status == "pending"
            yield "released", "change of preferences" if is_free else "end"
            freed_at = write.at if is_free else None
        elif is_claimed and freed_at is not None:
            yield "change", write.at - max(freed_at, old.due_at)
            freed_at = None


def _beginning(before: MessageRow | None, after: MessageRow, place: int) -> str:
    """Return the step that began a hold."""
    if before is None:
        return "accept"
    step = change(before, after)
    if step not in {Step.RECORD, Step.RECORD_AND_CLAIM, Step.GIVE_BACK}:
        return str(step)
    used_no_try = after.deliveries[place].tries < before.deliveries[place].tries
    return "attempt" if used_no_try else "retry"
