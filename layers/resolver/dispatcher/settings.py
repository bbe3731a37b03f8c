"""The settings of a function: the only module of the layers that reads ``os.environ``.

Each setting is checked when it is read, because each function has only the variables that it needs.
All raise ``BrokenSettingError``, which names the variable, its value and the fix.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from dispatcher.errors import BrokenSettingError, NotFoundError
from dispatcher.ranges import Range
from dispatcher.variables import is_trial_stage, number, required, switch

if TYPE_CHECKING:
    from collections.abc import Mapping

DAY = 86_400.0

RETENTION_DAYS = Range(1, 3650)

LINK_SESSION_SECONDS = Range(1, 900)
"""A quarter of an hour; shorter for trials."""

_LOCAL_HTTP = re.compile(r"http://(localhost|127\.0\.0\.1)(:[0-9]+)?")
_LOOPBACK = re.compile(r"http://127\.0\.0\.1:[0-9]+/[!-~]*")
_HTTPS = re.compile(r"https://[!-~]+")


@dataclass(frozen=True, slots=True)
class Oidc:
    """The issuer of bearer tokens."""

    issuer: str
    audience: str
    jwks_uri: str


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """The credentials that callers may present; at least one kind is configured."""

    user_claim: str
    """The claim of a token that holds the user ID."""
    oidc: Oidc | None
    api_keys_secret: str | None
    """The name of the secret that holds the API keys' fingerprints."""


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """The settings of the web console; only ``get_console`` has these variables."""

    stage: str
    is_enabled: bool
    title: str
    auth_mode: str
    issuer: str
    """The issuer that people sign in with, or empty."""
    audience: str
    client_id: str
    scope: str
    token_origin: str
    """The origin of the issuer's token endpoint, if it is another one, or empty."""
    embed_origins: tuple[str, ...]
    """The origins of pages that may frame the console."""
    runbook: str
    """The URL or path of docs/operations.md."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment of a function, typed."""

    environ: Mapping[str, str]
    """All variables: integrations and channels read their own."""

    @property
    def auth(self) -> AuthSettings | None:
        """The credentials that callers need; ``None`` if no authentication is required."""
        mode = required(self.environ, "AUTH_MODE")
        if mode == "none":
            # CloudFormation rejects it for prod too, but here a mistake would open the API to all.
            if not is_trial_stage(self.environ):
                raise BrokenSettingError(
                    "AUTH_MODE",
                    "is 'none', which is allowed in the stages local and dev only: "
                    "set it to required",
                )
            return None
        if mode != "required":
            raise BrokenSettingError("AUTH_MODE", f"is {mode!r}: set it to required or none")
        oidc, api_keys_secret = self._oidc(), self._optional("API_KEYS_SECRET")
        if oidc is None and api_keys_secret is None:
            raise BrokenSettingError(
                "AUTH_MODE", "is 'required': set OIDC_ISSUER or API_KEYS_SECRET too"
            )
        return AuthSettings(required(self.environ, "USER_CLAIM"), oidc, api_keys_secret)

    @property
    def overrides_table(self) -> str:
        """The name of the table of overrides."""
        return required(self.environ, "OVERRIDES_TABLE")

    @property
    def deliveries_table(self) -> str:
        """The name of the table of requests, messages and mailboxes."""
        return required(self.environ, "DELIVERIES_TABLE")

    @property
    def delivery_queue_url(self) -> str:
        """The queue of new messages."""
        return required(self.environ, "DELIVERY_QUEUE_URL")

    @property
    def retry_queue_url(self) -> str:
        """The queue of retries."""
        return required(self.environ, "RETRY_QUEUE_URL")

    @property
    def dead_letter_queue_url(self) -> str:
        """The queue of dead letters."""
        return required(self.environ, "DEAD_LETTER_QUEUE_URL")

    @property
    def parked_queue_url(self) -> str:
        """The queue of unreadable messages."""
        return required(self.environ, "PARKED_QUEUE_URL")

    @property
    def intake_queue_url(self) -> str:
        """The queue of events."""
        return required(self.environ, "INTAKE_QUEUE_URL")

    @property
    def feedback_queue_url(self) -> str | None:
        """The queue of providers' reports; ``None`` if no provider sends any."""
        return self._optional("FEEDBACK_QUEUE_URL")

    @property
    def stage(self) -> str:
        """The stage of the stack."""
        return required(self.environ, "STAGE")

    @property
    def key_arn(self) -> str:
        """The KMS key of the overrides' secrets."""
        return required(self.environ, "KEY_ARN")

    @property
    def retention_seconds(self) -> float:
        """The seconds for which ended deliveries and their requests are kept."""
        value = required(self.environ, "RETENTION_DAYS")
        if (days := RETENTION_DAYS.read(value)) is None:
            low, high = RETENTION_DAYS.low, RETENTION_DAYS.high
            raise BrokenSettingError(
                "RETENTION_DAYS",
                f"is {value!r}: set it to a whole number of days from {low} to {high}",
            )
        return days * DAY

    @property
    def docs_are_public(self) -> bool:
        """Whether the API description may be read without authentication."""
        required(self.environ, "PUBLIC_DOCS")
        return switch(self.environ, "PUBLIC_DOCS") is True

    @property
    def console(self) -> ConsoleSettings:
        """The settings of the web console."""
        required(self.environ, "CONSOLE_ENABLED")
        embedding = self.environ.get("CONSOLE_EMBED_ORIGINS", "")
        return ConsoleSettings(
            stage=required(self.environ, "STAGE"),
            is_enabled=switch(self.environ, "CONSOLE_ENABLED") is True,
            title=required(self.environ, "CONSOLE_TITLE"),
            auth_mode=required(self.environ, "AUTH_MODE"),
            issuer=self.environ.get("OIDC_ISSUER", ""),
            audience=self.environ.get("OIDC_AUDIENCE", ""),
            client_id=self.environ.get("CONSOLE_CLIENT_ID", ""),
            scope=self.environ.get("CONSOLE_SCOPE", ""),
            token_origin=self.environ.get("CONSOLE_TOKEN_ORIGIN", ""),
            runbook=self.environ.get("RUNBOOK_URL", ""),
            embed_origins=tuple(filter(None, embedding.split(","))),
        )

    @property
    def outcome_bus(self) -> str | None:
        """The event bus for the outcomes of deliveries, if the operator named one."""
        return self._optional("OUTCOME_BUS_NAME")

    @property
    def own_public_url(self) -> str | None:
        """The address of the API in links if the operator named one."""
        return self.public_url if self._optional("PUBLIC_URL") else None

    @property
    def public_url(self) -> str:
        """The address of the API in links, without a slash at its end."""
        value = required(self.environ, "PUBLIC_URL").rstrip("/")
        # Only on this machine: over http, a link could be read on its way.
        is_local = self.environ.get("STAGE") == "local" and _LOCAL_HTTP.fullmatch(value)
        if not (_HTTPS.fullmatch(value) or is_local):
            raise BrokenSettingError(
                "PUBLIC_URL", f"is {value!r}: set it to an ASCII URL that begins with https://"
            )
        return value

    @property
    def preferences_page(self) -> str:
        """The operator's own page for preferences; empty without one."""
        return self.environ.get("PREFERENCES_URL", "")

    @property
    def has_console(self) -> bool:
        """Whether the console is there, which opens preferences by a link."""
        required(self.environ, "CONSOLE_ENABLED")
        return switch(self.environ, "CONSOLE_ENABLED") is True

    def require_console(self) -> None:
        """Raise ``NotFoundError`` without a console: links to preferences would lead nowhere."""
        if not self.has_console:
            raise NotFoundError("The console is disabled on this system, and its links with it.")

    @property
    def link_session_seconds(self) -> int:
        """The seconds for which the session of a link lasts."""
        seconds = number(self.environ, "LINK_SESSION_SECONDS", LINK_SESSION_SECONDS)
        return LINK_SESSION_SECONDS.high if seconds is None else seconds

    @property
    def mails_have_footers(self) -> bool:
        """Whether emails of a category end with its links."""
        required(self.environ, "EMAIL_FOOTER")
        return switch(self.environ, "EMAIL_FOOTER") is True

    @property
    def links_secret(self) -> str:
        """The name of the secret with the keys of links; the stack names it after itself."""
        return f"{required(self.environ, 'STACK_NAME')}-links"

    @property
    def pause_rules(self) -> str:
        """The rules by which receivers that fail are paused; only the worker has them."""
        return required(self.environ, "PAUSE_RULES")

    @property
    def service(self) -> str:
        """The name of the service, for ``/health`` and the log."""
        return self.environ.get("POWERTOOLS_SERVICE_NAME", "integration-dispatcher")

    @property
    def default_time_zone(self) -> str:
        """The time zone of users who set none. Its name is checked where hours are read."""
        return self.environ.get("DEFAULT_TIME_ZONE") or "UTC"

    @property
    def stack(self) -> str:
        """The name of the stack, a dimension of every metric."""
        return self.environ.get("STACK_NAME", "unknown")

    @property
    def log_level(self) -> str:
        """The name of the least level that is logged."""
        return self.environ.get("POWERTOOLS_LOG_LEVEL", "INFO")

    def _optional(self, variable: str) -> str | None:
        return self.environ.get(variable) or None

    def _oidc(self) -> Oidc | None:
        issuer = self._optional("OIDC_ISSUER")
        if issuer is None:
            return None
        uri = required(self.environ, "OIDC_JWKS_URI")
        # The tests' issuer listens on loopback, where plain http cannot be intercepted.
        is_local = self.environ.get("STAGE") == "local" and _LOOPBACK.fullmatch(uri)
        if not (_HTTPS.fullmatch(uri) or is_local):
            raise BrokenSettingError(
                "OIDC_JWKS_URI", f"is {uri!r}: set it to an ASCII URL that begins with https://"
            )
        return Oidc(issuer, required(self.environ, "OIDC_AUDIENCE"), uri)


@cache
def settings() -> Settings:
    """Return the settings; the environment is read on the first call."""
    # A copy: os.environ decodes a value on every read, and a resolution reads dozens.
    return Settings(dict(os.environ))
