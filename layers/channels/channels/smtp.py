"""Sends one email to the operator's SMTP server, within the time of one attempt.

TLS is required and verified unless ``SMTP_TLS=none`` (for a local server). A password is never sent
without TLS.
"""

from __future__ import annotations

import base64
import hmac
import io
import re
import smtplib
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from channels.hosts import ascii_host
from dispatcher.deadline import Deadline
from dispatcher.errors import BrokenSettingError
from dispatcher.ranges import Range
from dispatcher.tls import client_context
from dispatcher.variables import number

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Iterator, Mapping

    from _typeshed import WriteableBuffer

    from channels.mime import Mail

PORTS = {"starttls": 587, "implicit": 465, "none": 25}

LARGEST_REPLY = 64 * 1024
"""Bytes of one response that are read at most."""

QUIT_SECONDS = 0.5
"""Seconds for QUIT, after the email was accepted."""

MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5")
"""AUTH mechanisms in order of preference; TLS protects all of them."""

LONGEST_AUTH = 500
"""Characters after ``AUTH``, so that the line has at most 512 octets (RFC 4954, 4)."""

_UNKNOWN_MECHANISM = frozenset({504, 534})
_ALREADY_AUTHENTICATED = 503
_CHALLENGE = 334
_CODE = re.compile(rb"[2-5][0-9]{2}")
_MECHANISM = re.compile(r"[A-Z0-9_-]{1,20}")


class NoMechanismError(smtplib.SMTPException):
    """The server offers no supported AUTH mechanism; the text is safe to show."""

    def __init__(self, offered: list[str]) -> None:
        names = ", ".join([name for name in offered if _MECHANISM.fullmatch(name)][:5])
        offer = f"AUTH {names}, but none of" if names else "none of the AUTH mechanisms"
        super().__init__(f"the mail server offers {offer} {', '.join(MECHANISMS)}")


class _Replies(io.RawIOBase):
    """The server's bytes until the deadline, which a slow server cannot extend."""

    def __init__(self, connection: socket.socket, deadline: Callable[[], Deadline]) -> None:
        super().__init__()
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        self._connection.settimeout(self._deadline().require())
        return self._connection.recv_into(buffer)


class _Bounded(smtplib.SMTP):
    """An SMTP client that limits the time of the attempt and the size of each response."""

    def __init__(self, deadline: Deadline, **options: Any) -> None:  # noqa: ANN401 - handed through
        self._deadline = deadline
        super().__init__(**options, timeout=deadline.require())

    def send(self, s: Any) -> None:  # noqa: ANN401 - as smtplib has it
        try:
            remaining = self._deadline.require()
        except TimeoutError:
            self.close()
            raise
        if self.sock:
            self.sock.settimeout(remaining)
        super().send(s)

    def getreply(self) -> tuple[int, bytes]:
        """Read a response; its first line decides, even if later lines are missing.

        The original reads any number of lines, and turns a line of 8 KiB into a refusal.
        """
        if self.file is None and self.sock:
            self.file = io.BufferedReader(_Replies(self.sock, lambda: self._deadline))
        code, texts, left = -1, list[bytes](), LARGEST_REPLY
        while True:
            try:
                line = self.file.readline(left) if self.file else b""
            except OSError as error:
                self.close()
                if code > 0:
                    break
                if isinstance(error, TimeoutError):
                    raise
                raise smtplib.SMTPServerDisconnected("the connection broke") from error
            left -= len(line)
            if code < 0 and (found := _CODE.match(line)):
                code = int(found[0])
            texts.append(line[4:].strip())
            if not line.endswith(b"\n"):
                # The connection was closed, or the rest would be mistaken for the next response.
                self.close()
                if not line and code < 0:
                    raise smtplib.SMTPServerDisconnected("the server hung up")
                break
            if line[3:4] != b"-" or code < 0:
                break
        return code, b"\n".join(texts)

    def authenticate(self, username: str, password: str) -> None:
        """Log in with the first mechanism that both sides support, in UTF-8 (RFC 4616).

        ``login`` of ``smtplib`` supports only ASCII.
        """
        offered = self.esmtp_features.get("auth", "").upper().split()
        common = [name for name in MECHANISMS if name in offered]
        if not common:
            raise NoMechanismError(offered)
        for mechanism in common:
            code, text = self._authenticate(mechanism, username, password)
            if code // 100 == 2 or code == _ALREADY_AUTHENTICATED:
                return
            if code not in _UNKNOWN_MECHANISM:
                break
        raise smtplib.SMTPAuthenticationError(code, text)

    def _authenticate(self, mechanism: str, username: str, password: str) -> tuple[int, bytes]:
        answers = [username, password]
        if mechanism == "PLAIN":
            answers = [f"\0{username}\0{password}"]
            command = f"PLAIN {_base64(answers[0])}"
            if len(command) <= LONGEST_AUTH:
                return self.docmd("AUTH", command)
        code, text = self.docmd("AUTH", mechanism)
        if mechanism == "CRAM-MD5" and code == _CHALLENGE:
            answers = [f"{username} {_digest(password, text)}"]
        for answer in answers:
            if code == _CHALLENGE:
                code, text = self.docmd(_base64(answer))
        return code, text

    def hand_over(self, mail: Mail) -> None:
        """Send one email; any response code 2xx accepts it (RFC 5321, 4.2).

        ``sendmail`` of ``smtplib`` treats every code except 250 as a refusal.
        """
        size = [f"SIZE={len(mail.content)}"] if self.has_extn("size") else []
        code, text = self.mail(mail.sender, size)
        if code // 100 != 2:
            raise smtplib.SMTPSenderRefused(code, text, mail.sender)
        code, text = self.rcpt(mail.recipient)
        if code // 100 != 2:
            raise smtplib.SMTPRecipientsRefused({mail.recipient: (code, text)})
        code, text = self.data(mail.content)
        if code // 100 != 2:
            raise smtplib.SMTPDataError(code, text)

    def leave(self) -> None:
        """Send QUIT; its failure does not change the outcome."""
        self._deadline = Deadline(min(QUIT_SECONDS, self._deadline.timeout()), time.monotonic)
        with suppress(smtplib.SMTPException, OSError):
            self.quit()


