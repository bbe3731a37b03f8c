"""The details of invalid fields are sentences of this project, never a library's text."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.configuration.bodies import (
    OverrideBody,
    change_body,
    override_body,
    override_config,
)
from dispatcher.errors import BrokenSettingError, InvalidInputError
from dispatcher.integrations import catalogue
from dispatcher.integrations.egress import egress_policy
from dispatcher.messages.bodies import RecipientBody, SendBody, send_body
from dispatcher.strict_json import MalformedJsonError, read_json
from tests.contract import LIBRARY_TEXT
from tools.paths import ROOT

CASES = json.loads((ROOT / "tests" / "data" / "bad_inputs.json").read_text())["cases"]
REFUSED = [
    case
    for case in CASES
    if case["expect"] == "reject_config"
    and case["kind"] in {"ssrf_url", "webhook_headers", "webhook_options"}
]
INJECTIONS = [case for case in CASES if case["kind"] == "injection"]

OURS = re.compile(r"(must|is required|is a|is not a known field|holds|names|cannot|with|filled)\b")
"""The beginnings of our sentences."""

MALFORMED = re.compile(
    r"is not valid JSON: (it is empty|see line \d+, column \d+)"
    r"|contains a key twice in one object|is nested deeper than \d+ levels"
    r"|contains (NaN or Infinity, which JSON does not allow|a number .+)"
)

VALUES = [
    None, True, False, 0, -1, 5, 1.5, 1e308, 10**30, "", " ", "x", "5", "true", "a\nb", "a\0b", "é",
    "x" * 300, "x" * 1000, "x" * 140_000, [], [1], [None], ["x"], ["TEST"] * 8, {}, {"a": 1},
    {"a": {"b": [1]}}, {"": ""}, {"x" * 100: "x"}, {f"v{number}": 1 for number in range(65)},
    "ada@", "a@b", "Ada <a@b.co>", "a@b..com", "é@b.com", "a@xn--zz.com", '"a"@b.com', "a@[::1]",
    "a@localhost", "a b@c.com", "a" * 65 + "@b.com", "https://[::1/", "https://h.example.com:99999/",
    "2026-02-30T00:00:00Z", "\ud800",
]  # fmt: skip

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def details(read, *arguments):
    """Return the details with which a reader rejects an input; none if it accepts it."""
    try:
        read(*arguments, {})
    except InvalidInputError as error:
        return [field_error.detail for field_error in error.field_errors]
    return []


def foreign(found):
    """Return the details that are not our sentences."""
    return [text for text in found if LIBRARY_TEXT.search(text) or not OURS.match(text)]


def bodies(value):
    """Yield a reader and a body for each place of a request that may hold a value."""
    for reader in (send_body, override_body, change_body):
        yield reader, value
    for name in (*SendBody.model_fields, "unknown"):
        yield send_body, {"content": "x", name: value}
    for name in (*RecipientBody.model_fields, "unknown"):
        yield send_body, {"content": "x", "recipient": {name: value}}
    yield send_body, {"content": "x", "template_variables": {"name": value}}
    yield send_body, {"content": "x", "integration_types": [value]}
    for name in (*OverrideBody.model_fields, "unknown"):
        yield override_body, {"integration_type": "TEST", name: value}
        yield change_body, {name: value}


def configs(value):
    """Yield an integration and a config for each of its keys that may hold a value."""
    for integration in catalogue().values():
        for name in (*integration.config_type.__annotations__, "unknown"):
            yield integration, {name: value}


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:30])
def test_a_wrong_value_gets_a_sentence_of_ours_wherever_it_is(value):
    """Each value in each field of each body and config."""
    found = [text for read, body in bodies(value) for text in details(read, body)]
    if value != "\ud800":  # the reader of the body rejects it before the config is read
        found += [
            text for name, body in configs(value) for text in details(override_config, name, body)
        ]

    assert found
    assert foreign(found) == []


@given(JSON)
def test_any_value_gets_a_sentence_of_ours(value):
    """The same for unforeseen values."""
    assert foreign(text for read, body in bodies(value) for text in details(read, body)) == []


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["id"])
def test_a_refused_webhook_config_gets_a_sentence_of_ours(case):
    """The URLs, headers and options of the corpus of bad inputs."""
    config = {"url": "https://hooks.example.com/"}
    match case:
        case {"kind": "ssrf_url", "input": url}:
            config["url"] = expanded(url)
        case {"kind": "webhook_headers", "input": headers}:
            config["headers"] = headers
        case {"input": options}:
            config |= options
    found = details(override_config, catalogue()["WEBHOOK"], config)

    assert found
    assert foreign(found) == []


@pytest.mark.parametrize("case", INJECTIONS, ids=lambda case: case["id"])
def test_a_hostile_text_gets_a_sentence_of_ours_wherever_it_is(case):
    """The payloads of the corpus of bad inputs, in each field of each body."""
    payload = expanded(case["input"].get("payload", case["input"]))

    found = [text for read, body in bodies(payload) for text in details(read, body)]

    assert found
    assert foreign(found) == []


def expanded(value):
    """Write out a text that the data abbreviates."""
    match value:
        case {"$gen": [prefix, unit, count, suffix]}:
            return prefix + unit * count + suffix
        case {"$gen_runs": runs}:
            return "".join(unit * count for unit, count in runs)
    return value


@given(st.text() | JSON.map(lambda value: json.dumps(value)[:-1]))
def test_a_text_that_is_not_json_gets_a_sentence_of_ours(text):
    """Python's reader words the same mistake differently in each version."""
    assert MALFORMED.fullmatch(complaint(text))


def complaint(text):
    """Return the reason why a text is not JSON, as our sentence if it is one."""
    try:
        read_json(text)
    except MalformedJsonError as error:
        return str(error)
    return "is not valid JSON: it is empty"


@pytest.mark.parametrize("networks", ["10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/8,", "localhost"])
def test_a_network_that_is_none_gets_a_sentence_of_ours(networks):
    """The operator reads it in the problem of every route."""
    with pytest.raises(BrokenSettingError) as caught:
        egress_policy({"WEBHOOK_ALLOWED_CIDRS": networks})

    assert not LIBRARY_TEXT.search(str(caught.value))
    assert "set it to networks such as 10.20.0.0/16,fd12:3456::/32" in str(caught.value)
