"""Hands one mail to an SMTP server that operators chose, within the time of one attempt.

TLS is required and verified unless the server is a local one (``SMTP_TLS=none``), and a password
never travels without it.
"""

from __future__ import annotations

import smtplib
import ssl
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dispatcher.errors import BrokenSettingError
from dispatcher.ranges import Range
from dispatcher.variables import number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from channels.mime import Mail
    from dispatcher.deadline import Deadline

PORTS = {"starttls": 587, "implicit": 465, "none": 25}


class _Bounded(smtplib.SMTP):
    """Limits every exchange to the remaining time of the attempt."""

    def __init__(self, deadline: Deadline, **options: Any) -> None:  # noqa: ANN401 - handed through
        self._deadline = deadline
        super().__init__(**options, timeout=deadline.require())

    def send(self, s: Any) -> None:  # noqa: ANN401 - as smtplib has it
        self._bound()
        super().send(s)

    def getreply(self) -> tuple[int, bytes]:
        self._bound()
        return super().getreply()

    def _bound(self) -> None:
        try:
            remaining = self._deadline.require()
        except TimeoutError:
            self.close()
            raise
        if self.sock:
            self.sock.settimeout(remaining)


class _Implicit(_Bounded, smtplib.SMTP_SSL):
    """The same, within TLS from the first byte on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpServer:
    """Where mails go out; ``helo`` is the name that we give ourselves."""

    host: str
    port: int
    tls: str
    helo: str
    username: str = ""
    trust: Callable[[], ssl.SSLContext] = ssl.create_default_context

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
        host = environ["SMTP_HOST"]
        return cls(host=host, port=port, tls=tls, helo=helo, username=username)

    def send(self, deadline: Deadline, mail: Mail, password: str) -> None:
        """Send one mail to one recipient, or raise as ``smtplib`` does."""
        with self._session(deadline) as session:
            if self.username:
                session.login(self.username, password)
            session.sendmail(mail.sender, [mail.recipient], mail.content)

    def greet(self, deadline: Deadline) -> None:
        """See that the server answers, and proves who it is; raise as ``smtplib`` does."""
        with self._session(deadline) as session:
            session.noop()

    @contextmanager
    def _session(self, deadline: Deadline) -> Iterator[smtplib.SMTP]:
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
            # The mail is out by now, and a goodbye that fails changes nothing.
            with suppress(smtplib.SMTPException, OSError):
                session.quit()
        finally:
            session.close()
