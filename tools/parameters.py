"""Settle the value of every template parameter before a deployment.

SAM's own parser drops `Key=` without a word, and `sam deploy` keeps the last value of a parameter
that is not named. So we parse here, send every parameter each time, and hand them over in a file.
"""

from __future__ import annotations

import difflib
import json
import re
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tools.failure import ToolFailure
from tools.paths import BUILT_TEMPLATE, SAM, TEMPLATE

FUNCTION = "AWS::Serverless::Function"


class _LongForm(yaml.CSafeLoader):
    """Read `!Equals [a, b]` as {"Fn::Equals": [a, b]}, which is how JSON templates say it."""


def _keep_tag(loader: _LongForm, suffix: str, node: Any) -> dict[str, Any]:  # noqa: ANN401 - the stubs lack `id`
    value = getattr(loader, f"construct_{node.id}")(node)
    if suffix == "GetAtt":
        value = value.split(".", 1)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_LongForm.add_multi_constructor("!", _keep_tag)


def section(template: Path, name: str) -> dict[str, dict[str, Any]]:
    """Read ``Parameters``, ``Resources`` or another part of a template."""
    read = yaml.load(template.read_text(), Loader=_LongForm)  # noqa: S506 - a CSafeLoader
    found: dict[str, dict[str, Any]] = read[name]
    return found


def declared(template: Path) -> dict[str, str | None]:
    """Return the template's parameters with their defaults, None where there is none."""
    return {
        name: str(traits["Default"]) if "Default" in traits else None
        for name, traits in section(template, "Parameters").items()
    }


def folders() -> dict[str, str]:
    """Return the name of each function's folder by its logical ID."""
    return {
        logical_id: Path(resource["Properties"]["CodeUri"]).name
        for logical_id, resource in section(TEMPLATE, "Resources").items()
        if resource["Type"] == FUNCTION
    }


def deployments(samconfig: Path) -> dict[str, dict[str, Any]]:
    """Return what samconfig tells `sam deploy`, by environment."""
    return {
        name: one["deploy"]["parameters"]
        for name, one in tomllib.loads(samconfig.read_text()).items()
        if isinstance(one, dict) and "deploy" in one
    }


def profile(samconfig: Path, environment: str) -> dict[str, str]:
    """Return the parameters of one of samconfig's environments."""
    overrides = deployments(samconfig)[environment].get("parameter_overrides", {})
    return {name: str(value) for name, value in overrides.items()}


def parse(text: str) -> dict[str, str]:
    """Parse `Key=Value Other="two words" Empty=` as a shell would split it."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ToolFailure(f"PARAMETERS cannot be read: {error} in {text!r}") from error
    values = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ToolFailure(
                f"PARAMETERS: {word!r} is not Key=Value. "
                "A value with spaces needs quotes: PARAMETERS='Key=\"two words\"'"
            )
        values[name] = value
    return values


def settle(defaults: Mapping[str, str | None], *layers: Mapping[str, str]) -> dict[str, str]:
    """Give every declared parameter a value: of the last layer that has one, else its default."""
    settled = dict(defaults)
    for layer in layers:
        for name, value in layer.items():
            if name not in defaults:
                raise ToolFailure(unknown(name, list(defaults)))
            settled[name] = value
    complete = {name: value for name, value in settled.items() if value is not None}
    if missing := settled.keys() - complete.keys():
        raise ToolFailure(f"These parameters need a value: {', '.join(sorted(missing))}")
    return complete


def require_allowed(template: Path, parameters: Mapping[str, str]) -> None:
    """Refuse a value as CloudFormation would, but immediately, and name the value."""
    known = section(template, "Parameters")
    for name, value in parameters.items():
        traits = known[name]
        allowed = [str(one) for one in traits.get("AllowedValues", [])]
        in_range = traits["Type"] != "Number" or (
            value.isdecimal()
            and traits.get("MinValue", 0) <= int(value) <= traits.get("MaxValue", int(value))
        )
        fits = re.search(traits.get("AllowedPattern", ""), value) and len(value) <= int(
            traits.get("MaxLength", len(value))
        )
        if allowed and value not in allowed:
            rule = f"it is one of {', '.join(one or 'nothing' for one in allowed)}"
        elif not in_range:
            rule = f"it is a whole number from {traits.get('MinValue')} to {traits.get('MaxValue')}"
        elif not fits:
            rule = str(traits.get("ConstraintDescription", traits.get("Description")))
        else:
            continue
        raise ToolFailure(f"{name}={value} is refused: {rule}")


def require_sound(template: Path, parameters: Mapping[str, str]) -> None:
    """Refuse combinations that the template's rules refuse, but immediately."""
    wrong = [
        assertion["AssertDescription"]
        for rule in section(template, "Rules").values()
        if _value(rule["RuleCondition"], parameters)
        for assertion in rule["Assertions"]
        if not _value(assertion["Assert"], parameters)
    ]
    if wrong:
        raise ToolFailure(f"The template refuses these parameters: {'; '.join(wrong)}")


def _value(condition: object, parameters: Mapping[str, str]) -> object:
    match condition:
        case {"Ref": str(name)}:
            return parameters[name]
        case {"Fn::Equals": [left, right]}:
            return _value(left, parameters) == _value(right, parameters)
        case {"Fn::Contains": [members, member]}:
            return _value(member, parameters) in members
        case {"Fn::Not": [inner]}:
            return not _value(inner, parameters)
        case {"Fn::And": parts}:
            return all(_value(part, parameters) for part in parts)
        case dict():
            raise ToolFailure(f"tools/parameters.py cannot read a rule: {condition}")
    return condition


def unknown(name: str, known: list[str]) -> str:
    """Say that there is no such parameter, and which there are."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"It has: {', '.join(sorted(known))}"
    return f"The template has no parameter {name}. {hint}"


def sam_command(
    samconfig: Path, environment: str, parameters: Mapping[str, str], file: Path
) -> list[str]:
    """Return the command that deploys an environment with these parameters, written to a file."""
    return [
        *(str(SAM), "deploy", "--template-file", str(BUILT_TEMPLATE)),
        *("--config-file", str(samconfig), "--config-env", environment),
        *("--parameter-overrides", write_for_sam(parameters, file)),
        # SAM reads what it has packaged once more, and YAML takes it a second.
        "--use-json",
    ]


def write_for_sam(parameters: Mapping[str, str], file: Path) -> str:
    """Write the parameters where `sam deploy --parameter-overrides` finds them; return its value.

    The file is JSON under the name of YAML, a superset: SAM refuses the ending json.
    """
    # SAM strips quotes from around a value once as it reads the file, and once more after.
    guarded = {name: guard(guard(value)) for name, value in parameters.items()}
    file.write_text(json.dumps(guarded, indent=2) + "\n")
    return f"file://{file}"


def guard(value: str) -> str:
    """Put a value that begins with a quote in quotes that SAM may strip."""
    return '"' + value.replace('"', '\\"') + '"' if value[:1] in {'"', "'"} else value
