"""The local cloud's AWS behind a gate that programs pass, and web pages do not.

ministack by itself responds to every page that is open in a browser on this machine: its own calls
(`/_ministack/reset` throws everything away) need no key, the key for the others is well known, and
each response tells the browser that any page may read it. The gate checks each request within the
same process, before ministack does: it costs next to nothing, and there is no way around it.

It runs in the local cloud's own environment, so it imports none of our modules. For the same reason
it is the place where the local cloud learns to unpack each layer once (`UnpackedOnce`).
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import sys
import tempfile
import threading
import zipfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar
from urllib.parse import urlsplit

import ministack.app
from ministack.core import lambda_runtime

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

HERE = frozenset({"localhost", "127.0.0.1"})
"""Names under which a browser says of every request where it comes from."""

DESKTOP = "host.docker.internal"
"""The name of this machine in containers of Docker's desktop editions; no public name ends so."""

SIGNED = "AWS4-HMAC-SHA256 "


def gated(app: App) -> App:
    """Return the app behind the gate."""

    async def gate(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): text.decode("latin-1") for name, text in scope["headers"]
        }
        objection = why_not(headers)
        if not objection:
            await app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            await _refuse(objection, send)

    return gate


def why_not(headers: Mapping[str, str]) -> str:
    """Return the objection to a request with these headers; empty if a program sent it.

    A page cannot remove the `Origin` and `Sec-Fetch-Site` that its browser writes. But it may
    call us by a name that it had moved here, and then we are of one origin; and of an address that
    is not known to be loopback, such as 0.0.0.0, browsers do not tell where a GET comes from.
    There, a call has to be signed in a header, as those of AWS clients are: a page cannot send one
    without asking first, with an `Origin`.
    """
    if "origin" in headers:
        return f"Origin {headers['origin']}: web pages are not answered here"
    # Also for an address that a person opened: a link in an email may lead here by a redirect.
    if "sec-fetch-site" in headers:
        return f"Sec-Fetch-Site {headers['sec-fetch-site']}: web pages are not answered here"
    name = _name(headers.get("host", ""))
    if name in HERE:
        return ""
    if name != DESKTOP and not _is_address(name):
        return f"Host {name!r}: call this machine localhost or 127.0.0.1"
    if not headers.get("authorization", "").startswith(SIGNED):
        return f"Host {name!r}: sign the request in a header, or call this machine localhost"
    return ""


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _refuse(objection: str, send: Send) -> None:
    # So that AWS clients show it.
    told = {"__type": "AccessDeniedException", "message": objection}
    body = json.dumps(told).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class UnpackedOnce(zipfile.ZipFile):
    """An archive that is unpacked once; all processes of functions get links to its files.

    ministack unpacks all layers for each process that it starts: thousands of files, which takes
    half a second and 60 MB. On AWS, too, a process only reads them.
    """

    _unpacking = threading.Lock()
    _folders: ClassVar[dict[str, Path]] = {}

    def namelist(self) -> list[str]:
        """Return the names of the top level: the only ones that ``extractall`` makes."""
        return sorted({name.partition("/")[0] for name in super().namelist()})

    def extractall(self, path: Any = None, *_: Any) -> None:  # noqa: ANN401 - as ministack calls it
        """Link what the archive holds into a folder."""
        archive = Path(str(self.filename))
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        with self._unpacking:
            if digest not in self._folders:
                folder = Path(tempfile.mkdtemp(prefix="unpacked-"))
                super().extractall(folder, self.infolist())
                self._folders[digest] = folder
        for name in self.namelist():
            Path(path, name).symlink_to(self._folders[digest] / name)
        # ministack writes it for this call alone, 14 MB for each process.
        archive.unlink()


if __name__ == "__main__":
    lambda_runtime.zipfile = SimpleNamespace(**{**vars(zipfile), "ZipFile": UnpackedOnce})
    ministack.app.app = gated(ministack.app.app)
    sys.exit(ministack.app.main())
