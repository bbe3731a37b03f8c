"""The guarded HTTP client: sends one request to a receiver that a user chose.

A user's URL must not reach the operator's network. So the host name is resolved once, every address
is checked, and ``requests`` gets a socket that is already connected to a checked address; Host, SNI
and certificate keep the name. One time limit covers the whole attempt: a watchdog then closes the
connection. The head of the response decides the outcome (``dispatcher.response_head``): no later
error of the body or the connection changes it.

Only the adapter of ``requests`` is used, because a ``Session`` is unsafe here: it takes proxies,
netrc and CA bundles from the environment, keeps cookies and follows redirects. Even with
``allow_redirects=False`` it reads and decodes the whole body of a redirect.
"""

from __future__ import annotations

import http.client
import logging
import queue
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Self, cast

import certifi
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection

from channels.addresses import is_public
from channels.alarms import Alarms
from dispatcher.deadline import Deadline
from dispatcher.integrations.egress import PORTS
from dispatcher.response_head import read_head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from channels.addresses import IPAddress
    from dispatcher.integrations.egress import EgressPolicy, Url

ATTEMPT_SECONDS = 9.5
"""Seconds for an attempt, DNS included; the remaining 0.5 s of the ten are for a clean end."""
DNS_SECONDS = 3.0
CONNECT_SECONDS = 3.0
"""Seconds per address, so that an address that drops packets leaves time for the next one."""
MOST_BODY = 16 * 1024
BODY_SECONDS = 0.3
"""Seconds for the body; it is read only so that a receiver that still writes gets no reset."""
LAST_CHUNK = b"\r\n0\r\n\r\n"

# Both would log whole URLs with the secrets in their queries: one at DEBUG, the other in a WARNING
# that any receiver can cause with a malformed header.
for _name in ("urllib3.connectionpool", "urllib3.connection"):
    logging.getLogger(_name).disabled = True


class BlockedError(Exception):
    """The receiver's host name resolves to a blocked address; no request was sent."""


class NoResponseError(Exception):
    """The attempt ended without a response; ``code`` is the machine-readable reason."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Response(NamedTuple):
    """The parts of a response that are kept; its body could repeat the user's secrets."""

    status: int
    retry_after: str | None


