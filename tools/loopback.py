"""An HTTP server that only this machine can reach, for our receivers and proxies."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Self

from tools.processes import LOOPBACK

LOOK = 0.02
"""Seconds between two checks whether it is to stop."""


class LoopbackServer(ThreadingHTTPServer):
    """Serves each connection in a separate thread, at a free port unless one is named."""

    request_queue_size = 128

    def __init__(self, handler: type[BaseHTTPRequestHandler], port: int = 0) -> None:
        super().__init__((LOOPBACK, port), handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(LOOK,), daemon=True)

    def server_bind(self) -> None:
        """Bind without asking the resolver for this machine's name, which can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, self.server_address[1]

    @property
    def origin(self) -> str:
        """Its address: a URL without a path."""
        return f"http://{LOOPBACK}:{self.server_port}"

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Serve no longer, and give the port back."""
        self.shutdown()
        self._thread.join()
        self.server_close()

    def __enter__(self) -> Self:
        """Begin to serve."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()
