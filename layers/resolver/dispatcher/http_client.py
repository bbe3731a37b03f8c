"""One HTTP request to a host that the operator chose, and its response.

Used if the body of the response is needed. It uses no proxies, follows no redirects, and returns
error responses like others. ``http.client`` only sends; for reading see ``response_head``.
"""

from __future__ import annotations

import io
import sys
from contextlib import closing, suppress
from functools import cache
from http.client import HTTPConnection, HTTPSConnection
from typing import TYPE_CHECKING, NamedTuple

from dispatcher.response_head import LARGEST_HEAD, read_head
from dispatcher.tls import client_context

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Iterator
    from urllib.request import Request

    from _typeshed import WriteableBuffer

    from dispatcher.deadline import Deadline
    from dispatcher.response_head import Head

LARGEST_PART = 64 * 1024
"""Bytes of the body of one read."""


class Response(NamedTuple):
    """The parts of a response that are needed."""

    status: int
    retry_after: str | None
    body: bytes


def send(request: Request, deadline: Deadline, *, largest: int) -> Response:
    """Send a request once; return its response with the first ``largest`` bytes of the body.

    An error after the head only ends the body: the caller decides by the part that has arrived.
    Raises ``OSError``, ``HTTPException`` or ``ValueError`` if no head arrives.
    """
    with closing(_connection(request, deadline)) as connection:
        connection.connect()
        connection.sock.settimeout(deadline.require())
        headers = {**dict(request.header_items()), "Connection": "close"}
        # A server may respond and close the connection before it has read the whole request.
        with suppress(OSError):
            connection.request(request.get_method(), request.selector, request.data, headers)
        received = _Received(connection.sock, deadline, LARGEST_HEAD + largest)
        stream = io.BufferedReader(received)
        head = read_head(stream)
        body = bytearray()
        with suppress(OSError, ValueError):
            for part in _parts(stream, head):
                body += part
                if len(body) >= largest:
                    break
        return Response(head.status, head.value("Retry-After"), bytes(body[:largest]))


def _connection(request: Request, deadline: Deadline) -> HTTPConnection:
    if request.type == "https":
        return HTTPSConnection(request.host, timeout=deadline.require(), context=_trust())
    return HTTPConnection(request.host, timeout=deadline.require())


@cache
def _trust() -> ssl.SSLContext:
    return client_context()


class _Received(io.RawIOBase):
    """The bytes that a socket receives: until a deadline, and no more than ``left``."""

    def __init__(self, connection: socket.socket, deadline: Deadline, left: int) -> None:
        self._connection = connection
        self._deadline = deadline
        self._left = left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        if not self._left:
            return 0
        self._connection.settimeout(self._deadline.require())
        size = self._connection.recv_into(memoryview(buffer)[: self._left])
        self._left -= size
        return size


def _parts(stream: io.BufferedReader[_Received], head: Head) -> Iterator[bytes]:
    """Read the body; trailers are left unread."""
    if not head.is_chunked:
        yield from _first(stream, sys.maxsize if head.body_size is None else head.body_size)
        return
    while size := int(stream.readline().partition(b";")[0], 16):
        yield from _first(stream, size)
        stream.readline()


def _first(stream: io.BufferedReader[_Received], size: int) -> Iterator[bytes]:
    while size > 0 and (part := stream.read1(min(size, LARGEST_PART))):
        size -= len(part)
        yield part
