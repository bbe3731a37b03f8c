"""The API keys of services, as one secret holds them.

The secret is a JSON object of names: ``{"billing": {"sha256": …, "scopes": […], "user": …}}``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dispatcher.access.policy import EVERY_USER, SCOPES
from dispatcher.errors import BrokenSettingError
from dispatcher.identifiers import USER_ID
from dispatcher.strict_json import MalformedJsonError, read_json

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The entry of a service's key."""

    name: str
    sha256: str
    """In hexadecimal, lower case."""
    scopes: frozenset[str]
    user: str
    """The user on whose behalf it acts: one user's ID, ``EVERY_USER``, or empty for none."""


def parse_api_keys(text: str) -> tuple[ApiKey, ...]:
    """Read the secret; ``BrokenSettingError`` says which entry is wrong and how."""
    try:
        entries = read_json(text)
    except MalformedJsonError as error:
        raise _broken(str(error)) from None
    if not isinstance(entries, dict):
        raise _broken("is not a JSON object")
    keys = tuple(_key(name, entry) for name, entry in entries.items())
    if len({key.sha256 for key in keys}) < len(keys):
        raise _broken("holds the same key under two names")
    return keys


def _key(name: str, entry: object) -> ApiKey:
    if NAME.fullmatch(name) is None:
        raise _broken("has a name that is not 1-64 letters, digits or . _ -")
    if not isinstance(entry, dict) or entry.keys() - {"sha256", "scopes", "user"}:
        raise _broken(f"{name}: holds sha256, scopes and, where there is one, user")
    sha256, scopes, user = entry.get("sha256"), entry.get("scopes"), entry.get("user", "")
    if not isinstance(sha256, str) or SHA256.fullmatch(sha256) is None:
        raise _broken(f"{name}: sha256 is not 64 hexadecimal digits in lower case")
    if not (isinstance(scopes, list) and SCOPES.issuperset(map(str, scopes))):
        raise _broken(f"{name}: scopes is a list of {', '.join(sorted(SCOPES))}")
    if not isinstance(user, str) or not (
        user in {"", EVERY_USER} or USER_ID.fullmatch(user) is not None
    ):
        raise _broken(f"{name}: user is a user's ID, or {EVERY_USER} for every user")
    return ApiKey(name, sha256, frozenset(map(str, scopes)), user)


def _broken(detail: str) -> BrokenSettingError:
    return BrokenSettingError("API_KEYS_SECRET", f"names a secret that cannot be used: {detail}")
