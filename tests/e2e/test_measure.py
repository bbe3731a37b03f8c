"""The measurement of latency."""

from __future__ import annotations

from tools.measure import measure


def test_measurement(stack):
    """The measurement runs against a service that runs, and its figures make sense."""
    figures = measure(stack["api_url"], 10)

    print(figures)  # noqa: T201 - for whoever wants the figures: pytest -rP
    assert 0 < figures.answered.p50 <= figures.answered.p95
    assert 0 < figures.delivered.p50 <= figures.delivered.p95
