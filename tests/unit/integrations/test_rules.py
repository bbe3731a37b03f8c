"""The rules that several integrations share: what an address looks like, whom a user ID names."""

from __future__ import annotations

import email_validator
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.integrations import rules
from dispatcher.integrations.rules import email_address, email_of, matching, phone_number


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("ada@example.com", "ada@example.com"),
        ("Ada.L+x@Example.COM", "Ada.L+x@example.com"),
        ("a@sub.example.test", "a@sub.example.test"),
        (f"{'a' * 64}@example.com", f"{'a' * 64}@example.com"),
    ],
)
def test_one_plain_address_is_stored(value, stored):
    """With its domain in lower case; ``.test`` is for people who try things out."""
    assert email_address(value, {}) == stored


@pytest.mark.parametrize(
    "value",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@localhost",
        "a@b@example.com",
        "a@example.com,b@example.com",
        "a@example.com;b@example.com",
        "Ada <ada@example.com>",
        '"a b"@example.com',
        "a b@example.com",
        "a@[127.0.0.1]",
        "a@127.0.0.1",
        "a..b@example.com",
        "\u00e4@example.com",
        "a@example.com\r\nBcc: b@example.com",
        f"{'a' * 65}@example.com",
        f"a@{'b' * 64}.com",
    ],
)
def test_what_is_not_one_plain_address_is_refused(value):
    """No list, no display name, no literal, no header trick."""
    with pytest.raises(ValueError, match=r"^must be one email address such as jane@example\.com"):
        email_address(value, {})


LABELS = st.one_of(
    st.sampled_from([*email_validator.SPECIAL_USE_DOMAIN_NAMES, "com", "example", "xn--a", "a1"]),
    st.text("aZ09-_.\u00e4", min_size=1, max_size=6),
    st.text("ab", min_size=60, max_size=64),
)


@settings(max_examples=1000)
@given(
    st.text("aZ09", min_size=1, max_size=3) | st.text("aZ09.+_-'\u00e4", min_size=1, max_size=66),
    st.lists(LABELS, min_size=1, max_size=5).map(".".join),
)
def test_what_is_taken_for_valid_at_a_glance_is_valid_to_the_library_too(local, domain):
    """It saves loading the library; it must never accept, or store, anything else."""
    value = f"{local}@{domain}"

    if rules._is_common(value):
        validated = email_validator.validate_email(
            value, check_deliverability=False, allow_smtputf8=False, test_environment=True
        )
        assert validated.normalized == value


def test_common_addresses_do_without_the_library():
    """Else its loading would be a part of every first send."""
    common = ["ada@example.com", "Ada.L+x@mail.example.co.uk", "a_b-c@x1.example.test"]

    assert [rules._is_common(value) for value in common] == [True, True, True]


@pytest.mark.parametrize("value", ["+14155552671", "+491701234567", "+442071838750"])
def test_a_valid_number_is_stored_as_it_is(value):
    """E.164."""
    assert phone_number(value, {}) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "4155552671",
        "+1 415 555 2671",
        "+1 (555) 010-9999",
        "+15550109999",
        "+1234567890123456",
        "+0123456789",
        "+881612345678",
        "+979123456789",
        "+88213300000",
        "+999123456789",
        "+1415555267\u0661",
        "+14155552671\n",
        "tel:+14155552671",
    ],
)
def test_what_is_no_number_of_a_country_is_refused(value):
    """Neither another form, nor a number that cannot exist, nor a satellite or a premium rate."""
    with pytest.raises(ValueError, match=r"^must be a phone number in international form"):
        phone_number(value, {})


@pytest.mark.parametrize(
    ("user_id", "domain", "address"),
    [
        ("ada@example.com", "", "ada@example.com"),
        ("ada@example.com", "corp.example", "ada@example.com"),
        ("a.b+c_d-e@x.example.com", "", "a.b+c_d-e@x.example.com"),
        ("ada", "corp.example", "ada@corp.example"),
        ("ada.l", "corp.example", "ada.l@corp.example"),
        ("ada", "", None),
        ("ada@localhost", "corp.example", None),
        ("ada@", "corp.example", None),
        ("a@b@example.com", "corp.example", None),
        ("U1|ada", "corp.example", None),
        ("slack:U1", "corp.example", None),
        ("urn:ada@example.com", "corp.example", None),
        ("a..b", "corp.example", None),
        ("a.", "corp.example", None),
        ("a.@example.com", "", None),
        ("a..b@example.com", "", None),
        ("a@.com", "", None),
        ("a@example..com", "", None),
        ("a@-example.com", "", None),
        ("a@example.com-", "", None),
        ("a@10.0.0.1", "", None),
        ("a" * 65, "corp.example", None),
        ("a" * 64, "corp.example", f"{'a' * 64}@corp.example"),
    ],
)
def test_a_user_id_stands_for_an_address_or_for_none(user_id, domain, address):
    """Itself, else with the system's domain; never something that no mail server takes."""
    assert email_of(user_id, {"DEFAULT_EMAIL_DOMAIN": domain}) == address


def test_without_a_domain_nothing_is_made_up():
    """An absent variable is an empty one."""
    assert email_of("ada", {}) is None


def test_a_pattern_is_matched_whole():
    """The sentence says what would fit."""
    rule = matching(r"[a-c]+", "some of the letters a, b and c")

    assert rule("abc", {}) == "abc"
    with pytest.raises(ValueError, match=r"^must be some of the letters a, b and c$"):
        rule("abcd", {})
    with pytest.raises(ValueError, match=r"^must be some"):
        rule("abc\n", {})
