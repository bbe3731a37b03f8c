"""Rules on config values that several integrations share.

The receiver of a message, and the form of an address.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dispatcher.integrations.integration import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dispatcher.ranges import Range

E164 = re.compile(r"\+[1-9][0-9]{6,14}")

# A dot-atom of at most 64 characters and a domain whose last label is not a number: cheap enough
# for every resolution, strict enough for any mail server.
_EMAIL = re.compile(
    r"(?=[^@]{1,64}@)[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*"
    r"@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)

# In JSON Schema. The second format is our own name, because no standard format exists.
EMAIL = {"format": "email"}
PHONE_NUMBER = {"format": "phone-number", "pattern": f"^{E164.pattern}$"}


def whole(pattern: str) -> dict[str, str]:
    """Return the JSON Schema of a pattern that matches the whole text."""
    return {"pattern": f"^{pattern}$"}


def within(allowed: Range) -> Check:
    """Return the check of a whole number in a range."""

    def rule(value: int, _environ: Mapping[str, str]) -> int:
        if value in allowed:
            return value
        raise ValueError(f"must be {allowed}")

    return Check(rule, {"minimum": allowed.low, "maximum": allowed.high})


# Addresses that email-validator accepts unchanged: loading it takes as long as two requests.
_LONGEST_EMAIL = 254
_SPECIAL_DOMAINS = frozenset({"arpa", "invalid", "local", "localhost", "onion"})


def email_address(value: str, _environ: Mapping[str, str]) -> str:
    """Accept one plain address.

    A display name, a list, a literal domain or a header trick is refused.
    """
    if _is_common(value):
        return value
    from email_validator import EmailNotValidError, validate_email

    try:
        return validate_email(
            value,
            check_deliverability=False,
            allow_smtputf8=False,
            allow_quoted_local=False,
            test_environment=True,
            strict=True,
        ).normalized
    except EmailNotValidError:
        message = (
            "must be one email address such as jane@example.com, "
            "without a display name, quotes or an IP address"
        )
        raise ValueError(message) from None


def _is_common(value: str) -> bool:
    """Return whether an address is certainly valid and in its normal form."""
    domain = value.rpartition("@")[2]
    top = domain.rpartition(".")[2]
    return (
        len(value) <= _LONGEST_EMAIL
        and domain == domain.lower()
        and "--" not in domain
        and top.isalpha()
        and top not in _SPECIAL_DOMAINS
        and _EMAIL.fullmatch(value) is not None
    )


def phone_number(value: str, _environ: Mapping[str, str]) -> str:
    """Accept a valid number in E.164 form with ASCII digits."""
    if E164.fullmatch(value):
        import phonenumbers

        try:
            number = phonenumbers.parse(value)
            # "001" is for satellites, premium rate and other codes without a country.
            country = phonenumbers.region_code_for_number(number)
            if phonenumbers.is_valid_number(number) and country != "001":
                return value
        except phonenumbers.NumberParseException:
            pass
    message = "must be a phone number in international form such as +14155552671"
    raise ValueError(message)


def matching(pattern: str, what: str) -> Callable[[str, Mapping[str, str]], str]:
    """Return a rule that accepts full matches of a pattern; ``what`` completes "must be …"."""
    compiled = re.compile(pattern)

    def rule(value: str, _environ: Mapping[str, str]) -> str:
        if compiled.fullmatch(value):
            return value
        message = f"must be {what}"
        raise ValueError(message)

    return rule


def email_of(user_id: str, environ: Mapping[str, str]) -> str | None:
    """Return a user ID that is an email address, else ``user_id@DEFAULT_EMAIL_DOMAIN``."""
    domain = environ.get("DEFAULT_EMAIL_DOMAIN", "")
    address = user_id if "@" in user_id else f"{user_id}@{domain}"
    return address if _EMAIL.fullmatch(address) else None
