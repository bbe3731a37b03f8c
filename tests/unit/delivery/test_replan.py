"""The re-plan: what moves when hours, a mute or the time zone change, and its bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.delivery import replan
from dispatcher.errors import NotFoundError
from tests.fakes import Faulty
from tests.world import USER


@pytest.fixture
def muted(world):
    """A user who is muted for an hour over TEST."""
    mute(world, 3600.0)
    return world


def mute(world, seconds):
    """Let the user be muted over TEST for so long."""
    world.prefer(muted_until=world.clock.now() + seconds, hours={"integrations": ["TEST"]})


def test_an_unmute_releases_what_is_held(muted):
    """It is due now, rung for, and sent."""
    [first], [second] = muted.send(), muted.send()
    muted.prefer()

    assert muted.replanner.replan(USER) == (2, True)

    assert [muted.delivery(one).held for one in (first, second)] == [None, None]
    muted.run()
    assert len(muted.channels["TEST"].messages) == 2
    assert (
        "replan.done",
        {"user_id": USER, "examined": 2, "changed": 2, "complete": True},
    ) in muted.event_log.lines


def test_a_longer_mute_moves_what_is_held_later(muted):
    """Without a ring: the sweeper rings for it."""
    [held] = muted.send()
    mute(muted, 7200.0)

    assert muted.replanner.replan(USER) == (1, True)

    assert muted.delivery(held).due_at == muted.clock.now() + 7200
    assert muted.doorbells.rung == []


def test_what_is_not_held_stays_as_it_is(muted):
    """A delivery that is due is held by its own attempt; an urgent one is never held."""
    muted.prefer()
    [free] = muted.send()
    rev = muted.row(free).rev
    mute(muted, 60.0)

    assert muted.replanner.replan(USER) == (0, True)

    assert muted.row(free).rev == rev


def test_a_plan_that_stays_the_same_is_not_written(muted):
    """No change, no write."""
    [held] = muted.send()
    rev = muted.row(held).rev

    assert muted.replanner.replan(USER) == (0, True)

    assert muted.row(held).rev == rev


def test_a_change_during_the_replan_is_followed(muted):
    """The preferences are read again at the end: of two changes, the older may write last."""
    [held] = muted.send()
    mute(muted, 7200.0)
    changes = iter([lambda: mute(muted, 100.0)])

    def fate(_):
        next(changes, lambda: None)()
        return ""

    context = replace(muted.context, messages=Faulty(muted.table, fate, "write"))
    replanner = replace(
        muted.replanner, context=context, holds=replace(muted.holds, context=context)
    )

    assert replanner.replan(USER) == (1, True)

    assert muted.delivery(held).due_at == muted.clock.now() + 100


@pytest.mark.parametrize(("changes", "complete"), [(1, True), (2, False)])
def test_a_change_is_followed_once_after_the_time_is_over(muted, changes, complete):
    """Otherwise a slow re-plan of an older change would keep what a newer one had moved."""
    [held] = muted.send()
    mute(muted, 7200.0)
    mutes = iter([100.0, 50.0][:changes])

    def fate(_):
        muted.clock.advance(6.0)
        if seconds := next(mutes, None):
            mute(muted, seconds)
        return ""

    context = replace(muted.context, messages=Faulty(muted.table, fate, "write"))
    replanner = replace(
        muted.replanner, context=context, holds=replace(muted.holds, context=context)
    )

    assert replanner.replan(USER) == (1, complete)

    until = muted.overrides.get(USER).preferences.muted_until
    assert (muted.delivery(held).due_at == until) is complete


def test_a_worker_that_has_the_row_is_not_disturbed(muted):
    """The claimed delivery is left alone, and its holder goes on with what became due."""
    muted.override("CLI", enabled=True)
    test, cli = muted.send()
    muted.another_claims(cli)
    muted.doorbells.taken()
    muted.prefer()

    assert muted.replanner.replan(USER) == (1, True)

    row = muted.row(test)
    assert (row.owner, row.deliveries[0].held, row.deliveries[0].due_at) == (
        "another",
        None,
        muted.clock.now(),
    )
    assert muted.doorbells.rung == []


def test_at_most_200_messages_are_moved(muted):
    """The newest messages move first; the rest keep their time, and the response reports it."""
    ids = [muted.send()[0] for _ in range(replan.MOST_MESSAGES + 1)]
    muted.prefer()

    assert muted.replanner.replan(USER) == (200, False)

    assert [muted.delivery(one).held for one in ids] == ["muted"] + [None] * 200


def test_it_begins_nothing_after_5_s(muted):
    """The caller of a PUT waits for it."""
    for _ in range(3):
        muted.send()
    muted.prefer()

    def fate(_):
        muted.clock.advance(2.5)
        return ""

    context = replace(muted.context, messages=Faulty(muted.table, fate, "write"))
    replanner = replace(
        muted.replanner, context=context, holds=replace(muted.holds, context=context)
    )

    assert replanner.replan(USER) == (2, False)


@pytest.mark.parametrize(
    ("port", "method", "moved"),
    [("table", "pending", 0), ("table", "write", 0), ("overrides", "get", 0)],
)
def test_a_fault_leaves_it_incomplete(muted, port, method, moved):
    """The preferences are stored already, so their change does not fail."""
    [held] = muted.send()
    muted.prefer()
    faulty = Faulty(getattr(muted, port), lambda _: "throttled", method)
    context = replace(muted.context, messages=faulty) if port == "table" else muted.context
    users = faulty if port == "overrides" else muted.overrides
    holds = replace(muted.holds, context=context, overrides=users)
    replanner = replace(muted.replanner, context=context, holds=holds)

    assert replanner.replan(USER) == (moved, False)

    assert muted.delivery(held).held == "muted"


def test_a_row_that_is_gone_is_passed_over(muted):
    """It expired in between."""
    muted.send()
    muted.prefer()

    def gone(*_, **__):
        raise NotFoundError("gone")

    holds = muted.replanner.holds
    table = Faulty(muted.table, lambda _: muted.table.rows.clear() or "", "write")
    context = replace(muted.context, messages=table)
    replanner = replace(muted.replanner, context=context, holds=replace(holds, context=context))

    assert replanner.replan(USER) == (0, True)
