"""The integrations as data."""

from __future__ import annotations

import pytest

from dispatcher.integrations import catalogue, read_type
from tests.catalogues import GUIDE, KNOWN_TYPES, Row, only

ALL = list(catalogue().values())


def test_the_guides_seven_have_the_defaults_of_its_table():
    """They keep the order of its table, whatever was added; only this test names them all."""
    found = [
        (one.name, Row(one.priority, one.retry_count, one.retry_delay_seconds, one.config))
        for one in ALL
        if one.name in GUIDE
    ]

    assert found == list(GUIDE.items())


def test_integrations_stand_in_the_order_of_their_default_priority():
    """The order of ties is the alphabet's, so that it is the same everywhere."""
    assert sorted(ALL, key=lambda one: (one.priority, one.name)) == ALL


def test_a_module_is_an_integration_if_it_exports_one():
    """Its name is the module's, in upper case; rules and shapes are no integrations."""
    with only("TEST", "RULES", "SMS", "EGRESS"):
        assert list(catalogue()) == ["SMS", "TEST"]
    assert [*catalogue().values()] == ALL


def test_nobody_can_change_the_catalogue():
    """It is shared by all requests of a process."""
    with pytest.raises(TypeError):
        catalogue()["FAX"] = ALL[0]


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_the_parts_of_an_integration_fit_together(one):
    """Defaults and required keys are keys that a config may hold; so is the one to set."""
    keys = set(one.config_type.__annotations__)

    assert set(one.config) <= keys
    assert set(one.required) <= keys
    assert one.address_key in keys | {""}


def test_a_webhook_needs_a_key_to_deliver():
    """The others of the guide find an address elsewhere, or say at accept that there is none."""
    assert {name: catalogue()[name].required for name in GUIDE if catalogue()[name].required} == {
        "WEBHOOK": ("url",)
    }


def test_a_text_message_is_never_sent_again_after_an_unknown_outcome():
    """A second text message costs and annoys more than a lost one."""
    assert [name for name in GUIDE if not catalogue()[name].resend_unknown] == ["SMS"]


def test_a_webhook_has_secrets():
    """Header values, query values and signing secrets."""
    assert [name for name in GUIDE if catalogue()[name].secrets] == ["WEBHOOK"]


@pytest.mark.parametrize("text", ["WEBHOOK", "webhook", "WebHook"])
def test_a_type_is_read_in_any_case(text):
    """The type is returned in upper case."""
    assert read_type(text) == "WEBHOOK"


@pytest.mark.parametrize("text", ["", "FAX", "WEBHOOK ", "\u017fms", "SLAC\u212a"])
def test_a_type_that_is_not_in_the_catalogue_is_rejected(text):
    """Foreign letters that upper() maps onto ASCII ones name no integration either."""
    with pytest.raises(ValueError, match=rf"^must be one of {KNOWN_TYPES}$"):
        read_type(text)


def test_a_type_may_be_restricted_to_some():
    """A mailbox knows two types only."""
    with pytest.raises(ValueError, match=r"^must be one of CLI, TEST$"):
        read_type("slack", ("CLI", "TEST"))
    assert read_type("test", ("CLI", "TEST")) == "TEST"
