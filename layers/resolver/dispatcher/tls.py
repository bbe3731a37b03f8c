"""The TLS context of every client connection that this package opens."""

from __future__ import annotations

import ssl


def client_context() -> ssl.SSLContext:
    """Return a context that verifies certificates only by their subject alternative names.

    Python's default accepts a certificate without such names by its common name (RFC 9525, 2,
    forbids it).
    """
    context = ssl.create_default_context()
    context.hostname_checks_common_name = False
    return context
