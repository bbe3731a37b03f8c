"""A mail server on loopback that says what a script says, byte for byte.

For replies that ``aiosmtpd`` cannot send. It keeps each complete email.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Self

if TYPE_CHECKING:
    import ssl

Say = bytes | Callable[[socket.socket], None]

GREETING, ACCEPTANCE = "GREETING", "."
"""The places of a script that are no verbs: the first reply, and the one after the final dot."""

REPLIES = {
    GREETING: b"220 ready\r\n",
    "EHLO": b"250 mail.local\r\n",
    "HELO": b"250 mail.local\r\n",
    "MAIL": b"250 OK\r\n",
    "RCPT": b"250 OK\r\n",
    "DATA": b"354 go on\r\n",
    ACCEPTANCE: b"250 OK\r\n",
    "QUIT": b"221 bye\r\n",
}


class ScriptedSmtpServer:
    """The server; a context manager. ``script`` replaces replies by verb, in bytes or an action."""

    host = "127.0.0.1"

    def __init__(self, script: Mapping[str, Say], *, tls: ssl.SSLContext | None = None) -> None:
        self.commands: list[str] = []
        self.mails: list[bytes] = []
        self._script: dict[str, Say] = {**REPLIES, **script}
        self._tls = tls
        self._listener = socket.create_server((self.host, 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            with line, suppress(OSError):
                line.settimeout(10)
                if self._tls:
                    line = self._tls.wrap_socket(line, server_side=True)
                with line, line.makefile("rb") as stream:
                    self._say(line, GREETING)
                    for command in stream:
                        text = command.decode("utf-8", "replace").strip()
                        verb = text.partition(" ")[0].upper()
                        self.commands.append(text)
                        self._say(line, verb)
                        if verb == "DATA":
                            self._receive(line, stream)

    def _receive(self, line: socket.socket, stream: BinaryIO) -> None:
        lines: list[bytes] = []
        while part := stream.readline():
            if part == b".\r\n":
                self.mails.append(b"".join(lines))
                self._say(line, ACCEPTANCE)
                return
            lines.append(part)

    def _say(self, line: socket.socket, place: str) -> None:
        said = self._script.get(place, b"502 unknown\r\n")
        if isinstance(said, bytes):
            line.sendall(said)
        else:
            said(line)


def endless(part: bytes, seconds: float = 10.0) -> Callable[[socket.socket], None]:
    """Say the same until the client hangs up."""

    def say(line: socket.socket) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            line.sendall(part)

    return say
