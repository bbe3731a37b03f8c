"""Teaches schemathesis what our formats mean, so that what it takes for valid is."""

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
