"""The template's text: short, and the same for every program that reads it."""

from __future__ import annotations

import json
import subprocess
from collections import Counter

import yaml

from tests.declared import TEMPLATE, template
from tools.paths import SAM

TEXT = TEMPLATE.read_text()
READ_AND_WRITE = """
import json, sys
from samcli.yamlhelper import yaml_dump, yaml_parse
read = yaml_parse(sys.stdin.read())
json.dump([read, yaml_dump(read)], sys.stdout)
"""


def read_by_sam(text):
    """Return the values that SAM reads from a text, and the text that it writes of them."""
    done = subprocess.run(
        [SAM.with_name("python"), "-c", READ_AND_WRITE],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def mappings(node):
    """Return every mapping below a node, those behind anchors as often as they are inserted."""
    match node:
        case yaml.MappingNode():
            return [node, *(one for pair in node.value for part in pair for one in mappings(part))]
        case yaml.SequenceNode():
            return [one for part in node.value for one in mappings(part)]
    return []


def test_the_template_is_no_longer_than_a_person_reads():
    """At most 1,700 lines of 120 columns; texts within the dashboard's JSON cannot be broken."""
    body, _ = template()["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    dashboard = {line.strip() for line in body.splitlines()}

    lines = TEXT.splitlines()

    assert len(lines) <= 1_700
    assert [one for one in lines if len(one) > 120 and one.strip() not in dashboard] == []


def test_no_key_is_written_twice():
    """YAML keeps the last one in silence; cfn-lint does not see it where <<: inserts keys."""
    twice = [
        (node.start_mark.line + 1, key)
        for node in mappings(yaml.compose(TEXT))
        for key, times in Counter(key.value for key, _ in node.value).items()
        if times > 1
    ]

    assert twice == []


def test_every_anchor_is_used():
    """An anchor that is never inserted is left over from a change."""
    tokens = list(yaml.scan(TEXT))

    anchors = Counter(one.value for one in tokens if isinstance(one, yaml.AnchorToken))
    inserted = {one.value for one in tokens if isinstance(one, yaml.AliasToken)}
    assert set(anchors) == inserted
    assert set(anchors.values()) == {1}


def test_sam_expands_every_anchor():
    """CloudFormation knows no anchors; the text of SAM has the same values without them."""
    read, written = read_by_sam(TEXT)

    tokens = list(yaml.scan(written))
    assert not [one for one in tokens if isinstance(one, yaml.AnchorToken | yaml.AliasToken)]
    assert "<<" not in [one.value for one in tokens if isinstance(one, yaml.ScalarToken)]
    assert read_by_sam(written)[0] == read
