"""Where the service is and who asks: from the environment, a profile, or this machine's default.

A credential goes only where whoever wrote it down meant it to go: a profile's is never sent to the
address in ``DISPATCH_URL``, and none is sent over plain http to another machine.
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
"""The kinds of credential, and the header of each."""

KEYS = ("url", *HEADERS, "stack")
"""What a profile can hold."""

_VISIBLE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Settings:
    """Where the service is, how to be let in, and where both were written."""

    url: str
    origin: str
    """Where the address comes from, in words; empty if nobody configured one."""
    credential: tuple[str, str] | None = None
    """Its kind (see ``HEADERS``) and its text."""
    stack: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What lets a request in."""
        if self.credential is None:
            return {}
        kind, text = self.credential
        return {HEADERS[kind]: f"Bearer {text}" if kind == "token" else text}

    @property
    def is_loopback(self) -> bool:
        """Tell whether the service is on this machine."""
        return on_this_machine(self.url)


def settle(environ: Mapping[str, str], profile: str | None) -> Settings:
    """Find the settings that count: a named profile, else the environment, else ``default``."""
    named = profile or environ.get("DISPATCH_PROFILE")
    if not profile and environ.get("DISPATCH_URL"):
        url, origin, found = environ["DISPATCH_URL"], "DISPATCH_URL", {}
    else:
        found = read_profile(environ, named)
        url = found.get("url", DEFAULT_URL)
        origin = f"profile {named or DEFAULT_PROFILE}" if "url" in found else ""
    credentials = {kind: found[kind] for kind in HEADERS if kind in found}
    if not profile:
        variables = {"token": "DISPATCH_TOKEN", "api_key": "DISPATCH_API_KEY"}
        given = {kind: environ[name] for kind, name in variables.items() if environ.get(name)}
        credentials = given or credentials
    if len(credentials) > 1:
        raise UsageFailure("There is a token and an API key.", "Give one of them.")
    settings = Settings(
        url=checked_url(url, origin),
        origin=origin,
        credential=next(iter(credentials.items()), None),
        stack=found.get("stack"),
    )
    require_safe(settings)
    return settings


def checked_url(url: str, origin: str) -> str:
    """Return an address without its last slash; ``UsageFailure`` if it is none."""
    if not _is_usable(url):
        advice = "It looks like https://host/stage, without user, query or fragment."
        if whole := _completed(url):
            advice = f"Write how it begins: {whole}"
        raise UsageFailure(f"The address of {origin or 'the service'} cannot be used.", advice)
    return url.rstrip("/")


def _is_usable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return usable and not (parts.query or parts.fragment or parts.username is not None)


def _completed(url: str) -> str | None:
    """Return an address that lacks only its scheme with it: plain http is for this machine."""
    scheme = "http" if _is_usable(f"http://{url}") and on_this_machine(f"http://{url}") else "https"
    whole = f"{scheme}://{url}"
    return whole if "://" not in url and _is_usable(whole) else None


def require_safe(settings: Settings) -> None:
    """Refuse a credential that is none, or that others could read on its way."""
    if settings.credential is None:
        return
    if not _VISIBLE.fullmatch(settings.credential[1]):
        advice = "It has visible ASCII characters only, no space and no line break."
        raise UsageFailure("The token or API key cannot be used.", advice)
    if settings.url.startswith("http://") and not settings.is_loopback:
        raise UsageFailure(
            f"A token or API key is not sent to {settings.url}: others could read it.",
            "Use an https address.",
        )


def on_this_machine(url: str) -> bool:
    """Tell whether an address is on loopback."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def config_file(environ: Mapping[str, str]) -> Path:
    """Return where the profiles are, by the XDG rules."""
    home = environ.get("XDG_CONFIG_HOME", "")
    # A relative path there is to be ignored, says the XDG Base Directory Specification.
    base = Path(home) if home.startswith("/") else Path(environ.get("HOME", "~")) / ".config"
    return base.expanduser() / "dispatch" / "config.toml"


def read_profile(environ: Mapping[str, str], name: str | None) -> dict[str, str]:
    """Read a profile; the default one may be missing."""
    file = config_file(environ)
    try:
        text = file.read_text()
        document: dict[str, Any] = tomllib.loads(text)
    except FileNotFoundError:
        document = {}
    except (OSError, ValueError) as error:
        raise UsageFailure(f"{file} cannot be read: {error}", "Correct it, or move it.") from error
    profiles = document.get("profiles", {})
    if not isinstance(profiles, dict):
        raise UsageFailure(f"In {file}, profiles is no table.", "Write [profiles.NAME].")
    if name is not None and name not in profiles:
        known = ", ".join(profiles) or "none"
        advice = f"Known: {known}. To make it: dispatch login --profile {name}"
        raise UsageFailure(f"There is no profile {name} in {file}.", advice)
    profile = profiles.get(name or DEFAULT_PROFILE, {})
    if not isinstance(profile, dict):
        raise UsageFailure(f"In {file}, {name} is no table.", "Write [profiles.NAME].")
    wrong = [key for key, text in profile.items() if key not in KEYS or not isinstance(text, str)]
    if wrong:
        advice = f"A profile holds texts named {', '.join(KEYS)}."
        raise UsageFailure(f"In {file}, {', '.join(wrong)} is not known or no text.", advice)
    if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077 and profile.keys() & HEADERS:
        raise UsageFailure(f"Others can read {file}, and it holds a secret.", f"chmod 600 {file}")
    return profile


def write_profile(environ: Mapping[str, str], name: str, profile: Mapping[str, str]) -> Path:
    """Write a profile, readable for this user alone; the others and all comments stay."""
    file = config_file(environ)
    document = tomlkit.parse(file.read_text()) if file.exists() else tomlkit.document()
    profiles = document.setdefault("profiles", tomlkit.table(is_super_table=True))
    profiles[name] = dict(profile)
    fresh = file.with_suffix(".new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(tomlkit.dumps(document))
        fresh.replace(file)
    except OSError as error:
        raise UsageFailure(f"{file} cannot be written: {error}") from error
    return file
