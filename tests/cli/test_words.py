"""Every code and reason of the service has words, and the words are about something."""

from __future__ import annotations

import re

from dispatch_cli import words
from dispatch_cli.words import CODES, REASONS
from dispatcher import resolution
from tests.documents import rows


def test_every_code_that_the_documents_name_has_words():
    """And no other has."""
    told = {
        code
        for cells in rows("docs/operations.md", "Error codes")
        for code in re.findall(r"`(\w+)`", cells[0])
    }

    assert told - {"http_NNN"} == CODES.keys()


def test_every_reason_has_words():
    """Those of the effective configuration, and of what a send skips."""
    names = {
        resolution.DISABLED_BY_DEFAULT,
        resolution.DISABLED_BY_USER,
        resolution.DISABLED_BY_RECEIVER,
        resolution.NOT_CONFIGURED,
        "no_address",
    }

    assert names == REASONS.keys()


def test_a_status_of_http_is_put_in_words():
    """Known ones, families, and what only a newer service knows."""
    assert [words.code(name).meaning for name in ("http_503", "http_410", "http_418", "new")] == [
        "the receiver is in trouble (HTTP 503)",
        "the receiver is gone for good (HTTP 410)",
        "the receiver refused it (HTTP 418)",
        "new",
    ]


def test_what_has_the_same_reason_is_told_together():
    """A single one by its name, so that its command can be copied."""
    by_type = [("SMS", "disabled_by_default"), ("EMAIL", "new"), ("TOOL", "disabled_by_default")]

    assert words.reasons("ada", by_type) == [
        (
            "SMS, TOOL",
            "off unless a user asks for it. To ask for it: dispatch override set ada TYPE --enable",
        ),
        ("EMAIL", "new"),
    ]
    assert words.reasons("ada", by_type[:1])[0][1].endswith("override set ada SMS --enable")
