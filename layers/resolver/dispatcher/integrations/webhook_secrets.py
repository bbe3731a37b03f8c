"""The secrets of a WEBHOOK override: header values, URL query values and signing secrets."""

from __future__ import annotations

import base64
from collections import defaultdict
from typing import TYPE_CHECKING

from dispatcher.errors import FieldError, InvalidInputError, json_pointer
from dispatcher.integrations.egress import LONGEST_URL, parse
from dispatcher.integrations.integration import PLACEHOLDER, Config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

PREFIX = "whsec_"
"""Prefix of every signing secret (Standard Webhooks 1.0)."""

PREVIOUS_VALID = 24 * 3600
"""Seconds that the secret before a rotation still signs."""


class WebhookSecrets:
    """Hides header values and a URL's query values: ``{"headers": {…}, "url": "…?…"}``."""

    def conceal(self, config: Config) -> tuple[Config, Config]:
        """Keep names, hide values."""
        concealed, secrets = dict(config), Config()
        if config.get("headers"):
            secrets["headers"] = dict(config["headers"])
            concealed["headers"] = dict.fromkeys(config["headers"], PLACEHOLDER)
        front, mark, query = config.get("url", "").partition("?")
        if mark:
            secrets["url"] = config["url"]
            hidden = ((name, PLACEHOLDER if name or value else "") for name, value in _split(query))
            concealed["url"] = f"{front}?{_join(hidden)}"
        return concealed, secrets

    def reveal(self, concealed: Config, secrets: Config) -> Config:
        """Put the header values and the URL back."""
        return {**concealed, **secrets}

    def keep(self, new: Config, concealed: Config, secrets: Config) -> Config:
        """Keep a stored value only for its receiver: scheme, host and port must be the same."""
        field_errors: list[FieldError] = []
        same_receiver = _origin(new) == _origin(concealed)

        def recall(value: str, stored: Sequence[str], pointer: str) -> str:
            if value != PLACEHOLDER:
                return value
            if stored and same_receiver:
                return stored[0]
            reason = "for the same scheme, host and port" if stored else "and there is none here"
            field_errors.append(
                FieldError(pointer, f"{PLACEHOLDER} keeps a stored value {reason}: send a value")
            )
            return value

        config = dict(new)
        if "headers" in new:
            old = {name.lower(): [value] for name, value in secrets.get("headers", {}).items()}
            config["headers"] = {
                name: recall(
                    value, old.get(name.lower(), ()), json_pointer("config", "headers", name)
                )
                for name, value in new["headers"].items()
            }
        front, mark, query = new.get("url", "").partition("?")
        if mark:
            values = defaultdict[str | None, list[str]](list)
            for name, value in _split(secrets.get("url", "").partition("?")[2]):
                values[name].append(value)
            pairs = []
            for name, value in _split(query):
                pairs.append((name, recall(value, values[name], "/config/url")))
                # A name may occur several times: the second keeps the second.
                del values[name][:1]
            config["url"] = f"{front}?{_join(pairs)}"
            if len(config["url"]) > LONGEST_URL:
                detail = f"with its stored values is longer than {LONGEST_URL} characters"
                field_errors.append(FieldError("/config/url", detail))
        if field_errors:
            raise InvalidInputError(*field_errors)
        return config

    def issue(self, random: Callable[[int], bytes]) -> Config:
        """Make a signing secret in the form of Standard Webhooks."""
        key = base64.b64encode(random(32)).decode()
        return {"signing_secret": PREFIX + key}

    def rotate(self, issued: Config, random: Callable[[int], bytes], now: float) -> Config:
        """Issue another signing secret; for a day both sign, so that receivers can change over."""
        if "signing_secret" not in issued:
            return self.issue(random)
        return {
            **self.issue(random),
            "previous_signing_secret": issued["signing_secret"],
            "previous_valid_until": now + PREVIOUS_VALID,
        }


def _origin(config: Config) -> tuple[str, str, int] | None:
    # Without the query, which may exceed the limit of a URL once its values are "***".
    return parse(config["url"].partition("?")[0]).origin if "url" in config else None


def _split(query: str) -> Iterator[tuple[str | None, str]]:
    """Yield names and values; a part without ``=`` is a value without a name."""
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        yield (name, value) if equals else (None, name)


def _join(pairs: Iterable[tuple[str | None, str]]) -> str:
    return "&".join(value if name is None else f"{name}={value}" for name, value in pairs)
