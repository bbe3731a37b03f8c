"""The re-plan: moves a user's held deliveries when the user's hours, mute or time zone change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.configuration.ports import Rescheduled
from dispatcher.deadline import Deadline
from dispatcher.delivery import perform
from dispatcher.delivery.transitions import Step
from dispatcher.errors import NotFoundError, UnavailableError

if TYPE_CHECKING:
    from dispatcher.configuration.rows import UserOverrides
    from dispatcher.delivery.holds import Holds
    from dispatcher.delivery.perform import DeliveryContext
    from dispatcher.delivery.rows import MessageRow

PAGES = 4
"""Pages of 1 MB of the user's messages that are read, newest first."""

MOST_MESSAGES = 200
"""Messages with held deliveries that are moved at most."""

AT_ONCE = 10
"""Messages that are moved in parallel."""

LONGEST = 5.0
"""Seconds after which no further message is moved; as long again if the preferences changed."""

Each = Callable[
    [Callable[["MessageRow"], "frozenset[str] | None"], "Iterable[MessageRow]"],
    "Iterable[frozenset[str] | None]",
]
"""Maps a function over rows, ``AT_ONCE`` at a time, or one after the other as ``map`` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replanner:
    """Moves held deliveries to their new opening, earlier or later.

    A delivery that it does not reach stays correct: if it should move later, its attempt holds it;
    if it should move earlier, it is sent at its old time.
    """

    context: DeliveryContext
    holds: Holds
    each: Each = map

    def replan(self, user_id: str) -> Rescheduled:
        """Plan a user's held deliveries by the preferences that are stored now.

        Reads the preferences again at its end, and starts again if they changed: of two
        simultaneous changes, the re-plan of the older may write last [39]. Never raises
        ``UnavailableError``: the preferences are stored already.
        """
        deadline = Deadline(LONGEST, self.context.clock.monotonic)
        moved: set[str] = set()
        examined, complete, is_last = 0, True, False
        try:
            stored: UserOverrides | None = None
            while True:
                rows, is_all = self.context.messages.pending(user_id, pages=PAGES)
                held = [row for row in rows if _holds(row)]
                examined = max(examined, len(held))
                complete = is_all and len(held) <= MOST_MESSAGES
                if not held:
                    break
                stored = stored or self.holds.overrides.get(user_id)
                for ids in self._moved(held[:MOST_MESSAGES], stored, deadline):
                    complete = complete and ids is not None
                    moved |= ids or set()
                latest = self.holds.overrides.get(user_id)
                if latest.version == stored.version:
                    break
                if deadline.is_over():
                    if is_last:
                        complete = False
                        break
                    # The older preferences may have moved something after the newer ones did.
                    is_last, deadline = True, Deadline(LONGEST, self.context.clock.monotonic)
                stored = latest
        except UnavailableError:
            complete = False
        self.context.event_log.emit(
            "replan.done",
            user_id=user_id,
            examined=examined,
            changed=len(moved),
            complete=complete,
        )
        return Rescheduled(len(moved), complete)

    def _moved(
        self, rows: list[MessageRow], stored: UserOverrides, deadline: Deadline
    ) -> Iterable[frozenset[str] | None]:
        def move(row: MessageRow) -> frozenset[str] | None:
            """Return the IDs of the moved deliveries; ``None`` if the time was over before."""
            if deadline.is_over():
                return None
            before = row
            try:
                step, row = self.holds.reschedule(row, stored)
            except UnavailableError:
                return None
            except NotFoundError:
                return frozenset()
            if not isinstance(step, Step):
                return frozenset()
            perform.ring_if_possible(self.context, row, step.ring_for)
            return frozenset(
                row.delivery_id(place)
                for place, (old, new) in enumerate(
                    zip(before.deliveries, step.row.deliveries, strict=True)
                )
                if old.held is not None and (old.due_at, old.held) != (new.due_at, new.held)
            )

        return self.each(move, rows)


def _holds(row: MessageRow) -> bool:
    return any(one.is_pending and one.held is not None for one in row.deliveries)
