"""The report that `make bench` makes of its measurements."""

from __future__ import annotations

import json

import pytest

from bench import __main__ as bench
from bench.figures import Budget, Cost, Figure, exit_code, median, percentile, ratio
from tools.paths import ROOT


def figure(value, budget=None):
    """Return a figure of nothing."""
    return Figure(row="row", what="what", value=value, budget=budget)


def test_processor_and_wall_time_have_medians_of_their_own():
    """One slow run changes nothing."""
    costs = [Cost(1, 30), Cost(9, 10), Cost(2, 20)]

    assert median(costs) == Cost(2, 20)


def test_a_ratio_is_one_of_medians():
    """By each clock."""
    mine, floor = [Cost(3, 8), Cost(3, 8), Cost(50, 90)], [Cost(2, 1), Cost(2, 4), Cost(2, 5)]

    assert ratio(mine, floor) == Cost(1.5, 2)


def test_a_percentile_is_a_value_that_so_many_do_not_exceed():
    """Of 0 to 100, 95 do not exceed 95."""
    assert percentile(range(101), 95) == pytest.approx(95)


@pytest.mark.parametrize(
    ("budget", "allowed", "refused"),
    [(Budget(1.5), (0, 1.5), (1.51, 9)), (Budget(0.5, at_least=True), (0.5, 9), (0, 0.49))],
)
def test_a_budget_is_a_limit_on_one_side(budget, allowed, refused):
    """The limit itself is allowed."""
    assert [figure(value, budget).is_broken for value in allowed] == [False, False]
    assert [figure(value, budget).is_broken for value in refused] == [True, True]


def test_one_broken_budget_fails_the_run():
    """A figure without a budget is only told."""
    assert exit_code([figure(99), figure(1, Budget(1))]) == 0
    assert exit_code([figure(1, Budget(1)), figure(1.01, Budget(1))]) == 1


def test_a_broken_budget_is_written_down_as_such():
    """For programs that read results.json."""
    written = figure(2, Budget(1.5)).as_json()

    assert json.loads(json.dumps(written)) == {
        "row": "row",
        "what": "what",
        "value": 2,
        "unit": "times",
        "budget": "≤ 1.5",
        "verdict": "BROKEN",
        "wall": None,
        "note": "",
    }


def test_a_row_that_does_not_exist_is_named(capsys):
    """With those that do."""
    assert bench.main(["cold", "tepid"]) == 2
    assert "no such row: tepid. Rows: sizes, cold" in capsys.readouterr().err


def test_every_row_is_a_module_and_has_its_line_in_the_makefile():
    """`make bench ROWS=…` measures one of them."""
    assert [row for row in bench.ROWS if not (ROOT / "bench" / f"{row}.py").exists()] == []
    assert "-m bench $(ROWS)" in (ROOT / "Makefile").read_text()
