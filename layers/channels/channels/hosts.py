"""Validation of host names in operators' settings, before a library fails on them."""

from __future__ import annotations

from urllib.parse import urlsplit

import idna


def ascii_host(name: str) -> str:
    """Return a host name or address in ASCII (IDN as A-labels); ``ValueError`` if it is neither."""
    host = name if name.isascii() else idna.encode(name, uts46=True).decode()
    # The resolver uses the same codec, which rejects empty labels and those above 63 characters.
    host.encode("idna")
    if not host or not host.isprintable() or " " in host:
        raise ValueError("not a host name")
    return host


def check_base_url(url: str) -> None:
    """Raise ``ValueError`` for a URL that no request can be sent to."""
    parts = urlsplit(url)
    ascii_host(parts.hostname or "")
    # Reading the port checks it.
    if parts.scheme not in {"http", "https"} or parts.port == 0 or not url.isascii():
        raise ValueError("not a URL")
