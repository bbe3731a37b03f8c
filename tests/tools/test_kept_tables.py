"""The import that CloudFormation needs to take kept tables back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.declared import template as declared
from tools import kept_tables

ARN = "arn:aws:kms:eu-central-1:123456789012:key/0a1b2c3d-0000-4000-8000-000000000000"


@pytest.fixture
def written(tmp_path, monkeypatch, capsys):
    """Run the tool; return the two files that it prints."""
    monkeypatch.setattr(kept_tables, "FOLDER", tmp_path)
    assert kept_tables.main(["overrides", "deliveries", ARN]) == 0
    template, resources = capsys.readouterr().out.split()
    return Path(template), Path(resources)


def test_all_that_a_deleted_stack_leaves_is_taken_back(written):
    """Each by the identifier that CloudFormation asks for.

    Source: CloudFormation User Guide, "Resource type support" of imports: TableName and KeyId.
    """
    kept = {
        name: one["Type"]
        for name, one in declared()["Resources"].items()
        if one.get("UpdateReplacePolicy") == "Retain"
    }

    resources = json.loads(written[1].read_text())

    assert {one["LogicalResourceId"]: one["ResourceType"] for one in resources} == kept
    assert {one["LogicalResourceId"]: one["ResourceIdentifier"] for one in resources} == {
        "Key": {"KeyId": "0a1b2c3d-0000-4000-8000-000000000000"},
        "OverridesTable": {"TableName": "overrides"},
        "DeliveriesTable": {"TableName": "deliveries"},
    }


def test_the_template_describes_them_as_ours_does(written):
    """The next deployment then changes nothing in them, and no failure deletes them."""
    made = json.loads(written[0].read_text())

    # JSON writes the name and the attribute apart.
    apart = json.loads(json.dumps(declared()).replace('"Key.Arn"', '["Key", "Arn"]'))
    for name, resource in made["Resources"].items():
        assert resource == apart["Resources"][name] | {"DeletionPolicy": "Retain"}
    assert made["Parameters"].keys() == {"Stage", "ProtectTables"}


def test_the_template_is_one_that_cloudformation_reads(written):
    """It refers to nothing that it lacks, says cfn-lint."""
    linter = Path(sys.executable).with_name("cfn-lint")
    linted = subprocess.run([linter, "--", written[0]], capture_output=True, text=True, check=False)

    assert linted.stdout + linted.stderr == ""
    assert linted.returncode == 0


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([], "give OVERRIDES_TABLE"),
        (["overrides", "deliveries"], "give OVERRIDES_TABLE"),
        (["overrides", "deliveries", "None"], "not the ARN of a key"),
    ],
)
def test_a_name_that_is_missing_is_said(names, told, capsys, tmp_path, monkeypatch):
    """Before anything is written."""
    monkeypatch.setattr(kept_tables, "FOLDER", tmp_path / "kept")

    assert kept_tables.main(names) == 1

    assert told in capsys.readouterr().err
    assert not (tmp_path / "kept").exists()