def look_up(host: str, port: int) -> Sequence[str]:
    """Resolve a name with the system's resolver, which has no time limit."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def dial(address: IPAddress, port: int, seconds: float) -> socket.socket:
    """Connect to an address; ``create_connection`` would resolve it again."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Headers and body are two writes; without this option the second waits for an ACK.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(seconds)
        connection.connect((str(address), port))
    except OSError:
        connection.close()
        raise
    return connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Sends requests to users' receivers; ``ca_file`` replaces the public CA certificates."""

    egress: EgressPolicy
    ca_file: str | None = None
    seconds: float = ATTEMPT_SECONDS
    resolve: Callable[[str, int], Sequence[str]] = look_up
    dial: Callable[[IPAddress, int, float], socket.socket] = dial
    alarms: Alarms = field(default_factory=Alarms, repr=False, compare=False)

    def send(self, url: Url, method: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Send once and return the response, or raise ``BlockedError`` or ``NoResponseError``."""
        line = _Line(self.seconds, self.alarms)
        try:
            with line:
                connection = self._connect(url, self._addresses(url, line), line)
                line.hold(connection)
                pool = self._pool(url, connection)
                response = self._exchange(_Request(url, method, headers, body, pool), line)
        except NoResponseError:
            if not line.is_cut:
                raise
        else:
            return response
        raise NoResponseError("timeout", f"{url.host} did not respond within {self.seconds:g} s")

    def _pool(self, url: Url, connection: socket.socket) -> _Pool:
        if url.scheme == "https":
            trust = _trust(self.ca_file)
            return _TlsPool(url.host, url.port, ssl_context=trust, connection=connection)
        return _Pool(url.host, url.port, connection=connection)

    def _exchange(self, request: _Request, line: _Line) -> Response:
        with request.pool:
            try:
                response = _ADAPTER.send(request, stream=True, timeout=line.deadline.timeout() + 1)
            except _FAULTS as error:
                raise _no_response(request.pool.host, error) from None
            response.close()
            return Response(response.status_code, response.headers.get("Retry-After"))

    def _addresses(self, url: Url, line: _Line) -> Sequence[IPAddress]:
        """Resolve the host once; one blocked address rejects it, whatever the others are."""
        if url.address is None:
            addresses = [_address(url.host, text) for text in self._look_up(url, line)]
        else:
            addresses = [url.address]
        for address in addresses:
            if not self.egress.allows(address) and not is_public(address):
                raise BlockedError(f"{url.host} resolves to an address that is not public")
        # Other ports of plain http are permitted only in networks that the operator opened.
        inside = all(map(self.egress.allows, addresses))
        if url.scheme == "http" and url.port not in PORTS["http"] and not inside:
            raise BlockedError(f"{url.host} is not permitted with plain http on port {url.port}")
        return addresses

    def _look_up(self, url: Url, line: _Line) -> Sequence[str]:
        box: queue.SimpleQueue[Sequence[str]] = queue.SimpleQueue()

        def resolve() -> None:
            try:
                box.put(self.resolve(url.host, url.port))
            except (OSError, UnicodeError):
                box.put(())

        threading.Thread(target=resolve, daemon=True).start()
        with suppress(queue.Empty):
            if addresses := box.get(timeout=min(DNS_SECONDS, line.deadline.timeout())):
                return addresses
        raise NoResponseError("dns_failed", f"{url.host} could not be resolved")

    def _connect(self, url: Url, addresses: Sequence[IPAddress], line: _Line) -> socket.socket:
        for address in addresses:
            # A name may resolve to thousands of addresses.
            if line.is_cut:
                break
            with suppress(OSError):
                return self.dial(address, url.port, min(CONNECT_SECONDS, line.deadline.timeout()))
        raise NoResponseError(
            "connection_failed", f"{url.host} accepted no connection on port {url.port}"
        )


class _Line:
    """The time of one attempt, and the connection that ends with it."""

    def __init__(self, seconds: float, alarms: Alarms) -> None:
        self.is_cut = False
        self.deadline = Deadline(seconds, time.monotonic)
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._alarm = alarms.set(seconds, self._cut)

    def hold(self, connection: socket.socket) -> None:
        """Keep a duplicate of the descriptor, because TLS moves the original to another object."""
        # Longer than the watchdog, which alone ends the attempt. requests sets it again later.
        connection.settimeout(self.deadline.timeout() + 1)
        with self._lock:
            self._connection = connection.dup()
        if self.is_cut:
            self._cut()

    def _cut(self) -> None:
        with self._lock:
            self.is_cut = True
            if self._connection:
                with suppress(OSError):
                    self._connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._alarm.cancel()
        with self._lock:
            if self._connection:
                self._connection.close()
                self._connection = None


class _Connection(HTTPConnection):
    """A connection to a checked address, opened before."""

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - handed through
        connection: socket.socket,
        **options: Any,  # noqa: ANN401 - handed through
    ) -> None:
        super().__init__(*args, **options)
        self._connection = connection

    def _new_conn(self) -> socket.socket:
        return self._connection

    def request(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - handed through
        """Send the request, and ignore a receiver that closes after an early response.

        ``urllib3`` ignores some of these errors, but none of their TLS variants.
        """
        with suppress(OSError):
            super().request(*args, **options)

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override] # one that was read
        """Read the head, and the part of the body that arrives within the limits."""
        with self.sock.makefile("rb") as stream:
            head = read_head(stream)
            with suppress(OSError, ValueError):
                _drain(self.sock, stream, head.body_size)
        retry_after = head.value("Retry-After")
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        return urllib3.HTTPResponse(status=head.status, headers=headers, preload_content=False)


class _TlsConnection(_Connection, HTTPSConnection):
    """A checked connection with TLS; SNI and certificate are for the host name."""


class _Pool(urllib3.HTTPConnectionPool):
    """A pool that holds the one checked connection."""

    ConnectionCls = _Connection


class _TlsPool(_Pool, urllib3.HTTPSConnectionPool):
    """A pool that holds the one checked connection, with TLS."""

    ConnectionCls = _TlsConnection


class _Request(requests.PreparedRequest):
    """A checked request and its connection; ``requests`` does not parse it again.

    Its headers must have passed ``check_headers``: no later code validates them.
    """

    def __init__(
        self, url: Url, method: str, headers: Mapping[str, str], body: bytes, pool: _Pool
    ) -> None:
        super().__init__()
        self.method, self.url, self.body = method, url.text, body
        self.headers = CaseInsensitiveDict({**headers, "Content-Length": str(len(body))})
        self.target = url.target
        self.pool = pool


class _Adapter(HTTPAdapter):
    """The adapter of ``requests``; connection, trust and request line come from the request."""

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, *_: object, **__: object
    ) -> _Pool:
        return cast("_Request", request).pool

    def cert_verify(self, *_: object, **__: object) -> None:
        """Keep the connection's own TLS context."""

    def request_url(self, request: requests.PreparedRequest, *_: object) -> str:
        return cast("_Request", request).target

    def build_response(
        self, _: requests.PreparedRequest, resp: urllib3.BaseHTTPResponse
    ) -> requests.Response:
        """Copy status and headers; the original reads cookies too."""
        response = requests.Response()
        response.status_code, response.raw = resp.status, resp
        response.headers.update(resp.headers)
        return response


def _drain(connection: socket.socket, stream: IO[bytes], size: int | None) -> None:
    """Read and discard a body of ``size`` bytes within the limits, without decoding it."""
    deadline = Deadline(BODY_SECONDS, time.monotonic)
    left, end = MOST_BODY if size is None else min(size, MOST_BODY), b"\r\n"
    while left > 0 and not (size is None and end.endswith(LAST_CHUNK)):
        connection.settimeout(deadline.require())
        part = stream.read1(left)  # type: ignore[attr-defined] # IO lacks it, BufferedReader has it
        if not part:
            return
        left -= len(part)
        end = (end + part)[-len(LAST_CHUNK) :]


_ADAPTER = _Adapter()
"""Shared by all requests, because it has no state."""


@cache
def _trust(ca_file: str | None) -> ssl.SSLContext:
    # Not create_default_context: it obeys SSL_CERT_FILE, SSL_CERT_DIR and SSLKEYLOGFILE.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    context.load_verify_locations(ca_file or certifi.where())
    return context


def _address(host: str, text: str) -> IPAddress:
    with suppress(ValueError):
        address = ip_address(text)
        if not getattr(address, "scope_id", None):
            return address
    raise BlockedError(f"{host} resolves to an address that is valid in one network only")


_FAULTS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,
)
"""Exceptions that a receiver's behavior can cause."""


def _no_response(host: str, error: BaseException) -> NoResponseError:
    """Return the error to raise, without the original text, which may contain the URL."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            detail = f"the certificate of {host} is not valid: {cause.verify_message}"
            return NoResponseError("tls_failed", detail)
    for kind, code, what in (
        (TimeoutError, "timeout", "did not respond in time"),
        (ssl.SSLError, "tls_failed", "did not agree on TLS 1.2 or newer"),
        (ConnectionError, "connection_failed", "closed the connection before it responded"),
    ):
        if any(isinstance(cause, kind) for cause in causes):
            return NoResponseError(code, f"{host} {what}")
    return NoResponseError("invalid_answer", f"{host} returned a response that is not HTTP/1.1")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__ or error.__context__
