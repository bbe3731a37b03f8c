"""The protocol model: no promise breaks with all clauses, and each clause is needed."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.protocol_model import model

ALL = frozenset(model.CLAUSES)

ENVIRONMENTS = st.fixed_dictionaries(
    {
        "aws": st.sampled_from((0, 0.1, 0.3, 0.5)),
        "crash": st.sampled_from((0, 0.01, 0.05, 0.1)),
        "stall": st.sampled_from((0, 0.01, 0.04)),
        "dup": st.sampled_from((0, 0.2)),
        "reorder": st.sampled_from((0, 0.5)),
        "lag": st.sampled_from((0, 3, 90)),
        "skew": st.booleans(),
        "overlap": st.sampled_from((0, 0.5)),
        "delay": st.sampled_from((1, 30, 300, 901, 3600)),
        "Tf": st.sampled_from((100, 600, 3000)),
        "retention": st.sampled_from((1e6, 4000)),
        "hours": st.booleans(),
        "feedback": st.booleans(),
        "pausing": st.booleans(),
    }
)

NEEDED = {
    1: (None, 74, "I10"),
    2: ("quiet", 22, "I1"),
    3: (None, 2484, "I7"),
    4: (None, 859, "I1"),
    5: (None, 3, "I8b"),
    6: ("quiet", 20, "I1"),
    7: ("quiet", 20, "I8"),
    8: ("quiet", 177, "I1c"),
    9: (None, 3, "LATE"),
    11: ("quiet", 3, "LATE"),
    12: (None, 14, "I12"),
    13: ("quiet", 3, "I6"),
    15: ("quiet", 3, "LATE"),
    16: (None, 759, "I12"),
    17: (None, 3663, "I5b"),
    18: ("quiet", 11, "I9"),
    20: (None, 1746, "I14"),
    24: ("quiet", 36, "I12"),
    25: ("quiet", 54033, "LATE"),
    27: ("quiet", 118, "I8c"),
    29: ("quiet", 47, "LATE"),
    31: ("quiet", 262, "I16"),
    32: ("quiet", 72, "I1c"),
    33: ("quiet", 27, "I17"),
    34: ("quiet", 3944, "I17"),
    35: ("quiet", 161, "I8d"),
    36: ("quiet", 16, "I17"),
    37: ("quiet", 45, "I15"),
    38: ("quiet", 16, "I4"),
    39: ("quiet", 1113, "I17"),
    40: (None, 94, "I21"),
    41: ("crash", 518, "I19"),
    42: ("quiet", 7, "LATE"),
    43: ("quiet", 22, "I18"),
    44: ("quiet", 4, "I21"),
    45: ("crash", 1790, "I20"),
    46: ("quiet", 4, "I22"),
    47: ("quiet", 6, "I22"),
    48: ("quiet", 6, "I22"),
    49: ("quiet", 17, "I22"),
    50: ("quiet", 14, "I23"),
}
"""By clause: a kind of fault, a seed, and the promise that breaks there without the clause."""


def broken(world):
    """Return the names of the promises that a run broke."""
    return {name for name, _ in world.viol}


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.integers(0, 10**6), ENVIRONMENTS)
def test_no_promise_breaks_under_any_mix_of_faults(seed, environment):
    """Only a stall may break a promise, and only those that no protocol can keep."""
    params = {**model.params(seed, "all"), **environment, "quiet": False}

    world = model.run(seed, ALL, p=params)

    assert broken(world) <= (model.INHERENT if world.M["stall"] else set()), world.viol


@pytest.mark.parametrize("clause", NEEDED)
def test_each_clause_is_needed(clause):
    """A scenario that breaks a promise without a clause keeps every promise with it."""
    kind, seed, promise = NEEDED[clause]

    def params():
        return {
            **model.params(seed, kind),
            # Clauses up to 30 are those of delivery alone.
            "hours": 30 < clause < model.FEEDBACK.start,
            "feedback": clause in model.FEEDBACK,
            "pausing": clause in model.PAUSE,
        }

    assert promise in broken(model.run(seed, ALL - {clause}, p=params()))
    assert not broken(model.run(seed, ALL, p=params()))


def test_nothing_breaks_without_faults():
    """Without faults no delivery is late, and no hold ends late."""
    worlds = [model.run(seed, ALL, "quiet") for seed in range(1, 301)]

    assert [world.viol for world in worlds if world.viol] == []
    # The scenarios are not empty: holds, feedback and pauses occur.
    events = ("held at accept", "holds", "replanned", "hold_end")
    events += ("bounced", "revived", "returned", "held by a pause", "probes", "recovered")
    assert all(sum(world.M[event] for world in worlds) > 0 for event in events)


def test_fifty_equal_requests_make_one_message():
    """Fifty simultaneous equal requests create one message and get fifty equal responses."""
    for seed in range(1, 21):
        world = model.run(seed, ALL, "quiet", builder=model.equal(50))

        assert not world.viol
        assert len(world.created) == 1
        assert len(world.acks["r0"]) == 50
