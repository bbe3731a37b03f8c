"""WEBHOOK overrides: their settings, their receivers, and the default row."""

from __future__ import annotations

import pytest

from dispatcher.configuration.bodies import override_config
from dispatcher.errors import BrokenSettingError
from dispatcher.integrations.integration import Address, Recipient
from dispatcher.integrations.webhook import INTEGRATION
from tests.unit.integrations.corpus import accepted, cases


@pytest.mark.parametrize(("headers", "expect"), cases("webhook_headers"))
def test_corpus_of_headers(headers, expect):
    """Headers are accepted exactly where they neither break the frame nor speak for us."""
    config = {"headers": headers}

    verdict = accepted(config)

    assert verdict == expect


@pytest.mark.parametrize(("options", "expect"), cases("webhook_options"))
def test_corpus_of_options(options, expect):
    """Only the four keys exist, and only methods that carry a body."""
    config = dict(options)

    verdict = accepted(config)

    assert verdict == expect


@pytest.mark.parametrize(
    ("headers", "expect"),
    [
        ({f"X-{n}": "v" for n in range(32)}, "allow"),
        ({f"X-{n}": "v" for n in range(33)}, "reject_config"),
        ({"X-A": "1", "x-a": "2"}, "reject_config"),
        ({"X" * 128: "v"}, "allow"),
        ({"X" * 129: "v"}, "reject_config"),
        ({"X-A": "v" * 4096}, "allow"),
        ({"X-A": "v" * 4097}, "reject_config"),
        ({"X-A": " v"}, "reject_config"),
        ({"X-A": "v\t"}, "reject_config"),
        ({"X-A": " "}, "reject_config"),
        ({"X-A\n": "v"}, "reject_config"),
        ({"X-A": "v\n"}, "reject_config"),
        ({"X:A": "v"}, "reject_config"),
        ({"CONTENT-TYPE": "text/plain"}, "reject_config"),
        ({"Content_Length": "1"}, "reject_config"),
        ({"x_forwarded_host": "a"}, "reject_config"),
        ({"X-Rewrite-URL": "/"}, "reject_config"),
        ({"Lambda-Runtime-Aws-Request-Id": "1"}, "reject_config"),
        ({"Webhook-Id": "1"}, "reject_config"),
        ({"Metadata-Flavor": "Google"}, "reject_config"),
        ({"Trailer": "X"}, "reject_config"),
        ({"Proxy-Authorization": "x"}, "reject_config"),
        ({"Authorization": "Bearer x", "X-Custom_Key": "v"}, "allow"),
        ({"X-A": None}, "reject_config"),
        ({}, "allow"),
    ],
)
def test_headers(headers, expect):
    """Limits are exact, names count once in any case, and "_" does not disguise a reserved name."""
    config = {"headers": headers}

    verdict = accepted(config)

    assert verdict == expect


@pytest.mark.parametrize(
    ("config", "stored"),
    [
        ({"method": "post"}, {"method": "POST"}),
        ({"method": "Put"}, {"method": "PUT"}),
        ({"method": "PATCH"}, {"method": "PATCH"}),
        ({"include_agent_info": False}, {"include_agent_info": False}),
    ],
)
def test_stores_normal_forms(config, stored):
    """Methods are stored in upper case."""
    given = dict(config)

    result = override_config(INTEGRATION, given, {})

    assert result == stored


@pytest.mark.parametrize(
    "config",
    [
        {"include_agent_info": "true"},
        {"include_agent_info": 1},
        {"method": 1},
        {"method": "po\u017ft"},
    ],
)
def test_values_are_strict(config):
    """Nothing is converted."""
    given = dict(config)

    verdict = accepted(given)

    assert verdict == "reject_config"


@pytest.mark.parametrize(
    ("config", "expect"),
    [({"url": "https://a.example.com/"}, Address("url", "https://a.example.com/")), ({}, None)],
)
def test_address(config, expect):
    """The address is the override's URL and nothing that a caller sends along."""
    recipient = Recipient(email="a@example.com")

    found = INTEGRATION.address(config, recipient, "user", {})

    assert found == expect


def test_default_row():
    """WEBHOOK is never enabled by default, always configured, and needs a URL."""
    one = INTEGRATION

    row = (one.priority, one.retry_count, one.retry_delay_seconds, one.auto_enabled, one.required)

    assert (*row, one.configured({}), one.config) == (3, 1, 30, False, ("url",), True, {})


def test_ranges_that_cannot_be_read_break_the_setting_before_any_delivery():
    """Whether WEBHOOK is configured is asked before every claim, and by /health."""
    with pytest.raises(BrokenSettingError, match="WEBHOOK_ALLOWED_CIDRS"):
        INTEGRATION.configured({"WEBHOOK_ALLOWED_CIDRS": "10.1.2.3/8"})

    assert INTEGRATION.configured({"WEBHOOK_ALLOWED_CIDRS": "10.0.0.0/8"}) is True
