"""The search of the canary tests finds what it is to find."""

from __future__ import annotations

import base64
import json
import zlib
from urllib.parse import quote

import pytest
from boto3.dynamodb.types import Binary

from tests.canary import Canary

SECRET = 'cAnArY "8f3a\\0c<d>&+/=end'
CANARY = Canary("secret", SECRET)


@pytest.mark.parametrize(
    "thing",
    [
        SECRET,
        f"before {SECRET} after",
        SECRET.encode(),
        {"a": [{"b": (SECRET,)}]},
        {SECRET: 1},
        json.dumps({"a": SECRET}),
        json.dumps({"a": json.dumps({"b": SECRET})}),
        f"https://example.com/?q={quote(SECRET)}",
        f"https://example.com/?q={quote(SECRET, safe='')}",
        *(
            base64.b64encode(b"x" * before + SECRET.encode() + b"yz").decode()
            for before in range(5)
        ),
        base64.urlsafe_b64encode(f"user:{SECRET}".encode()),
        SECRET.encode().hex(),
        {"sealed": [Binary(b"\xff" + SECRET.encode())]},
        zlib.compress(json.dumps({"content": SECRET}).encode()),
        {"body": {"B": Binary(zlib.compress(SECRET.encode()))}},
        ValueError(f"cannot send {SECRET}"),
        SECRET.lower(),
    ],
)
def test_finds_the_secret_in_every_form(thing):
    """Nested, quoted, escaped, encoded or in an error: it is found."""
    verdict = CANARY.is_in(thing)

    assert verdict is True


@pytest.mark.parametrize(
    "thing", ["", "cAnArY", {"a": "***"}, b"\x00", zlib.compress(b"x"), None, 7, SECRET[:-12]]
)
def test_finds_nothing_where_nothing_is(thing):
    """A part of a secret, or its placeholder, is no finding."""
    verdict = CANARY.is_in(thing)

    assert verdict is False
