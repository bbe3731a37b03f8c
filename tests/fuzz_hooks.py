"""Teaches schemathesis what a schema cannot say: what is valid, and whose affairs are whose."""

from __future__ import annotations

import json
import os
from pathlib import Path

import requests
import schemathesis
from hypothesis import strategies as st

_label = st.from_regex(r"[a-z][a-z0-9]{1,9}", fullmatch=True)

schemathesis.openapi.format("email", st.builds("{}.{}@{}.example.com".format, *[_label] * 3))
schemathesis.openapi.format("uri", st.builds("https://{}.example.com/{}".format, *[_label] * 2))
# Of the one country that the local profile allows.
schemathesis.openapi.format(
    "phone-number", st.sampled_from(["+14155552671", "+12025550143", "+13105550199"])
)


def map_body(_context: object, body: object) -> object:
    """Write 3.0 as 3: to JSON Schema both are whole numbers, to the service only the second."""
    return _whole(body)


def _whole(value: object) -> object:
    if isinstance(value, dict):
        return {name: _whole(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_whole(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


schemathesis.hook(map_body)


def nobody_elses_affairs(
    _context: object, response: schemathesis.Response, _case: schemathesis.Case
) -> None:
    """Send what was allowed once more, as another user: it must be forbidden.

    schemathesis's own check leaves out what the other user can list, so it would not notice if
    every user could access every route.
    """
    named = os.environ.get("CREDENTIALS")
    sent = response.request
    if not (named and "/users/" in str(sent.url) and 200 <= response.status_code < 300):
        return
    other = json.loads(Path(named).read_text())["auth"][-1]
    headers = dict(sent.headers) | {one["name"]: one["value"] for one in other["fixedHeaders"]}
    again = requests.request(
        str(sent.method), str(sent.url), headers=headers, data=sent.body, timeout=30
    )
    if again.status_code != 403:
        message = f"{other['name']} was answered {again.status_code} instead of 403"
        raise AssertionError(message)


schemathesis.check(nobody_elses_affairs)
