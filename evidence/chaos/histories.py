"""History of each message: the writes that took effect, in order, and the claims in them.

Each write names the ``rev`` that it replaces. From the ``rev`` of the stored row the chain leads
back to the message's first row, whatever the functions believed about their writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from dispatcher.delivery.rows import Delivery, MessageRow
from evidence.chaos.calls import SETTLING, Step, change
from evidence.chaos.ledger import Write


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A claim of one delivery that was granted."""

    delivery_id: str
    round: int
    token: str
    pid: int
    at: float
    """When the write that made it first passed."""
    lease_until: float
    due_at: float
    """When the delivery was due, as the row before the claim says."""
    ignores_hours: bool = False
    hastened: bool = False
    """Whether the run cut the lease short, because its worker was dead."""
    record_attempts: int = 0
    """Different writes that tried to record its outcome, whatever became of them."""
    record: Write | None = None
    """The write that recorded its outcome."""
    given_back: bool = False
    taken_over_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One message: its stored row, and the writes that led to it, oldest first."""

    row: MessageRow
    writes: Sequence[Write]
    claims: Sequence[Claim]
    is_complete: bool
    """Whether the chain leads back to the message's first row."""

    def rounds(self, place: int) -> Iterator[Delivery]:
        """Yield each round's last state of a delivery."""
        for before, after in pairwise(write.row.deliveries[place] for write in self.writes):
            if after.round != before.round:
                yield before
        yield self.row.deliveries[place]


def histories(rows: Iterable[MessageRow], writes: Sequence[Write]) -> list[History]:
    """Return the history of each stored row."""
    by_rev = {write.row.rev: write for write in writes}
    attempts = Counter(
        write.row.last_owner
        for write in writes
        if write.on in by_rev
        and write.row.last_owner is not None
        and write.row.last_owner == by_rev[write.on].row.owner
    )
    return [_history(row, by_rev, attempts) for row in rows]


def _history(
    row: MessageRow, by_rev: Mapping[bytes, Write], record_attempts: Mapping[str, int]
) -> History:
    chain: list[Write] = []
    rev: bytes | None = row.rev
    while rev is not None and (write := by_rev.get(rev)):
        chain.append(write)
        rev = write.on
    chain.reverse()
    claims: dict[str, Claim] = {}
    for before, write in zip([None, *chain], chain, strict=False):
        _follow(claims, before.row if before else None, write)
    return History(
        row=row,
        writes=chain,
        claims=[
            replace(claim, record_attempts=record_attempts[token])
            for token, claim in claims.items()
        ],
        is_complete=bool(chain) and rev is None,
    )


def _follow(claims: dict[str, Claim], before: MessageRow | None, write: Write) -> None:
    """Note what a write does to the claim before it, and the claim that it makes."""
    after = write.row
    held = claims.get(before.owner or "") if before else None
    if before and held and write.by_rig and after.lease_until != before.lease_until:
        claims[held.token] = replace(held, hastened=True, lease_until=after.lease_until or write.at)
        return
    step = change(before, after) if before else None
    if held and step in SETTLING:
        claims[held.token] = (
            replace(held, taken_over_at=write.at)
            if step is Step.TAKE_OVER
            else replace(held, record=write, given_back=_used_no_try(before, after))
        )
    if after.owner and after.owner not in claims and after.current is not None:
        delivery = after.deliveries[after.current]
        claims[after.owner] = Claim(
            delivery_id=after.delivery_id(after.current),
            round=delivery.round,
            due_at=(before.deliveries[after.current] if before else delivery).due_at,
            ignores_hours=delivery.ignores_hours,
            token=after.owner,
            pid=write.pid,
            at=write.at,
            lease_until=after.lease_until or write.at,
        )


def _used_no_try(before: MessageRow | None, after: MessageRow) -> bool:
    """Return whether a claim was given back, or its delivery was held."""
    if before is None or before.current is None:
        return False
    return after.deliveries[before.current].tries < before.deliveries[before.current].tries
