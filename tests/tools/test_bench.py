"""The report that `make bench` makes of its measurements."""

from __future__ import annotations

import json

import pytest

from evidence.bench import __main__ as bench
from evidence.bench.cloud import percentile
from evidence.bench.figures import Cost, Figure, median, ratio
from tools.failure import ToolFailure
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
    assert percentile([*range(101)], 95) == pytest.approx(95)


def test_a_budget_is_the_largest_value_that_is_kept():
    """The limit itself is allowed."""
    assert [figure(value, 1.5).verdict for value in (0, 1.5)] == ["kept", "kept"]
    assert [figure(value, 1.5).verdict for value in (1.51, 9)] == ["BROKEN", "BROKEN"]


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([figure(99), figure(1, 1)], 0),
        ([figure(1, 1), figure(2, 1.5)], 1),
    ],
)
def test_one_broken_budget_fails_the_run(rows, code, monkeypatch, tmp_path, capsys):
    """A figure without a budget is only shown; a broken budget is stored as such."""
    results = tmp_path / "bench.json"
    monkeypatch.setattr(bench, "RESULTS", results)
    monkeypatch.setattr(bench, "build", lambda: "")
    monkeypatch.setitem(bench.ROWS, "sizes", lambda: rows)

    assert bench.main(["sizes"]) == code

    stored = json.loads(results.read_text())["figures"]
    assert [row["verdict"] for row in stored] == [row.verdict for row in rows]
    assert ("BROKEN" in capsys.readouterr().out) is bool(code)


def test_a_row_that_cannot_be_measured_fails_the_run(monkeypatch, tmp_path, capsys):
    """The other rows are still measured."""

    def fail():
        raise ToolFailure("no processor")

    monkeypatch.setattr(bench, "RESULTS", tmp_path / "bench.json")
    monkeypatch.setattr(bench, "build", lambda: "")
    monkeypatch.setitem(bench.ROWS, "cold", fail)
    monkeypatch.setitem(bench.ROWS, "warm", lambda: [figure(1)])

    assert bench.main(["cold", "warm"]) == 2
    assert "error: no processor" in capsys.readouterr().err
    assert json.loads((tmp_path / "bench.json").read_text())["figures"][0]["value"] == 1


def test_a_row_that_does_not_exist_is_named(capsys):
    """With those that do."""
    assert bench.main(["cold", "tepid"]) == 2
    assert "no such row: tepid. Rows: sizes, cold" in capsys.readouterr().err


def test_the_makefile_passes_the_rows():
    """`make bench ROWS=…` measures single rows."""
    assert "-m evidence.bench $(ROWS)" in (ROOT / "Makefile").read_text()
