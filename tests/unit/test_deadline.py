"""The remaining time of work in several steps."""

from __future__ import annotations

import pytest

from dispatcher.deadline import Deadline


@pytest.fixture
def now():
    """The time, which the test sets."""
    return [100.0]


@pytest.fixture
def deadline(now):
    """A deadline 10 seconds ahead."""
    return Deadline(10, lambda: now[0])


@pytest.mark.parametrize(
    ("at", "remaining", "timeout", "is_over"),
    [
        (100.0, 10.0, 10.0, False),
        (109.5, 0.5, 0.5, False),
        (110.0, 0.0, 0.001, True),
        (111.0, -1.0, 0.001, True),
    ],
)
def test_the_remaining_time_shrinks_and_a_timeout_is_never_zero(
    now, deadline, at, remaining, timeout, is_over
):
    """A timeout of 0 would make a socket non-blocking, so 1 ms is the least."""
    now[0] = at

    assert (deadline.remaining(), deadline.timeout(), deadline.is_over()) == (
        remaining,
        timeout,
        is_over,
    )


def test_a_step_that_needs_more_time_than_remains_times_out(now, deadline):
    """``require`` returns the remaining seconds, or raises if they are fewer than needed."""
    now[0] = 108.0

    assert [deadline.require(), deadline.require(2)] == [2.0, 2.0]
    with pytest.raises(TimeoutError):
        deadline.require(2.1)


def test_no_step_begins_after_the_deadline(now, deadline):
    """Without an argument, 1 ms must remain."""
    now[0] = 109.9995

    with pytest.raises(TimeoutError):
        deadline.require()
