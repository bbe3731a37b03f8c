"""Marked secrets, and the search for them in whatever they must never be in, however written."""

from __future__ import annotations

import base64
import html
import json
import quopri
import zlib
from urllib.parse import quote, quote_plus

from boto3.dynamodb.types import Binary


class Canary:
    """A text that stands nowhere else, in every form that it could be written down in."""

    def __init__(self, name: str, text: str, key: bytes = b"") -> None:
        self.name = name
        self.text = text
        self._forms = {*forms(text), *(raw(key) if key else ())}

    def is_in(self, thing: object) -> bool:
        """Return whether a thing holds the canary: text, bytes, or anything made of these."""
        return any(form in part for part in parts(thing) for form in self._forms)


def forms(secret: str) -> list[bytes]:
    """Write a secret as it is, and as logs, URLs, pages, emails and code would."""
    quoted = [
        *(json.dumps(secret)[1:-1], json.dumps(json.dumps(secret))[3:-3], repr(secret)[1:-1]),
        *(quote(secret), quote(secret, safe=""), quote_plus(secret), html.escape(secret)),
        "".join(f"%{ord(one):02X}" for one in secret),
        "".join(f"\\u{ord(one):04x}" for one in secret),
        "".join(f"\\x{ord(one):02x}" for one in secret),
        *(secret[::-1], secret.upper(), secret.lower()),
        quopri.encodestring(secret.encode()).decode().strip(),
    ]
    return [*raw(secret.encode()), *(one.encode() for one in quoted)]


def raw(secret: bytes) -> list[bytes]:
    """Write bytes as they are, as digits, and within base64."""
    digits = secret.hex().encode()
    return [secret, digits, digits.upper(), *within_base64(secret)]


def within_base64(secret: bytes) -> list[bytes]:
    """Return what base64 makes of a secret within a longer text, wherever it begins there."""
    found = []
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + secret)
        # A sign shared with a neighbor is cut off on both sides.
        inner = whole[4 if before else 0 : -4]
        found += [inner, inner.replace(b"+", b"-").replace(b"/", b"_")]
    return found


def parts(thing: object) -> list[bytes]:
    """Take a thing apart into what can be searched; the large bodies of rows are compressed."""
    if isinstance(thing, bytes | bytearray | Binary):
        data = bytes(thing.value if isinstance(thing, Binary) else thing)
        try:
            return [data, zlib.decompress(data)]
        except zlib.error:
            return [data]
    if isinstance(thing, str):
        return [thing.encode(errors="surrogatepass")]
    if isinstance(thing, dict):
        return [part for pair in thing.items() for one in pair for part in parts(one)]
    if isinstance(thing, list | tuple | set):
        return [part for one in thing for part in parts(one)]
    return [str(thing).encode()]
