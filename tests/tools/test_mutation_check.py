"""The changes of the mutation check, and how it tells caught ones from survivors."""

from __future__ import annotations

import pytest

from tests import mutation_check
from tests.mutation_check import CHANGES, ENOUGH, PACKAGE, Mutation, mutated, mutations

MODULE = "delivery/transitions.py"


def test_there_are_40_changes():
    """The check makes 40 changes, and at least 38 of them must be caught."""
    assert (len(set(mutations(CHANGES))), ENOUGH) == (40, 38)


@pytest.mark.parametrize("mutation", mutations(CHANGES), ids=lambda mutation: mutation.before)
def test_every_change_applies_once(mutation):
    """Every change fits its module exactly once, and the changed module compiles."""
    text = (PACKAGE / mutation.module).read_text()

    compile(mutated(mutation, text), mutation.module, "exec")

    assert mutation.before != mutation.after


@pytest.mark.parametrize("text", ["", "LEASE = 60.0\nLEASE = 60.0\n"])
def test_a_change_must_be_unambiguous(text):
    """A change whose text is missing or repeated is an error."""
    with pytest.raises(ValueError, match=r"contains 'LEASE = 60.0' \d times, not once"):
        mutated(Mutation(MODULE, "LEASE = 60.0", "LEASE = 61.0"), text)


def check(tmp_path, test):
    """Run the check with two changes against a test of one line."""
    path = tmp_path / "test_lease.py"
    path.write_text(f"from dispatcher.delivery import transitions\n\ndef test():\n    {test}\n")
    return mutation_check.main([str(path)])


@pytest.fixture
def two_changes(monkeypatch):
    """Reduce the changes to one of the lease and one of a log's length."""
    changes = ["LEASE = 60.0 => LEASE = 61.0", "LOG_LENGTH = 25 => LOG_LENGTH = 24"]
    monkeypatch.setattr(mutation_check, "CHANGES", {MODULE: changes})
    monkeypatch.setattr(mutation_check, "ENOUGH", 2)


@pytest.mark.usefixtures("two_changes")
def test_survivors_are_named(tmp_path, capsys):
    """The tests run against the changed package; too few caught changes are an error."""
    assert check(tmp_path, "assert transitions.LEASE == 60") == 1
    assert capsys.readouterr().out.splitlines() == [
        f"caught    {MODULE} | LEASE = 60.0 | LEASE = 61.0",
        f"survived  {MODULE} | LOG_LENGTH = 25 | LOG_LENGTH = 24",
        "1 of 2 changes were caught; 2 must be.",
    ]


@pytest.mark.usefixtures("two_changes")
def test_tests_must_pass_without_a_change(tmp_path, capsys):
    """The check fails if the tests fail without a change."""
    assert check(tmp_path, "assert transitions.LEASE == 59") == 1
    assert capsys.readouterr().err == "The tests fail without a change.\n"


@pytest.mark.usefixtures("two_changes")
def test_tests_that_do_not_run_are_an_error(tmp_path):
    """Tests that do not run are an error, not a caught change."""
    with pytest.raises(RuntimeError, match="The tests did not run against None"):
        check(tmp_path, "return (")
