"""The part of the tests that `make console-test` runs in addition to those of `make test`."""

from __future__ import annotations

import os

import pytest

IS_WHOLE = bool(os.environ.get("CONSOLE_MATRIX"))
WIDTHS = (320, 1280) if IS_WHOLE else (320,)
"""Pixels; the narrow window first, where less fits. The pages of the short set have every width."""

only_whole = pytest.mark.skipif(not IS_WHOLE, reason="make console-test runs it")
