"""Make a key for a service: `make key NAME=billing SCOPES=dispatch:send FOR='*'`.

The key is shown this once. The secret stores its fingerprint, from which the key cannot be
computed.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys

from dispatcher.access.rows import parse_api_keys
from dispatcher.errors import BrokenSettingError
from tools.failure import ToolFailure, reported

PREFIX = "disp_"
"""Lets people, and scanners of secrets, tell what was left lying about."""


def made(name: str, scopes: list[str], user: str) -> tuple[str, dict[str, object]]:
    """Return a new key and the entry that lets it in; ``user`` may be empty."""
    if not name or not scopes:
        raise ToolFailure("say NAME=… and SCOPES=…, and FOR=… a user or '*' for all of them")
    key = PREFIX + secrets.token_urlsafe(32)
    entry: dict[str, object] = {
        "sha256": hashlib.sha256(key.encode()).hexdigest(),
        "scopes": scopes,
    }
    if user:
        entry["user"] = user
    try:
        parse_api_keys(json.dumps({name: entry}))
    except BrokenSettingError as error:
        raise ToolFailure(str(error).rpartition("used: ")[2]) from None
    return key, entry


@reported
def main() -> int:
    """Read what is wanted from the environment, as make hands it on, and print what was made."""
    name, scopes, user = (os.environ.get(one, "") for one in ("NAME", "SCOPES", "FOR"))
    key, entry = made(name, scopes.split(), user)
    print(f"The key, shown this once: {key}")
    print(f"Its entry in the secret: {json.dumps({name: entry})}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
