"""A mail server on loopback, with STARTTLS and AUTH: ``aiosmtpd``, and faults of mail servers.

``mails`` holds the accepted emails. ``replies`` replaces the response to a verb once, and ``drops``
or ``hangs`` end or stall a session at a verb; for DATA, after the email was accepted.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Mapping
    from email.message import EmailMessage


@dataclass(frozen=True)
class ReceivedMail:
    """An email as it arrived, and how."""

    helo: str
    is_encrypted: bool
    username: str | None
    sender: str
    recipients: tuple[str, ...]
    content: bytes

    @property
    def read(self) -> EmailMessage:
        """Return it as a mail program reads it."""
        return email.message_from_bytes(self.content, policy=email.policy.default)

    @property
    def text(self) -> str:
        """Return the plain text."""
        return self._part("plain") or ""

    @property
    def html(self) -> str | None:
        """Return the HTML beside it."""
        return self._part("html")

    def _part(self, kind: str) -> str | None:
        part = self.read.get_body((kind,))
        if part is None:
            return None
        return str(part.get_content()).replace("\r\n", "\n").removesuffix("\n")


class FakeSmtpServer:
    """The server; a context manager that listens at ``host`` and ``port``."""

    host = "127.0.0.1"

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        users: Mapping[str, str] | None = None,
        port: int = 0,
        excluded_mechanisms: Iterable[str] = (),
    ) -> None:
        self.mails: list[ReceivedMail] = []
        self.replies: dict[str, str] = {}
        self.drops: set[str] = set()
        self.hangs: set[str] = set()
        self.port = port
        self._tls = tls
        self.is_implicit = implicit
        self._users = dict(users or {})
        self._excluded_mechanisms = [*excluded_mechanisms]
        self._loop = asyncio.new_event_loop()
        self._released = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and disconnect the clients that wait."""
        self._loop.call_soon_threadsafe(self._released.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop.close()
        self._loop = asyncio.get_running_loop()
        server = await self._loop.create_server(
            self._session, self.host, self.port, ssl=self._tls if self.is_implicit else None
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        async with server:
            await self._released.wait()

    def _session(self) -> SMTP:
        needs_auth = bool(self._users)
        return SMTP(
            _Hooks(self),
            hostname="mail.local",
            enable_SMTPUTF8=True,
            tls_context=None if self.is_implicit else self._tls,
            require_starttls=bool(self._tls) and not self.is_implicit,
            authenticator=self._authenticated if needs_auth else None,
            auth_required=needs_auth,
            auth_exclude_mechanism=self._excluded_mechanisms,
            auth_require_tls=not self.is_implicit,
            loop=self._loop,
        )

    def _authenticated(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object
    ) -> AuthResult:
        name, password = "", ""
        if isinstance(data, LoginPassword):
            name, password = data.login.decode(), data.password.decode()
        good = bool(password) and self._users.get(name) == password
        # A refusal is the server's own to word: 535.
        return AuthResult(success=good, handled=False, auth_data=name)

    async def meet(self, verb: str, server: SMTP) -> str | None:
        """Do at a verb what was asked for; return the reply that replaces its own."""
        if verb in self.hangs:
            self.hangs.discard(verb)
            await self._released.wait()
        if verb in self.drops and isinstance(server.transport, asyncio.WriteTransport):
            self.drops.discard(verb)
            server.transport.abort()
        return self.replies.pop(verb, None)


class _Hooks:
    """The hooks that ``aiosmtpd`` calls."""

    def __init__(self, owner: FakeSmtpServer) -> None:
        self._owner = owner

    async def handle_EHLO(  # noqa: N802 - the name that aiosmtpd calls
        self,
        server: SMTP,
        session: Session,
        _envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        session.host_name = hostname
        reply = await self._owner.meet("EHLO", server)
        return [reply] if reply else responses

    async def handle_QUIT(self, server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802
        return await self._owner.meet("QUIT", server) or "221 Bye"

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = await self._owner.meet("MAIL", server)
        if reply is None:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return reply or "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = await self._owner.meet("RCPT", server)
        if reply is None:
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
        return reply or "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        reply = self._owner.replies.get("DATA")
        if reply is None or reply.startswith("2"):
            content = envelope.content
            self._owner.mails.append(
                ReceivedMail(
                    helo=str(session.host_name),
                    is_encrypted=session.ssl is not None or self._owner.is_implicit,
                    username=session.auth_data,
                    sender=str(envelope.mail_from),
                    recipients=tuple(envelope.rcpt_tos),
                    content=content if isinstance(content, bytes) else b"",
                )
            )
        return await self._owner.meet("DATA", server) or "250 OK"
