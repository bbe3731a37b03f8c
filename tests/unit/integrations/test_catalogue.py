"""The seven integrations as data."""

from __future__ import annotations

import pytest

from dispatcher.integrations import catalogue, read_type

ALL = list(catalogue().values())


def test_they_stand_in_the_order_of_the_guides_table():
    """By default priority: 1 to 7."""
    assert [(one.priority, one.name) for one in ALL] == [
        (1, "SLACK"),
        (2, "EMAIL"),
        (3, "WEBHOOK"),
        (4, "SMS"),
        (5, "TEST"),
        (6, "CLI"),
        (7, "TOOL"),
    ]


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


def test_only_webhook_needs_a_key_to_deliver():
    """All others find an address elsewhere, or say at accept that there is none."""
    assert {one.name: one.required for one in ALL if one.required} == {"WEBHOOK": ("url",)}


def test_only_sms_is_never_sent_again_after_an_unknown_outcome():
    """A second text message costs and annoys more than a lost one."""
    assert [one.name for one in ALL if not one.resend_unknown] == ["SMS"]


def test_only_webhook_has_secrets():
    """Header values, query values and signing secrets."""
    assert [one.name for one in ALL if one.secrets] == ["WEBHOOK"]


@pytest.mark.parametrize("text", ["WEBHOOK", "webhook", "WebHook"])
def test_a_type_is_read_in_any_case(text):
    """The type is returned in upper case."""
    assert read_type(text) == "WEBHOOK"


@pytest.mark.parametrize("text", ["", "FAX", "WEBHOOK ", "\u017fms", "SLAC\u212a"])
def test_a_type_that_is_not_in_the_catalogue_is_rejected(text):
    """Foreign letters that upper() maps onto ASCII ones name no integration either."""
    with pytest.raises(ValueError, match=r"^must be one of SLACK, EMAIL, WEBHOOK, SMS, TEST, "):
        read_type(text)


def test_a_type_may_be_restricted_to_some():
    """A mailbox knows two types only."""
    with pytest.raises(ValueError, match=r"^must be one of CLI, TEST$"):
        read_type("slack", ("CLI", "TEST"))
    assert read_type("test", ("CLI", "TEST")) == "TEST"