class _Implicit(_Bounded, smtplib.SMTP_SSL):
    """The bounded client with TLS from the first byte on."""


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _digest(password: str, challenge: bytes) -> str:
    try:
        return hmac.new(password.encode(), base64.b64decode(challenge), "md5").hexdigest()
    except ValueError:
        raise smtplib.SMTPException("a challenge that is not base64") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpServer:
    """The operator's SMTP server; ``helo`` is the host name that we send in EHLO."""

    host: str
    port: int
    tls: str
    helo: str
    username: str = ""
    trust: Callable[[], ssl.SSLContext] = client_context

    @classmethod
    def of(cls, environ: Mapping[str, str], helo: str) -> SmtpServer:
        """Read ``SMTP_HOST``, ``SMTP_PORT``, ``SMTP_TLS`` and ``SMTP_USERNAME``."""
        tls = environ.get("SMTP_TLS") or "starttls"
        if tls not in PORTS:
            raise BrokenSettingError(
                "SMTP_TLS", f"is {tls!r}: set it to starttls, implicit or none"
            )
        port = number(environ, "SMTP_PORT", Range(1, 65_535)) or PORTS[tls]
        username = environ.get("SMTP_USERNAME", "")
        if username and tls == "none":
            raise BrokenSettingError(
                "SMTP_TLS", "is 'none', but SMTP_USERNAME is set: set it to starttls or implicit"
            )
        host = _host(environ["SMTP_HOST"])
        return cls(host=host, port=port, tls=tls, helo=helo, username=username)

    def send(self, deadline: Deadline, mail: Mail, password: str) -> None:
        """Send one email to one recipient, or raise an exception of ``smtplib``."""
        with self._session(deadline) as session:
            if self.username:
                session.authenticate(self.username, password)
            session.hand_over(mail)

    def greet(self, deadline: Deadline) -> None:
        """Check that the server responds, with a valid certificate; raise as ``smtplib`` does."""
        with self._session(deadline) as session:
            session.noop()

    @contextmanager
    def _session(self, deadline: Deadline) -> Iterator[_Bounded]:
        options: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "local_hostname": self.helo,
        }
        session = (
            _Implicit(deadline, **options, context=self.trust())
            if self.tls == "implicit"
            else _Bounded(deadline, **options)
        )
        try:
            if self.tls == "starttls":
                session.starttls(context=self.trust())
            session.ehlo_or_helo_if_needed()
            yield session
            session.leave()
        finally:
            session.close()


def _host(name: str) -> str:
    try:
        return ascii_host(name)
    except ValueError:
        raise BrokenSettingError(
            "SMTP_HOST", f"is {name!r}: set it to a host name such as smtp.example.com"
        ) from None
