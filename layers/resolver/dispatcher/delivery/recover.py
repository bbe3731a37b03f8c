"""Opens new rounds of all deliveries of a user that failed in a time, such as an outage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from dispatcher.configuration.resolution import NOT_CONFIGURED, merged
from dispatcher.configuration.selection import EXPIRES_WHILE_HELD, wanted_now
from dispatcher.configuration.suppressions import REASONS, suppression_now
from dispatcher.deadline import Deadline
from dispatcher.delivery import perform, transitions
from dispatcher.delivery.rows import Status, is_live
from dispatcher.delivery.transitions import IDENTITY_MARGIN, ReopenDenied, RetryPolicy, Step
from dispatcher.errors import NotFoundError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from dispatcher.configuration.categories import PolicyCache
    from dispatcher.configuration.resolution import SystemDefaults
    from dispatcher.configuration.rows import UserOverrides
    from dispatcher.delivery.holds import Holds
    from dispatcher.delivery.perform import DeliveryContext
    from dispatcher.delivery.recover_body import RecoverBody
    from dispatcher.delivery.rows import Delivery, MessageRow
    from dispatcher.responses import NotOpened, RecoverResponse

MOST_MESSAGES = 100
"""Messages that one call examines."""

LONGEST = 10.0
"""Seconds after which no further message is opened: the cursor continues there."""

DENIED: Mapping[ReopenDenied, str] = {
    ReopenDenied.CONTENT_EXPIRED: "content_expired",
    ReopenDenied.EXPIRED: "content_expired",
    ReopenDenied.SIBLING: "first_success",
    ReopenDenied.CLOSED: EXPIRES_WHILE_HELD,
}
"""The reasons of deliveries that stay; one that has not failed any more is left out."""


class Page(NamedTuple):
    """The response to a call, and whether it was a dry run."""

    response: RecoverResponse
    is_dry_run: bool


class Recovered(NamedTuple):
    """The deliveries of one message that were opened, and the reasons of those that were not."""

    opened: list[str]
    not_opened: list[NotOpened]


if TYPE_CHECKING:
    Each = Callable[
        [Callable[[MessageRow], Recovered | None], Iterable[MessageRow]],
        Iterable[Recovered | None],
    ]
    """Maps a function over rows in their order, some at a time, or as ``map`` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """Opens new rounds of failed deliveries, page by page."""

    context: DeliveryContext
    system_defaults: Callable[[], SystemDefaults]
    holds: Holds
    categories: PolicyCache
    environ: Mapping[str, str]
    each: Each = map

    def recover(self, user_id: str, body: object) -> Page:
        """Open the failed deliveries that the body describes; a dry run only shows them.

        A repeated call opens no delivery twice: it is pending by then. Raises
        ``InvalidInputError``, and ``UnavailableError`` if no message was examined in time.
        """
        from dispatcher.delivery.recover_body import recover_body

        asked = recover_body(body, self.environ, self.context.clock.now())
        rows, cursor = self._page(user_id, asked)
        response: RecoverResponse = {
            "examined": 0,
            "opened": [],
            "not_opened": [],
            "next_cursor": cursor,
        }
        if not rows:
            return Page(response, asked.dry_run)
        stored = self.holds.overrides.get(user_id)
        deadline = Deadline(LONGEST, self.context.clock.monotonic)

        def recover(row: MessageRow) -> Recovered | None:
            """Recover one message; return ``None`` if the time was over before."""
            return None if deadline.is_over() else self._recovered(row, asked, stored)

        last = None
        for row, result in zip(rows, self.each(recover, rows), strict=True):
            if result is None:
                if last is None:
                    # There is no cursor for this place: without one, the caller would stop.
                    raise UnavailableError("no message was examined in time")
                # Messages after this one may have been opened already; that is repeatable.
                response["next_cursor"] = last
                break
            last = row.message_id
            response["examined"] += 1
            response["opened"] += result.opened
            response["not_opened"] += result.not_opened
        return Page(response, asked.dry_run)

    def _page(self, user_id: str, asked: RecoverBody) -> tuple[tuple[MessageRow, ...], str | None]:
        """Return the next messages of the range, and the cursor of the page after them."""
        first = _moment(asked.since)
        if asked.cursor is not None:
            # "~" sorts after every character of an ID.
            first = max(first, asked.cursor + "~")
        last = "~" if asked.until is None else _moment(asked.until) + "~"
        if first > last:
            return (), None
        # One more than is examined shows whether this is the last page.
        rows, stopped = self.context.messages.between(user_id, first, last, limit=MOST_MESSAGES + 1)
        if len(rows) > MOST_MESSAGES:
            return rows[:MOST_MESSAGES], rows[MOST_MESSAGES - 1].message_id
        return rows, stopped

    def _recovered(self, row: MessageRow, asked: RecoverBody, stored: UserOverrides) -> Recovered:
        now = self.context.clock.now()
        places = [
            place
            for place, one in enumerate(row.deliveries)
            if is_live(row.ttl, now) and _matches(one, asked)
        ]
        reasons: dict[int, str] = {}
        policies: dict[int, RetryPolicy] = {}
        for place in places:
            name = row.deliveries[place].type
            if reason := self._obstacle(row, place, stored, now):
                reasons[place] = reason
                continue
            settings = merged(self.system_defaults()[name], stored.by_type.get(name))
            policies[place] = RetryPolicy(1 + settings.retry_count, settings.retry_delay_seconds)
        opened: list[int] = []
        if policies:
            opened, denied = self._open(row, policies, stored, dry_run=asked.dry_run)
            reasons |= {place: DENIED[why] for place, why in denied.items() if why in DENIED}
        return Recovered(
            [row.delivery_id(place) for place in opened],
            [
                {"delivery_id": row.delivery_id(place), "reason": reasons[place]}
                for place in sorted(reasons)
            ],
        )

    def _open(
        self,
        row: MessageRow,
        policies: Mapping[int, RetryPolicy],
        stored: UserOverrides,
        *,
        dry_run: bool,
    ) -> tuple[list[int], Mapping[int, ReopenDenied]]:
        """Open deliveries of a message by one write, then ring once."""
        context, token = self.context, self.context.id_generator.token()
        opens = self.holds.opens(stored, row.user_id)
        denied: Mapping[int, ReopenDenied] = {}

        def reopen(row: MessageRow) -> Step | ReopenDenied:
            nonlocal denied
            now = context.clock.now()
            step, denied = transitions.reopen_all(row, policies, token=token, now=now, opens=opens)
            return step or ReopenDenied.NOT_FAILED

        if dry_run:
            reopen(row)
            return [place for place in policies if place not in denied], denied
        try:
            step, row = perform.perform(context, row, reopen)
        except NotFoundError:
            return [], {}
        if not isinstance(step, Step):
            return [], denied
        perform.ring_if_possible(context, row, step.ring_for)
        if any(step.row.deliveries[place].held is not None for place in policies):
            self.holds.check(row, stored.version)
        return [place for place in policies if place not in denied], denied

    def _obstacle(
        self, row: MessageRow, place: int, stored: UserOverrides, now: float
    ) -> str | None:
        """Return why a new round of a delivery could not succeed."""
        if row.keep_until - IDENTITY_MARGIN <= now:
            return "content_expired"
        if row.expires_at is not None and row.expires_at <= now:
            return "expired"
        name = row.deliveries[place].type
        default = self.system_defaults()[name]
        category = None if row.category is None else self.categories.category(row.category)
        settings, reason = wanted_now(default, stored, name, category, locked=row.locked)
        if reason and not row.forced:
            return reason
        if not default.configured:
            return NOT_CONFIGURED
        if not stored.suppressions:
            return None
        # Only for a user with a suppression: the request may name the address.
        request = self.context.messages.visit(row.user_id, row.message_id, row.request_id).request
        if request is None:
            return "content_expired"
        found = suppression_now(
            stored, name, settings.config, request.recipient, row.user_id, self.environ
        )
        return None if found is None else REASONS[found.state]


def _matches(delivery: Delivery, asked: RecoverBody) -> bool:
    return (
        delivery.status == Status.FAILED
        and (asked.integration_types is None or delivery.type in asked.integration_types)
        and (asked.error_codes is None or delivery.error_code in asked.error_codes)
    )


def _moment(time: float) -> str:
    """Return the beginning of the IDs of messages that were accepted at a time."""
    # As the IDs are made: a UUIDv7 begins with milliseconds.
    digits = f"{int(time * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}"
