"""The measurements, in small."""

from __future__ import annotations

from dispatcher.adapters.items import message_row
from dispatcher.delivery.rows import MESSAGE
from tools import measure_sweeper
from tools.measure import measure
from tools.measure_isolation import Hanging, Measurement
from tools.receiver import Receiver


def test_measurement(stack):
    """The measurement runs against a service that runs, and its figures make sense."""
    figures = measure(stack["api_url"], 10)

    print(figures)  # noqa: T201 - to see the figures: pytest -rP
    assert 0 < figures.answered.p50 <= figures.answered.p95
    assert 0 < figures.delivered.p50 <= figures.delivered.p95


def test_measurement_of_the_sweeper(aws, stack):
    """Every row is rung for once; the scheduled sweep may have rung for some of them."""
    runs = measure_sweeper.measure(aws, stack, 40)

    pages = aws.client("dynamodb").get_paginator("scan")
    items = pages.paginate(TableName=stack["DeliveriesTableName"], ConsistentRead=True)
    rows = [
        message_row(item) for item in items.search("Items") if item["sk"]["S"].startswith(MESSAGE)
    ]
    ours = [row for row in rows if row.request_id == measure_sweeper.REQUEST_ID]
    assert [row.rings for row in ours] == [1] * 40
    assert sum(run.rung for run in runs) <= 40
    assert {run.faults for run in runs} <= {0}


def test_measurement_of_isolation(stack):
    """Quiet users are measured beside one whose receiver refuses, and one whose never responds."""
    running = Measurement(stack["api_url"], users=5, seconds=1.0, delay=5, ahead=5.0)

    alone = running.quiet()
    with Receiver(refusals=99) as refusing:
        retried = running.beside_retries(refusing.url, 5)
    with Hanging() as receiver:
        burst = running.beside_burst(receiver.url, 5)

    assert 0 < alone.p50 <= alone.p95
    assert 0 < retried.p50 <= retried.p95
    assert 0 < burst.p50 <= burst.p95
    assert {arrival.status for arrival in refusing.arrivals} == {503}
