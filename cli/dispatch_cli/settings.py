"""The service's address and the caller's credential, from a profile or the environment.

A credential is only sent to the address that it was configured for: a profile's credential is never
sent to the address in ``DISPATCH_URL``, and none is sent over plain http to another machine.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import tomlkit

from dispatch_cli.failures import UsageFailure, cause

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_URL = "http://localhost:8080"
DEFAULT_PROFILE = "default"

VARIABLES = {"token": "DISPATCH_TOKEN", "api_key": "DISPATCH_API_KEY"}
"""The environment variable of each kind of credential."""

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
    profile: str | None = field(default=None, compare=False)
    """The profile that was named; ``None`` for the default one or the environment."""
    credential_origin: str = field(default="", compare=False)
    """The source of the credential for messages."""

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


def resolve(environ: Mapping[str, str], profile: str | None, url: str | None = None) -> Settings:
    """Return the settings of the named profile, else the environment's, else ``default``'s.

    ``url`` is the option ``--url``, which replaces ``DISPATCH_URL``.
    """
    if profile and url:
        raise UsageFailure("--url and --profile are both given.", "Give only one of them.")
    name = profile or environ.get("DISPATCH_PROFILE")
    address = url or environ.get("DISPATCH_URL")
    values: dict[str, str] = {}
    if not profile and address:
        origin = "--url" if url else "DISPATCH_URL"
        name = None
    else:
        values = read_profile(environ, name)
        address = values.get("url", DEFAULT_URL)
        origin = f"profile {name or DEFAULT_PROFILE}" if "url" in values else ""
    credentials = {kind: values[kind] for kind in HEADERS if kind in values}
    credential_origin = f"profile {name or DEFAULT_PROFILE}"
    if not profile:
        from_environment = {
            kind: environ[variable] for kind, variable in VARIABLES.items() if environ.get(variable)
        }
        if from_environment:
            credentials = from_environment
            credential_origin = VARIABLES[next(iter(from_environment))]
    if len(credentials) > 1:
        raise UsageFailure("Both a token and an API key are set.", "Set only one of them.")
    settings = Settings(
        url=checked_url(address, origin),
        origin=origin,
        credential=next(iter(credentials.items()), None),
        stack=values.get("stack"),
        profile=name,
        credential_origin=credential_origin,
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
    """Return the path of the profiles."""
    return folder(environ, "XDG_CONFIG_HOME", ".config") / "config.toml"


def folder(environ: Mapping[str, str], variable: str, default: str) -> Path:
    """Return this program's folder below a base of the XDG Base Directory Specification."""
    base = environ.get(variable, "")
    # The specification asks to ignore a relative path.
    if base.startswith("/"):
        return Path(base) / "dispatch"
    home = environ.get("HOME")
    try:
        return (Path(home) if home else Path.home()) / default / "dispatch"
    except RuntimeError as error:
        advice = f"Set HOME or {variable}."
        raise UsageFailure("This user has no home directory.", advice) from error


def read_profile(environ: Mapping[str, str], name: str | None) -> dict[str, str]:
    """Return a profile, the default one without a name; only the default one may be missing."""
    try:
        file = config_file(environ)
    except UsageFailure:
        if name is None:
            return {}
        raise
    document = _document(file)
    profiles = document.get("profiles", {})
    if not isinstance(profiles, dict):
        raise UsageFailure(f"In {file}, profiles is not a table.", "Write [profiles.NAME].")
    if name is not None and name not in profiles:
        known = ", ".join(profiles) or "none"
        advice = f"Profiles: {known}.\nTo create it: dispatch login URL --profile {quote(name)}"
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
            f"To restrict it: chmod 600 {quote(str(file))}",
        )
    return profile


def _document(file: Path) -> dict[str, Any]:
    advice = "Correct the file, or move it away."
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except tomllib.TOMLDecodeError as error:
        raise UsageFailure(f"{file} is not valid TOML: {error}.", advice) from error
    except (OSError, UnicodeError) as error:
        raise UsageFailure(f"{file} cannot be read: {cause(error)}.", advice) from error


def write_profile(environ: Mapping[str, str], name: str, profile: Mapping[str, str]) -> Path:
    """Write a profile, readable only by this user; other profiles and comments are preserved."""
    file = config_file(environ)
    document = (
        tomlkit.parse(file.read_text(encoding="utf-8")) if file.exists() else tomlkit.document()
    )
    profiles = document.setdefault("profiles", tomlkit.table(is_super_table=True))
    profiles[name] = dict(profile)
    try:
        write_private(file, tomlkit.dumps(document))
    except OSError as error:
        advice = "To store profiles in another folder, set XDG_CONFIG_HOME."
        raise UsageFailure(f"{file} cannot be written: {cause(error)}.", advice) from error
    return file


def write_private(file: Path, text: str) -> None:
    """Replace a file by one that only this user can read; raise ``OSError``."""
    replacement = file.with_suffix(f".{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(replacement, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        replacement.replace(file)
    finally:
        with suppress(OSError):
            replacement.unlink(missing_ok=True)
