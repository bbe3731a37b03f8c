"""The shapes of the names that callers use. Match them whole (``fullmatch``)."""

from __future__ import annotations

import re

USER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+|:-]{0,127}")
"""Compared as it is: users that differ in case are different users."""

USER_ID_RULE = "must be 1-128 letters, digits or . _ @ + | : -, the first a letter or digit"

REQUEST_ID = re.compile(r"[\x21-\x7e]{1,256}")
"""A caller's idempotency identity, in the scope of one user."""

REQUEST_ID_RULE = "must be 1-256 visible ASCII characters"

CATEGORY = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
"""The name of a category."""

CATEGORY_RULE = "must be 1-40 lower-case letters, digits or -, the first a letter or digit"

DELIVERY_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""A UUID in its canonical form; ours are version 7."""

SUPPRESSION_ID = re.compile(r"[A-Z]{1,20}-[0-9a-f]{16}")
"""The integration, and the beginning of the SHA-256 of the suppressed address."""

UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that SQS refuses, and lone surrogates, which have no UTF-8 form."""
