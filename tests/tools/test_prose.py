"""The prose linter: each rule, the prose of each kind of file, and the message."""

from __future__ import annotations

import pytest

from tools import prose

RULES = {rule["name"]: rule for rule in prose.VOCABULARY["rules"]}


@pytest.mark.parametrize("name", RULES)
def test_each_rule_finds_its_wrong_sentence(name):
    """The message names the file, the line, the rule and the better word."""
    rule = RULES[name]

    found = prose.findings("docs/page.md", f"One line.\n\n{rule['wrong']}\n")

    starts = [line.partition(' "')[0] for line in found]
    assert f"docs/page.md:3: {name}:" in starts
    (line,) = [line for line in found if f" {name}:" in line][:1]
    assert f"write {rule['write']}. {rule['why']}" in line


@pytest.mark.parametrize("name", RULES)
def test_each_rule_leaves_its_right_sentence_alone(name):
    """No rule at all finds the sentence that a rule recommends."""
    assert prose.findings("page.md", f"{RULES[name]['right']}\n") == []


def test_code_in_markdown_is_not_prose():
    """Code, comments and addresses keep the words of the code."""
    page = "See `id`, ``the `id` ``, [text](id.md).\n\n```text\nid\n```\n<!-- id -->\nid\n"

    assert [line.split('"')[0] for line in prose.findings("a.md", page)] == ["a.md:7: id: "]


def test_docstrings_and_comments_of_python_are_prose():
    """Other strings are not, even if they begin a line."""
    source = '''"""An id."""

x = (
    """An id."""
    "an id"
)
"""An id
or two ids.
"""


def f(a):  # no id
    # First of
    # two ids
    """Return `id`."""
    return """an id"""
'''

    lines = [line.split(":")[1] for line in prose.findings("a.py", source)]

    assert lines == ["1", "7", "8", "12", "14"]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("Makefile", "build: id ## Build an id\n", 1),
        ("a.toml", "id = 'id'\n# An id\n", 2),
        ("template.yaml", "id: id\nDescription: An id\n", 2),
        ("template.yaml", "id: id\nDescription: >-\n  One\n  id\nDefault: id\n", 4),
        ("template.yaml", 'id: {id: id,\n  Description: "One\n    id", Default: id}\n', 3),
        ("docs/openapi.json", '{"id": "id",\n "description": "A \\" id"}\n', 2),
    ],
)
def test_other_files_have_comments_and_descriptions(name, text, line):
    """Keys and values are not prose."""
    assert [found.split(' "')[0] for found in prose.findings(name, text)] == [f"{name}:{line}: id:"]


def test_a_check_of_the_linter_itself_is_used():
    """The archaic words of proselint are enabled in tools/prose.yaml."""
    (line,) = prose.findings("a.md", "It waits for ever.\n")

    assert line.startswith("a.md:1: archaism: 'for ever' is archaic")


def test_every_built_in_check_exists():
    """A name that proselint does not have would silently check no file."""
    names = [check.path for check in prose.built_in]

    for wanted in prose.VOCABULARY["built_in"]:
        assert [name for name in names if name == wanted or name.startswith(f"{wanted}.")], wanted
