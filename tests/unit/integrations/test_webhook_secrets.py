"""How the secrets of a WEBHOOK override are hidden and kept."""

from __future__ import annotations

import pytest

from dispatcher.errors import FieldError, InvalidInputError
from dispatcher.integrations.webhook import INTEGRATION

SECRETS = INTEGRATION.secrets


@pytest.mark.parametrize(
    ("config", "shown", "secrets"),
    [
        ({}, {}, {}),
        ({"url": "https://a.example.com/x"}, {"url": "https://a.example.com/x"}, {}),
        ({"method": "PUT", "headers": {}}, {"method": "PUT", "headers": {}}, {}),
        (
            {"url": "https://a.example.com/?t=1&u=&flag&t=2", "headers": {"A": "b", "C": ""}},
            {
                "url": "https://a.example.com/?t=***&u=***&***&t=***",
                "headers": {"A": "***", "C": "***"},
            },
            {
                "url": "https://a.example.com/?t=1&u=&flag&t=2",
                "headers": {"A": "b", "C": ""},
            },
        ),
        (
            {"url": "https://a.example.com/?&=&"},
            {"url": "https://a.example.com/?&=&"},
            {"url": "https://a.example.com/?&=&"},
        ),
    ],
)
def test_conceals_and_reveals(config, shown, secrets):
    """Names are shown, values are secrets, and revealing is the inverse of concealing."""
    given = dict(config)

    concealed = SECRETS.conceal(given)

    assert (concealed, SECRETS.reveal(*concealed)) == ((shown, secrets), config)


STORED = {
    "url": "https://a.example.com/x?t=1&flag&t=2",
    "headers": {"Authorization": "Bearer b", "X~/Y": "v"},
}


@pytest.mark.parametrize(
    ("new", "kept"),
    [
        (
            {"url": "https://A.example.com:443/y?t=***&n=5", "headers": {"authorization": "***"}},
            {
                "url": "https://A.example.com:443/y?t=1&n=5",
                "headers": {"authorization": "Bearer b"},
            },
        ),
        (
            {"url": "https://a.example.com/x?t=9&t=***&***"},
            {"url": "https://a.example.com/x?t=9&t=2&flag"},
        ),
        (
            {"url": "https://b.example.com/x?t=7", "headers": {"Authorization": "Bearer c"}},
            {"url": "https://b.example.com/x?t=7", "headers": {"Authorization": "Bearer c"}},
        ),
        (
            {"url": "https://a.example.com/x", "headers": {"X": "a *** b"}},
            {"url": "https://a.example.com/x", "headers": {"X": "a *** b"}},
        ),
        ({}, {}),
    ],
)
def test_keeps_secrets_for_the_same_receiver(new, kept):
    """A placeholder keeps the value of its name and place while scheme, host and port stay."""
    shown, secrets = SECRETS.conceal(STORED)

    result = SECRETS.keep(new, shown, secrets)

    assert result == kept


ELSEWHERE = "*** keeps a stored value for the same scheme, host and port: send a value"
NOTHING = "*** keeps a stored value and there is none here: send a value"


@pytest.mark.parametrize(
    ("new", "field_errors"),
    [
        (
            {"url": "https://b.example.com/?t=***", "headers": {"Authorization": "***"}},
            (
                FieldError("/config/headers/Authorization", ELSEWHERE),
                FieldError("/config/url", ELSEWHERE),
            ),
        ),
        (
            {"url": "https://a.example.com:8443/", "headers": {"X~/Y": "***"}},
            (FieldError("/config/headers/X~0~1Y", ELSEWHERE),),
        ),
        (
            {"url": "http://a.example.com:443/", "headers": {"X~/Y": "***"}},
            (FieldError("/config/headers/X~0~1Y", ELSEWHERE),),
        ),
        ({"headers": {"X~/Y": "***"}}, (FieldError("/config/headers/X~0~1Y", ELSEWHERE),)),
        (
            {"url": "https://a.example.com/?u=***", "headers": {"X": "***"}},
            (FieldError("/config/headers/X", NOTHING), FieldError("/config/url", NOTHING)),
        ),
        (
            {"url": "https://a.example.com/?t=***&t=***&t=***"},
            (FieldError("/config/url", NOTHING),),
        ),
    ],
)
def test_never_sends_a_secret_elsewhere(new, field_errors):
    """A placeholder with another receiver, or with nothing stored, is refused by its pointer."""
    shown, secrets = SECRETS.conceal(STORED)

    with pytest.raises(InvalidInputError) as refused:
        SECRETS.keep(new, shown, secrets)

    assert refused.value.field_errors == field_errors


def test_a_creation_has_nothing_to_keep():
    """A new override cannot hold the placeholder as a value."""
    new = {"headers": {"A": "***"}, "url": "https://a.example.com/?t=***"}

    with pytest.raises(InvalidInputError) as refused:
        SECRETS.keep(new, {}, {})

    assert refused.value.field_errors == (
        FieldError("/config/headers/A", NOTHING),
        FieldError("/config/url", NOTHING),
    )


def test_a_long_query_can_still_be_replaced():
    """Masked values may make a URL longer than a URL may be; its receiver stays known."""
    long = "https://a.example.com/?" + "&".join(["a=1"] * 500)
    shown, secrets = SECRETS.conceal({"url": long})

    kept = SECRETS.keep({"url": "https://a.example.com/?a=***"}, shown, secrets)

    assert (len(shown["url"]) > 2048, kept) == (True, {"url": "https://a.example.com/?a=1"})


def test_kept_values_count_for_the_length():
    """A URL that its stored values make too long is refused when it is written."""
    shown, secrets = SECRETS.conceal({"url": "https://a.example.com/?a=" + "x" * 1000})
    new = {"url": "https://a.example.com/" + "y" * 1100 + "?a=***"}

    with pytest.raises(InvalidInputError) as refused:
        SECRETS.keep(new, shown, secrets)

    detail = "with its stored values is longer than 2048 characters"
    assert refused.value.field_errors == (FieldError("/config/url", detail),)


def test_issues_a_signing_secret():
    """A signing secret is 32 random bytes in the form of Standard Webhooks."""
    random = bytes

    issued = SECRETS.issue(random)

    assert issued == {"signing_secret": "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}
