"""Emails as bytes: headers of one line, bodies that no relay misreads."""

from __future__ import annotations

import email
import email.policy
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.mime import Sender, compose
from dispatcher.delivery.ports import Message
from dispatcher.integrations.integration import Address

SENDER = Sender("Nöws", "news@example.org")
HEADERS = {
    "Content-Type", "MIME-Version", "From", "To", "Subject", "Date", "Message-ID",
    "Auto-Submitted",
}  # fmt: skip


def message(**changes):
    """Make a message."""
    fields = {
        "delivery_id": "01a3185c-5000-7002-9944-c9c3269e0d37",
        "request_id": "r",
        "session_id": None,
        "agent_id": "weather",
        "user_id": "ada",
        "integration_type": "EMAIL",
        "subject": "Rain",
        "content": "Take an umbrella",
        "config": {},
        "secrets": {},
        "address": Address("email", "ada@example.com"),
        "round": 1,
        "attempt": 1,
        "accepted_at": 1.0,
        "attempted_at": 1_800_000_000.125,
    }
    return Message(**{**fields, **changes})


def composed(**changes):
    """Return an email's bytes."""
    return compose(message(**changes), SENDER, "ada@example.com").content


def header(content, name):
    """Return a header's lines as they are."""
    head = content.partition(b"\r\n\r\n")[0].decode()
    return re.search(rf"^{name}: (.*(?:\r\n[ \t].*)*)", head, re.MULTILINE)[1].rstrip("\r")


@pytest.mark.parametrize(
    ("subject", "line"),
    [
        ("Rain", "Rain"),
        ("x" * 66, "x" * 66),
        ("Is 2+2=? yes", "=?utf-8?q?Is_2+2=3D=3F_yes?="),
        ("=?utf-8?q?=0ABcc:_x@y.z?=", "=?utf-8?b?PT91dGYtOD9xPz0wQUJjYzpfeEB5Lno/PQ==?="),
        ("hi\r\nBcc: a@example.com", "hi Bcc: a@example.com"),
        ("hi\u2028Bcc:\x85x\x0b\x1cy\x7f", "hi Bcc: x y"),
        ("\r\n", "Message from weather"),
    ],
)
def test_a_subject_is_one_line_that_means_itself(subject, line):
    """Line breaks of every kind are spaces, and what looks encoded is encoded."""
    assert header(composed(subject=subject), "Subject") == line


def test_a_mail_of_one_delivery_is_the_same_bytes():
    """Nothing in it is random."""
    assert composed() == composed(attempt=2)


def test_the_senders_name_may_be_of_any_script():
    """It is encoded; the address is not."""
    assert header(composed(), "From") == "=?utf-8?b?TsO2d3M=?= <news@example.org>"


@given(
    subject=st.text(max_size=300) | st.text("=?utf-8qQbB_ \r\n\u2028\x85:", max_size=80),
    content=st.text(max_size=200) | st.text(".\r\n\u2028\x85=a", max_size=40),
    agent=st.none() | st.text(min_size=1, max_size=40),
    kind=st.sampled_from(["html", "text"]),
)
def test_any_text_is_a_sound_mail(subject, content, agent, kind):
    """The same headers, ASCII, short lines, CRLF alone, and the words of the caller within."""
    mail = composed(subject=subject, content=content, agent_id=agent, config={"format": kind})

    read = email.message_from_bytes(mail, policy=email.policy.default)
    kinds = {"html": HEADERS, "text": HEADERS | {"Content-Transfer-Encoding"}}
    assert set(read.keys()) == kinds[kind]
    assert mail.isascii()
    assert max(map(len, mail.split(b"\r\n"))) <= 998
    assert not {b"\r", b"\n"} & {mail.replace(b"\r\n", b"")[at : at + 1] for at in range(len(mail))}
    text = read.get_body(("plain",)).get_content()
    assert "".join(content.split()) in "".join(text.split())
