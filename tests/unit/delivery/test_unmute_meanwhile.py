"""Sends at the same time as an unmute: no order of their calls leaves a message held."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from dispatcher.configuration.rows import Preferences
from dispatcher.delivery.outcomes import Delivered
from tests.rig import Rig

SENDS = 50
MUTE = 3600.0


def finish(rig, draw, actors):
    """Let actors go on in a random order until all are done."""
    actors = list(actors)
    while actors:
        actor = draw.choice(actors)
        actor.go_on()
        if actor.done:
            assert actor.error is None
            rig.end(actor)
            actors.remove(actor)


def mute(rig, seconds):
    """Return the actor of a PUT that mutes the user until a time, or ends the mute."""
    until = None if seconds is None else rig.clock.seconds + seconds

    def change(old):
        base = old or Preferences(updated_at=0.0, updated_via="api")
        return replace(base, muted_until=until, hours={"integrations": ["TEST"]})

    return rig.prefer(change, 0.0)


@pytest.mark.parametrize("seed", range(20))
def test_no_order_of_50_sends_and_an_unmute_leaves_one_held(seed):
    """Each is delivered exactly once without waiting for the end of the mute."""
    draw = random.Random(seed)
    rig = Rig(lambda _: (Delivered({}), 0.5), quiet=True)
    finish(rig, draw, [mute(rig, MUTE)])

    sends = [
        rig.send({"request_id": f"r-{number}", "content": "x", "integration_types": ["TEST"]}, 0.0)
        for number in range(SENDS)
    ]
    finish(rig, draw, [*sends, mute(rig, None)])
    rows = rig.world.table.messages()
    assert [(one.held, one.due_at) for row in rows for one in row.deliveries] == [
        (None, rig.clock.seconds)
    ] * SENDS

    rig.collect()
    while messages := rig.visible()[:10]:
        finish(rig, draw, rig.receive(messages, 0.0))
        rig.collect()
    ended = [one.status for row in rig.world.table.messages() for one in row.deliveries]
    assert ended == ["success"] * SENDS
    assert sum(claim.sends for claim in rig.audit.claims) == SENDS
