"""Teaches schemathesis what a schema cannot say, so that what it takes for valid is."""

from __future__ import annotations

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
