"""Whole values of a config that are never read back."""

from __future__ import annotations

import pytest

from dispatcher.errors import InvalidInputError, NotFoundError
from dispatcher.integrations.secret_keys import SecretKeys, or_kept

RULES = SecretKeys("url", "token")
CONFIG = {"url": "https://ntfy.example.com/s3cret", "title": "Reports"}
SHOWN = {"url": "***", "title": "Reports"}
HIDDEN = {"url": "https://ntfy.example.com/s3cret"}


def test_the_values_of_secret_keys_are_hidden_and_revealed():
    """Only the keys of the config are hidden; the other keys are shown."""
    assert RULES.conceal(CONFIG) == (SHOWN, HIDDEN)
    assert RULES.reveal(SHOWN, HIDDEN) == CONFIG
    assert RULES.conceal({}) == ({}, {})


@pytest.mark.parametrize(
    ("new", "kept"),
    [
        (SHOWN, CONFIG),
        ({"url": "***"}, HIDDEN),
        ({"url": "https://other.example.com/x"}, {"url": "https://other.example.com/x"}),
        ({"title": "***"}, {"title": "***"}),
        ({}, {}),
    ],
)
def test_three_stars_keep_the_stored_value_of_a_secret_key(new, kept):
    """A new value replaces it; in other keys three stars mean themselves."""
    assert RULES.keep(new, SHOWN, HIDDEN) == kept


def test_three_stars_without_a_stored_value_are_rejected():
    """Each key is named, and nothing is stored."""
    with pytest.raises(InvalidInputError) as caught:
        RULES.keep({"url": "***", "token": "***"}, {}, {})

    assert [(one.pointer, one.detail) for one in caught.value.field_errors] == [
        (pointer, "*** keeps a stored value, and there is none here: send a value")
        for pointer in ("/config/token", "/config/url")
    ]


def test_the_rule_of_a_secret_key_accepts_three_stars():
    """Any other value is checked as without a secret."""

    def refuse(value, environ):
        raise ValueError(value, environ)

    rule = or_kept(refuse)

    assert rule("***", {}) == "***"
    with pytest.raises(ValueError, match="secret"):
        rule("secret", {})


def test_a_secret_that_the_user_chose_is_not_rotated():
    """The service issues none, so there is none to rotate."""
    assert RULES.issue(bytes) == {}
    with pytest.raises(NotFoundError, match="PUT a new value"):
        RULES.rotate({}, bytes, 1.0)
