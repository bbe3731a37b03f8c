"""Parser of the head of an HTTP response, which decides the outcome of a request.

Other parsers would repeat requests that the receiver has accepted. ``http.client`` treats any
interim response except 100 as final, refuses 100 header fields and lines of 64 KiB, and skips any
number of interim responses and trailers. h11 refuses a whole response for a fault in its framing,
and above its size limit does not return the status that it has read.
"""

from __future__ import annotations

import re
from http.client import BadStatusLine
from itertools import takewhile
from typing import IO, NamedTuple

LARGEST_HEAD = 1024 * 1024
"""Bytes that are read for a head at most, including interim responses."""

SWITCHING_PROTOCOLS = 101

_EMPTY = frozenset({b"\r\n", b"\n"})
_STATUS = re.compile(rb"HTTP/1\.[0-9][ \t]+([1-9][0-9]{2})(?=[ \t\r\n])")
_DIGITS = re.compile(r"[0-9]{1,15}")


class Head(NamedTuple):
    """The final status and the header lines that were read with it."""

    status: int
    lines: list[bytes]

    def value(self, name: str) -> str | None:
        """Return the first value of a header field, unfolded; ``None`` if the field is missing."""
        wanted = name.lower().encode()
        for place, line in enumerate(self.lines):
            field, _, value = line.partition(b":")
            if field.lower() == wanted:
                folded = takewhile(_is_folded, self.lines[place + 1 :])
                return b" ".join(part.strip() for part in (value, *folded)).decode("latin-1")
        return None

    @property
    def is_chunked(self) -> bool:
        """Whether the body consists of chunks."""
        coding = self.value("Transfer-Encoding") or ""
        return coding.rpartition(",")[2].strip().lower() == "chunked"

    @property
    def body_size(self) -> int | None:
        """The bytes of the body; ``None`` if the head does not say."""
        if self.status in {204, 304}:
            return 0
        size = self.value("Content-Length") or ""
        if self.value("Transfer-Encoding") is not None or not _DIGITS.fullmatch(size):
            return None
        return int(size)


def read_head(stream: IO[bytes]) -> Head:
    """Read up to the end of the final response's header block, and skip interim responses.

    A response that exceeds ``LARGEST_HEAD`` ends there: a final status that was read is valid.
    Raises ``ConnectionError`` if the stream ends first, ``BadStatusLine`` for all but HTTP/1.x.
    """
    left = LARGEST_HEAD
    status, lines = 0, list[bytes]()
    while left:
        line = stream.readline(left)
        left -= len(line)
        if not status and line in _EMPTY:
            # Some servers send an extra empty line after "100 Continue".
            continue
        if not status:
            if not line:
                raise ConnectionAbortedError
            if (found := _STATUS.match(line)) is None:
                raise BadStatusLine("")
            status, lines = int(found[1]), []
        elif line in _EMPTY:
            if is_final(status):
                return Head(status, lines)
            status = 0
        else:
            lines.append(line)
        if left and not line.endswith(b"\n"):
            raise ConnectionAbortedError
    if not is_final(status):
        raise BadStatusLine("")
    return Head(status, lines)


def is_final(status: int) -> bool:
    """Return whether no other response follows this one (RFC 9110, 15.2)."""
    return status >= 200 or status == SWITCHING_PROTOCOLS


def _is_folded(line: bytes) -> bool:
    return line.startswith((b" ", b"\t"))
