"""Real receivers on loopback, a resolver that does as a test says, and a witness of sockets."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import ip_network

import pytest
import trustme

from channels.guard import Guard
from dispatcher.integrations.egress import EgressPolicy

HOST = "hook.example.org"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LOOPBACK = EgressPolicy((ip_network("127.0.0.0/8"),), http=True)


@pytest.fixture
def connects(monkeypatch):
    """Every address that a socket of this process connected to during the test.

    Not by an audit hook: it would stay for the whole run, and CPython 3.11 refuses a thread's trace
    function while another thread is in a hook, so a server's thread would end before it responds.
    """
    addresses: list[tuple[str, int]] = []
    connect = socket.socket.connect

    def recorded(self, address):
        addresses.append(address[:2])
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", recorded)
    return addresses


class Receiver:
    """Listens on loopback, reads requests and lets a function of the connection respond."""

    def __init__(self, answer, context=None, *, reads_body=True):
        self.requests = []
        self.failures = []
        self.stop = threading.Event()
        self._answer = answer if callable(answer) else lambda line, _stop: line.sendall(answer)
        self._context = context
        self._reads_body = reads_body
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            with line:
                self._handle(line)

    def _handle(self, line):
        try:
            line.settimeout(10)
            if self._context:
                line = self._context.wrap_socket(line, server_side=True)
            with line:
                request = self._read(line)
                if request:
                    self.requests.append(request)
                    self._answer(line, self.stop)
        except OSError as error:
            self.failures.append(error)

    def _read(self, line):
        data = b""
        while b"\r\n\r\n" not in data:
            part = line.recv(65536)
            if not part:
                return None
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        headers = [tuple(one.split(": ", 1)) for one in rest]
        length = int(dict(headers).get("Content-Length", 0))
        while self._reads_body and len(body) < length:
            body += line.recv(65536)
        return first, dict(headers), body

    def close(self):
        """Stop listening and wait for the thread."""
        self.stop.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.fixture(scope="session")
def authority():
    """A certificate authority of the tests' own."""
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority, tmp_path_factory):
    """The file that a guard trusts."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture(scope="session")
def tls(authority):
    """Make a server's TLS context: the names of its certificate, when it expires, who signed it."""

    def make(*names, expired=False, signer=authority):
        options = {"not_before": datetime(2020, 1, 1, tzinfo=UTC)} if expired else {}
        options |= {"not_after": datetime(2021, 1, 1, tzinfo=UTC)} if expired else {}
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        signer.issue_cert(*(names or (HOST,)), **options).configure_cert(context)
        return context

    return make


@pytest.fixture
def receive(tls):
    """Start receivers: ``receive(answer)`` over TLS, ``receive(answer, None)`` without."""
    started = []

    def start(answer=OK, context="trusted", **options):
        started.append(Receiver(answer, tls() if context == "trusted" else context, **options))
        return started[-1]

    yield start
    for one in started:
        one.close()


class Resolver:
    """Gives its responses one after the other, the last forever; counts the queries."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def __call__(self, host, port):
        """Replace the system's resolver."""
        self.asked.append((host, port))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not answer:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return answer


@pytest.fixture
def guard(ca_file):
    """Make a guard that may reach loopback, where the receivers are."""

    def make(*answers, **options):
        resolve = Resolver(*(answers or (["127.0.0.1"],)))
        defaults = {"egress": LOOPBACK, "ca_file": ca_file, "seconds": 8.0, "resolve": resolve}
        return Guard(**(defaults | options))

    return make
