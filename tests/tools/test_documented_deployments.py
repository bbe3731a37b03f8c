"""Every deployment that a document shows: what SAM reads of it is what the reader means."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.declared import template
from tests.documents import blocks, documents
from tools.deploy import SAMCONFIG
from tools.parameters import deployments, parse, profile, require_allowed
from tools.paths import LOCAL, ROOT, TEMPLATE

SAM_PYTHON = LOCAL / "sam" / "bin" / "python"
OVERRIDES = "--parameter-overrides"
CONFIG = "--config-env"


def commands():
    """Return the words of every command in the documents that deploys or builds, with its place."""
    found = []
    for block in blocks():
        if block.language != "bash":
            continue
        for line in block.text.replace("\\\n", " ").splitlines():
            found += [
                (f"{block.document}:{block.line}", shlex.split(command))
                for command in re.split(r"\s&&\s", line)
                if re.match(r"(?:sam (?:deploy|build)|make (?:deploy|up))\b", command)
            ]
    return found


COMMANDS = commands()
SAM = [(place, words) for place, words in COMMANDS if words[:2] == ["sam", "deploy"]]
MAKE = [(place, words) for place, words in COMMANDS if words[0] == "make"]


def overrides(words):
    """Return the words after `--parameter-overrides`."""
    if OVERRIDES not in words:
        return []
    rest = words[words.index(OVERRIDES) + 1 :]
    ends = [index for index, word in enumerate(rest) if word.startswith("--")]
    return rest[: ends[0]] if ends else rest


def read_by_sam(*lists):
    """Return the parameters that SAM's own parser reads of lists of words."""
    script = Path(__file__).with_name("sam_overrides.py")
    done = subprocess.run(
        [SAM_PYTHON, script], input=json.dumps(lists), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def named(words):
    """Return the value of `NAME=value` words of make."""
    return dict(word.split("=", 1) for word in words if "=" in word)


def test_the_documents_show_both_ways():
    """With make, and with SAM's own commands."""
    assert {named(words).get("ENV") for _, words in MAKE} >= {"dev", "prod"}
    assert any(overrides(words) for _, words in SAM)


@pytest.mark.parametrize(("place", "words"), SAM)
def test_sam_reads_the_stage_of_the_environment(place, words):
    """`--parameter-overrides` drops all that samconfig.toml says, so it has to name Stage itself.

    SAM's parser drops, without a word, any input that it does not understand.
    """
    environment = words[words.index(CONFIG) + 1]
    expected = profile(SAMCONFIG, environment)
    shown = overrides(words)

    [read] = read_by_sam(shown)
    effective = read if shown else expected

    assert len(read) == len(shown), place
    assert effective["Stage"] == expected["Stage"], place
    assert effective.keys() <= template()["Parameters"].keys(), place
    require_allowed(TEMPLATE, effective)


@pytest.mark.parametrize(("place", "words"), MAKE)
def test_make_hands_over_what_is_named(place, words):
    """PARAMETERS names parameters of the template, with values that they accept."""
    settings = named(words)
    # A value that a shell fills in is not known here.
    values = {
        name: value
        for name, value in parse(settings.get("PARAMETERS", "")).items()
        if "$" not in value
    }

    # A value that is refused is shown on purpose, by the page that wants to see the refusal.
    if not place.startswith("docs/first-deployment-checklist.md"):
        require_allowed(TEMPLATE, values)
    assert values.keys() <= template()["Parameters"].keys(), place
    if words[1] == "deploy":
        assert settings["ENV"] in deployments(SAMCONFIG).keys() - {"default", "local"}, place


@pytest.mark.parametrize("environment", ["default", "dev", "prod", "local"])
def test_every_environment_names_its_stage(environment):
    """A deployment without `--parameter-overrides` gets it from samconfig.toml."""
    parameters = profile(SAMCONFIG, environment)
    stack = deployments(SAMCONFIG)[environment]["stack_name"]

    assert parameters["Stage"] == {"default": "dev"}.get(environment, environment)
    if environment != "default":
        assert stack == f"integration-dispatcher-{environment}"


def test_no_document_uses_guided_mode():
    """It asks a question for each parameter, and writes the values into a tracked file."""
    for path in documents():
        if path.name != "CHANGELOG.md":
            assert "--guided" not in path.read_text(), path


def test_the_slack_manifest_has_the_scopes_that_are_documented():
    """One list in the manifest, the same in the setup page; the channel needs no other."""
    [manifest] = [
        json.loads(block.text)
        for block in blocks()
        if block.document == "docs/deploy.md" and block.language == "json"
    ]
    setup = (ROOT / "docs" / "integrations.md").read_text().partition("## SLACK\n")[2]
    documented = set(re.findall(r"`((?:chat|im|users):[a-z.]+)`", setup.partition("\n## ")[0]))

    assert set(manifest["oauth_config"]["scopes"]["bot"]) == documented
    assert documented == {"chat:write", "im:write", "users:read", "users:read.email"}
    assert manifest["features"]["bot_user"]["display_name"]
