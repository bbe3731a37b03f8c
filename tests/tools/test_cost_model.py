"""docs/cost.md says what the model says."""

from __future__ import annotations

import pytest

from tests import cost
from tests.cost import Case
from tests.declared import template
from tests.documents import rows


@pytest.mark.parametrize("heading", cost.tables())
def test_a_table_is_the_models(heading):
    """After a change of the model, its tables are written again."""
    assert rows("docs/cost.md", heading) == cost.tables()[heading]


def test_log_lines_are_told_as_they_are_reckoned():
    """The measured value is defined in one place."""
    told = [int(size) for _, size in rows("docs/cost.md", "Logs")]

    assert told == [cost.SIZES[name] for name in ("send", "attempt", "batch")]


def test_what_an_idle_stack_pays_for_is_what_the_template_declares():
    """Alarms, their metrics, and polled queues."""
    resources = template()["Resources"].values()
    alarms = [one["Properties"] for one in resources if one["Type"] == "AWS::CloudWatch::Alarm"]
    polled = [one for one in resources if one["Type"] == "AWS::Lambda::EventSourceMapping"]

    metrics = [
        sum("MetricStat" in part for part in alarm["Metrics"]) if "Metrics" in alarm else 1
        for alarm in alarms
    ]

    assert (len(alarms), sum(metrics)) == (cost.ALARMS, cost.ALARM_METRICS)
    assert len(polled) == cost.POLLED_QUEUES


@pytest.mark.parametrize(
    ("deliveries", "units", "most"), [(1, 6, 11.60), (3, 8, 14.60), (7, 12, 20.60)]
)
def test_the_budget_of_a_million_sends(deliveries, units, most):
    """A send of 1,000 bytes keeps its budget of write units and dollars."""
    case = Case(deliveries=deliveries)

    assert cost.UNITS[deliveries] == units
    assert cost.total(case) <= most


def test_sharing_makes_each_delivery_cheaper_and_no_send():
    """The more deliveries a send has, the less each costs."""
    totals = [cost.total(Case(deliveries=count)) for count in (1, 3, 7)]

    assert totals == sorted(totals)
    assert totals[2] / 7 < totals[1] / 3 < totals[0]


@pytest.mark.parametrize(("size", "units"), [(0, 1), (1024, 1), (1025, 2), (4096, 4)])
def test_a_kilobyte_begun_is_a_write_unit(size, units):
    """Also for an empty row."""
    assert cost.write_units(size) == units


@pytest.mark.parametrize(("size", "units"), [(0, 1), (4096, 1), (4097, 2)])
def test_four_kilobytes_begun_are_a_read_unit(size, units):
    """Half of one where the read is not consistent."""
    assert cost.read_units(size) == units
    assert cost.read_units(size, consistent=False) == units / 2
