"""Every template parameter gets a value, by one rule."""

from __future__ import annotations

import subprocess
import tomllib
from typing import TYPE_CHECKING

import pytest

from tools import parameters
from tools.failure import ToolFailure
from tools.local_cloud import settle
from tools.paths import LOCAL, ROOT, TEMPLATE

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("Key=Value", {"Key": "Value"}),
        ("Key=Value Other=", {"Key": "Value", "Other": ""}),
        ('Key="two words" Other=1', {"Key": "two words", "Other": "1"}),
        ("Cidrs=10.0.0.0/8,127.0.0.0/8", {"Cidrs": "10.0.0.0/8,127.0.0.0/8"}),
        ("Key=a=b", {"Key": "a=b"}),
        ("Key=first Key=last", {"Key": "last"}),
    ],
)
def test_parameters_are_split_as_a_shell_would(text, values):
    """An empty value is a value; commas and equals signs are part of one."""
    assert parameters.parse(text) == values


@pytest.mark.parametrize("text", ["Key", "=Value", "Key=Value stray", "Key='unclosed"])
def test_what_is_not_key_and_value_is_refused(text):
    """A typing error is reported, not dropped."""
    with pytest.raises(ToolFailure, match="PARAMETERS"):
        parameters.parse(text)


def test_later_layers_win_and_defaults_fill_the_rest():
    """Overrides come before the profile, the profile before the template's defaults."""
    defaults = {"A": "a", "B": "b", "C": None, "D": ""}

    settled = parameters.settle(defaults, {"B": "profile", "C": "profile"}, {"C": "", "A": "x"})

    assert settled == {"A": "x", "B": "profile", "C": "", "D": ""}


def test_an_unknown_parameter_is_named_with_those_that_exist():
    """The error for a typo shows the right name."""
    known = {"LogLevel": "INFO", "Stage": "dev"}

    with pytest.raises(ToolFailure) as failure:
        parameters.settle(known, {"LogLevl": "DEBUG"})

    assert str(failure.value) == ("The template has no parameter LogLevl. Did you mean LogLevel?")


def test_a_parameter_without_any_value_is_asked_for():
    """Nothing is deployed with a hole in it."""
    with pytest.raises(ToolFailure, match="need a value: Sender"):
        parameters.settle({"Sender": None})


def test_the_local_profile_fits_the_template():
    """Every deployment on this machine names every parameter, and opens webhooks to loopback."""
    settled = settle({})

    assert settled.keys() == parameters.declared(TEMPLATE).keys()
    assert settled["Stage"] == "local"
    assert settled["WebhookAllowedCidrs"] == "127.0.0.0/8"
    assert settled["WebhookAllowHttp"] == "true"


@pytest.mark.parametrize("name", ["Runtime", "Architecture"])
def test_what_this_machine_cannot_run_is_refused(name):
    """The local cloud runs functions with its own Python, whatever the template says."""
    with pytest.raises(ToolFailure, match=f"{name}=other cannot run here"):
        settle({name: "other"})


def test_every_environment_of_samconfig_names_real_parameters():
    """`sam deploy --config-env prod` does not fail on a name that has gone."""
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    environments = [one["deploy"]["parameters"] for one in config.values() if isinstance(one, dict)]

    named = {name for one in environments for name in one.get("parameter_overrides", {})}

    assert named >= {"Stage", "WebhookAllowHttp"}
    assert named <= parameters.declared(TEMPLATE).keys()


AS_SAM_READS_THEM = """
import json, sys
from samcli.cli.types import CfnParameterOverridesType
json.dump(CfnParameterOverridesType().convert((sys.argv[1],), None, None), sys.stdout)
"""


def test_sam_reads_what_we_meant(tmp_path: Path):
    """Empty, spaced and quoted values reach SAM unchanged, which its own syntax cannot do."""
    values = {
        "Empty": "",
        "Spaces": " two  words ",
        "Commas": "a,b",
        "Number": "007",
        "Quoted": '"in quotes"',
        "Single": "'in quotes'",
        "Json": '{"a": "b"}',
        "Yes": "true",
        "Tilde": "~",
    }
    argument = parameters.write_for_sam(values, tmp_path / "parameters.yaml")

    read = subprocess.run(
        [LOCAL / "sam" / "bin" / "python", "-c", AS_SAM_READS_THEM, argument],
        capture_output=True,
        text=True,
        check=True,
    )

    assert parameters.yaml.safe_load(read.stdout) == values


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("Stage", "test", "it is one of local, dev, prod"),
        ("SlackDefaultEnabled", "yes", "it is one of nothing, true, false"),
        ("RetentionDays", "0", "it is a whole number from 1 to 3650"),
        ("RetentionDays", "many", "it is a whole number from 1 to 3650"),
        ("SlackDefaultRetryCount", "21", "0 to 20 retries after the first attempt, or empty"),
        ("WebhookAllowedCidrs", "0.0.0.0/0", "networks such as 10.20.0.0/16"),
    ],
)
def test_a_value_that_cannot_be_deployed_is_told_at_once(name, value, rule):
    """The person reads which value, and what it may be, before anything is started."""
    with pytest.raises(ToolFailure) as failure:
        parameters.require_allowed(TEMPLATE, {name: value})

    assert str(failure.value).startswith(f"{name}={value} is refused: {rule}")


def test_what_the_template_says_itself_is_allowed():
    """Its own defaults, and an empty value where that means unset."""
    defaults = {
        name: value for name, value in parameters.declared(TEMPLATE).items() if value is not None
    }

    parameters.require_allowed(TEMPLATE, {**defaults, "SlackDefaultPriority": ""})


@pytest.mark.parametrize(
    ("overrides", "rule"),
    [
        ({"SmtpHost": "localhost"}, "Email requires a sender; set EmailSender"),
        (
            {"SmtpUsername": "ada", "SmtpTls": "none"},
            (
                "A password requires TLS; set SmtpTls to starttls or implicit; "
                "SmtpUsername requires a password; set SmtpPasswordSecret"
            ),
        ),
        (
            {"Stage": "prod", "AuthMode": "required", "WebhookAllowedCidrs": ""},
            (
                "In prod webhooks use https; deploy with WebhookAllowHttp=false; "
                "Without OidcIssuer or ApiKeysSecret every call would be rejected; set one of "
                "them, or, in local and dev, AuthMode=none"
            ),
        ),
    ],
)
def test_parameters_that_do_not_go_together_are_told_at_once(overrides, rule):
    """By the template's own rules, before anything is started."""
    with pytest.raises(ToolFailure) as failure:
        settle(overrides)

    assert str(failure.value) == f"The template refuses these parameters: {rule}"
