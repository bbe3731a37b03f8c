"""Posted forms: the two encodings, and everything else."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.edges.forms import MOST_FIELDS, fields
from dispatcher.errors import InvalidInputError

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"


def part(headers, value):
    """Return one part of a multipart body."""
    return b"--b\r\n" + headers + b"\r\n\r\n" + value + b"\r\n"


NAMED = b'Content-Disposition: form-data; name="a"'


@pytest.mark.parametrize(
    ("content_type", "data", "expected"),
    [
        (FORM, b"a=1&b=%C3%A9+x&a=", [("a", "1"), ("b", "é x"), ("a", "")]),
        (MULTIPART, part(NAMED, b"1") + b"--b--\r\n", [("a", "1")]),
        (MULTIPART, part(NAMED, b"1\r\n2") * 2 + b"--b--", [("a", "1\r\n2")] * 2),
        (MULTIPART, b"preamble\r\n" + part(NAMED, b"1") + b"--b--\r\nepilogue", [("a", "1")]),
        (
            MULTIPART,
            part(NAMED + b"\r\nContent-Transfer-Encoding: base64", b"w6k=") + b"--b--",
            [("a", "é")],
        ),
        ('multipart/form-data; boundary="b"', part(NAMED, b"") + b"--b--", [("a", "")]),
    ],
)
def test_both_encodings_are_read(content_type, data, expected):
    """In order, repeated names too."""
    assert fields(content_type, data) == expected


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        ("", b"a=1"),
        ("text/plain", b"a=1"),
        (FORM, b"a=%ff"),
        (FORM, b"a=\xff"),
        (FORM, b"&".join([b"a=1"] * (MOST_FIELDS + 1))),
        (MULTIPART, b""),
        (MULTIPART, b"--b--"),
        (MULTIPART, part(b"Content-Type: text/plain", b"1") + b"--b--"),
        (MULTIPART, part(NAMED, b"\xff") + b"--b--"),
        (MULTIPART, part(NAMED, b"1") * (MOST_FIELDS + 1) + b"--b--"),
        (MULTIPART, part(NAMED + b"\r\nContent-Type: " + MULTIPART.encode(), b"--b") + b"--b--"),
        ("multipart/form-data", part(NAMED, b"1") + b"--b--"),
        (MULTIPART + "\r\nX: y", part(NAMED, b"1") + b"--b--"),
        # The library's parser fails on both with a TypeError.
        (MULTIPART, part(NAMED + b"; name*=utf-8''a; name*0=a", b"1") + b"--b--"),
        (MULTIPART + "; boundary*=utf-8''b; boundary*0=b", part(NAMED, b"1") + b"--b--"),
        (MULTIPART, b"--b\n" + b"Content-Type: message/a\n\n" * 320),
        (
            MULTIPART + "0",
            b"".join(
                b"--b%d\nContent-Type: multipart/a; boundary=b%d\n\n" % (n, n + 1)
                for n in range(170)
            ),
        ),
    ],
)
def test_anything_else_is_refused(content_type, data):
    """With the rule, not with a library's text."""
    with pytest.raises(InvalidInputError, match="must be application/x-www-form-urlencoded or"):
        fields(content_type, data)


PIECES = st.sampled_from(
    [
        *("form-data", "multipart/form-data", "multipart/mixed", "message/rfc822", "text/plain"),
        *(
            "; name=a",
            "; name*=utf-8''a",
            "; name*0=a",
            "; name*1*=%ff",
            "; name*=nope'x",
            "; name",
        ),
        *(
            "; boundary=b",
            "; boundary*=utf-8''b",
            "; boundary*0=b",
            "; boundary=",
            "; charset=nope",
        ),
        *("; charset*=nope''x", "; filename*=a''b", '; name="a', "base64", "x-uuencode", "\x00"),
        *("Content-Type: ", "Content-Disposition: ", "Content-Transfer-Encoding: "),
        *("\r\n", "\n\n", "\r\n\r\n", "--b\r\n", "--b--", "=", "begin 666 a\n", "\udc80", "\xe9"),
    ]
)


@given(head=st.lists(PIECES, max_size=5), body=st.lists(PIECES, max_size=20))
def test_no_headers_of_parts_are_a_fault(head, body):
    """The library's parser fails in many ways on parameters that contradict each other."""
    content_type = "multipart/form-data" + "".join(head)
    data = "".join(["--b\r\nContent-Disposition: form-data", *body])

    with contextlib.suppress(InvalidInputError):
        assert len(fields(content_type, data.encode(errors="surrogatepass"))) <= MOST_FIELDS


@given(content_type=st.text() | st.sampled_from([FORM, MULTIPART]), data=st.binary())
def test_no_bytes_are_a_fault(content_type, data):
    """Fields, or a refusal."""
    try:
        found = fields(content_type, data)
    except InvalidInputError:
        return
    assert len(found) <= MOST_FIELDS
