"""Log fields of an error: never the message of an exception that this package did not write.

A library's message may quote a URL, a token or a body; the place in the code never does.
"""

from __future__ import annotations

from pathlib import PurePath
from traceback import walk_tb

from dispatcher.errors import DispatcherError

_FRAMES = 8


def log_fields(error: BaseException) -> dict[str, object]:
    """Return the fields of a log line: our own words, or else where it happened, innermost last."""
    name = type(error).__name__
    if isinstance(error, DispatcherError):
        return {"error": name, "reason": str(error)}
    frames = [
        f"{PurePath(frame.f_code.co_filename).name}:{line} {frame.f_code.co_qualname}"
        for frame, line in walk_tb(error.__traceback__)
    ]
    return {"error": name, "where": frames[-_FRAMES:]}
