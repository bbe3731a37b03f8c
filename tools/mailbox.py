"""A mail server on this machine that accepts every email: ``aiosmtpd``, without TLS and AUTH."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from typing import Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope

from tools.processes import LOOPBACK


class Mailbox:
    """The server; a context manager. It is also the handler that ``aiosmtpd`` calls."""

    def __init__(self, port: int) -> None:
        self.emails: list[EmailMessage] = []
        self._controller = Controller(self, LOOPBACK, port, enable_SMTPUTF8=True)

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._controller.stop()

    async def handle_DATA(self, _server: object, _session: object, envelope: Envelope) -> str:  # noqa: N802 - the name that aiosmtpd calls
        """Accept an email."""
        content = envelope.content or b""
        assert isinstance(content, bytes)  # noqa: S101 - the controller decodes nothing
        self.add(email.message_from_bytes(content, policy=email.policy.default))
        return "250 OK"

    def add(self, message: EmailMessage) -> None:
        """Keep an email."""
        self.emails.append(message)


def part(message: EmailMessage, kind: str) -> str:
    """Return the text of an email: ``plain`` or ``html``."""
    found = message.get_body((kind,))
    text = str(found.get_content()) if found else ""
    return text.replace("\r\n", "\n").removesuffix("\n")
