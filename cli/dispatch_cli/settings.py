"""The service's address and the caller's credential, from a profile or the environment.

A credential is only sent to the address that it was configured for: a profile's credential is never
sent to the address in ``DISPATCH_URL``, and none is sent over plain http to another machine.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import tomlkit

from dispatch_cli.failures import UsageFailure

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_URL = "http://localhost:8080"
DEFAULT_PROFILE = "default"

HEADERS = {"token": "Authorization", "api_key": "x-api-key"}
"""The header of each kind of credential."""

KEYS = ("url", *HEADERS, "stack")
"""The keys of a profile."""

_VISIBLE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Settings:
    """The service's address, the caller's credential, and the stack."""

    url: str
    origin: str
    """The source of the address for messages; empty for the default address."""
    credential: tuple[str, str] | None = None
    """Its kind (see ``HEADERS``) and its text."""
    stack: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers that authenticate a request."""
        if self.credential is None:
            return {}
        kind, text = self.credential
        return {HEADERS[kind]: f"Bearer {text}" if kind == "token" else text}

    @property
    def is_loopback(self) -> bool:
        """Whether the service runs on this machine."""
        return is_loopback(self.url)


def resolve(environ: Mapping[str, str], profile: str | None) -> Settings:
    """Return the settings of the named profile, else the environment's, else ``default``'s."""
    name = profile or environ.get("DISPATCH_PROFILE")
    if not profile and environ.get("DISPATCH_URL"):
        url, origin, values = environ["DISPATCH_URL"], "DISPATCH_URL", {}
    else:
        values = read_profile(environ, name)
        url = values.get("url", DEFAULT_URL)
        origin = f"profile {name or DEFAULT_PROFILE}" if "url" in values else ""
    credentials = {kind: values[kind] for kind in HEADERS if kind in values}
    if not profile:
        variables = {"token": "DISPATCH_TOKEN", "api_key": "DISPATCH_API_KEY"}
        from_environment = {
            kind: environ[variable] for kind, variable in variables.items() if environ.get(variable)
        }
        credentials = from_environment or credentials
    if len(credentials) > 1:
        raise UsageFailure("Both a token and an API key are set.", "Set only one of them.")
    settings = Settings(
        url=checked_url(url, origin),
        origin=origin,
        credential=next(iter(credentials.items()), None),
        stack=values.get("stack"),
    )
    require_safe(settings)
    return settings


def checked_url(url: str, origin: str) -> str:
    """Return an address without its trailing slash; raise ``UsageFailure`` if it is invalid."""
    if not _is_valid(url):
        advice = "Expected: https://host/stage, without user, query or fragment."
        if completed := _completed(url):
            advice = f"The scheme is missing: {completed}"
        raise UsageFailure(f"The address of {origin or 'the service'} is invalid.", advice)
    return url.rstrip("/")


def _is_valid(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_http = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_http and not (parts.query or parts.fragment or parts.username is not None)


def _completed(url: str) -> str | None:
    """Return an address with its missing scheme: http on this machine, else https."""
    scheme = "http" if _is_valid(f"http://{url}") and is_loopback(f"http://{url}") else "https"
    completed = f"{scheme}://{url}"
    return completed if "://" not in url and _is_valid(completed) else None


def require_safe(settings: Settings) -> None:
    """Reject a credential that is malformed, or that other machines could read in transit."""
    if settings.credential is None:
        return
    if not _VISIBLE.fullmatch(settings.credential[1]):
        advice = "Only visible ASCII characters are allowed, without spaces and line breaks."
        raise UsageFailure("The token or API key is invalid.", advice)
    if settings.url.startswith("http://") and not settings.is_loopback:
        raise UsageFailure(
            f"A token or API key is not sent to {settings.url}: plain http is readable in transit.",
            "Use an https address.",
        )


def is_loopback(url: str) -> bool:
    """Return whether an address is on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def config_file(environ: Mapping[str, str]) -> Path:
    """Return the path of the profiles, according to the XDG Base Directory Specification."""
    home = environ.get("XDG_CONFIG_HOME", "")
    # The specification asks to ignore a relative path.
    base = Path(home) if home.startswith("/") else Path(environ.get("HOME", "~")) / ".config"
    return base.expanduser() / "dispatch" / "config.toml"


def read_profile(environ: Mapping[str, str], name: str | None) -> dict[str, str]:
    """Return a profile, the default one without a name; only the default one may be missing."""
    file = config_file(environ)
    try:
        text = file.read_text()
        document: dict[str, Any] = tomllib.loads(text)
    except FileNotFoundError:
        document = {}
    except (OSError, ValueError) as error:
        advice = "Correct the file, or move it away."
        raise UsageFailure(f"{file} cannot be read: {error}", advice) from error
    profiles = document.get("profiles", {})
    if not isinstance(profiles, dict):
        raise UsageFailure(f"In {file}, profiles is not a table.", "Write [profiles.NAME].")
    if name is not None and name not in profiles:
        known = ", ".join(profiles) or "none"
        advice = f"Profiles: {known}\nTo create it: dispatch login URL --profile {name}"
        raise UsageFailure(f"There is no profile {name} in {file}.", advice)
    profile = profiles.get(name or DEFAULT_PROFILE, {})
    if not isinstance(profile, dict):
        raise UsageFailure(f"In {file}, {name} is not a table.", "Write [profiles.NAME].")
    invalid = [key for key, text in profile.items() if key not in KEYS or not isinstance(text, str)]
    if invalid:
        advice = f"A profile holds strings named {', '.join(KEYS)}."
        raise UsageFailure(f"In {file}, {', '.join(invalid)} is unknown or not a string.", advice)
    if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077 and profile.keys() & HEADERS:
        raise UsageFailure(
            f"Other users can read {file}, and it holds a secret.",
            f"To restrict it: chmod 600 {file}",
        )
    return profile


def write_profile(environ: Mapping[str, str], name: str, profile: Mapping[str, str]) -> Path:
    """Write a profile, readable only by this user; other profiles and comments are preserved."""
    file = config_file(environ)
    document = tomlkit.parse(file.read_text()) if file.exists() else tomlkit.document()
    profiles = document.setdefault("profiles", tomlkit.table(is_super_table=True))
    profiles[name] = dict(profile)
    replacement = file.with_suffix(".new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        replacement.unlink(missing_ok=True)
        descriptor = os.open(replacement, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(tomlkit.dumps(document))
        replacement.replace(file)
    except OSError as error:
        raise UsageFailure(f"{file} cannot be written: {error}") from error
    return file
