"""Emails as bytes: headers of one line, bodies that no relay misreads."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.mime import Sender, compose
from dispatcher.delivery.ports import MailLinks, Message
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


# Links --------------------------------------------------------------------------------------------

BUILDS = MailLinks(
    category="builds",
    title="Builds",
    unsubscribe_url="https://api.example.com/u/" + "t" * 360,
    preferences_url="https://api.example.com/p/" + "p" * 360,
    footer=True,
)
LOCKED = replace(BUILDS, unsubscribe_url=None)
WHY = "Sent because you receive Builds by email"
LOCKED_WHY = "Sent because Builds cannot be switched off"


def parts(content):
    """Return an email's text and HTML as a mail program reads them."""
    read = email.message_from_bytes(content, policy=email.policy.default)
    html = read.get_body(("html",))
    return read.get_body(("plain",)).get_content(), html and html.get_content()


@pytest.mark.parametrize(
    ("links", "headers"),
    [
        (
            BUILDS,
            {
                "List-Unsubscribe": f"<{BUILDS.unsubscribe_url}>",
                "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
                "List-Id": "<builds.example.org>",
            },
        ),
        (LOCKED, {"List-Unsubscribe": f"<{BUILDS.preferences_url}>"}),
        (replace(LOCKED, preferences_url=None), {}),
        (replace(BUILDS, preferences_url=None, footer=False), None),
    ],
)
def test_a_category_has_its_headers_on_one_line_each(links, headers):
    """RFC 8058 for a category that users can disable; a locked one lacks the one-click header.

    Without the preferences page and without the footer the headers stay.
    """
    content = composed(links=links)
    read = email.message_from_bytes(content)
    expected = composed_headers(BUILDS) if headers is None else headers
    assert composed_headers(links) == expected
    assert set(read.keys()) == HEADERS | set(expected)
    for name, value in expected.items():
        assert f"\r\n{name}: {value}\r\n".encode() in content


def composed_headers(links):
    """Return the headers about the list."""
    read = email.message_from_bytes(composed(links=links))
    return {name: value for name, value in read.items() if name.startswith("List-")}


def test_text_and_html_end_with_the_same_line():
    """Why it was sent, and what the reader can change."""
    text, page = parts(composed(links=BUILDS))

    change, end = BUILDS.preferences_url, BUILDS.unsubscribe_url
    assert text.splitlines() == [
        *("Take an umbrella", "", "from weather", ""),
        f"{WHY} · change what you get: {change} · unsubscribe from Builds: {end}",
    ]
    assert (
        f'{WHY} · <a style="color: inherit" href="{change}">change what you get</a> · '
        f'<a style="color: inherit" href="{end}">unsubscribe from Builds</a></p>'
    ) in page
    assert '<meta name="color-scheme" content="light dark">' in page
    assert "#666666" not in page


@pytest.mark.parametrize(
    ("links", "line"),
    [
        (
            LOCKED,
            f"{LOCKED_WHY} · change what you get: {BUILDS.preferences_url}",
        ),
        (replace(LOCKED, preferences_url=None), LOCKED_WHY),
        (
            replace(BUILDS, preferences_url=None),
            f"{WHY} · unsubscribe from Builds: {BUILDS.unsubscribe_url}",
        ),
    ],
)
def test_a_footer_has_only_the_links_that_there_are(links, line):
    """A locked category has none to unsubscribe."""
    text, _ = parts(composed(links=links, config={"format": "text"}))

    assert text.splitlines()[-1] == line


def test_without_a_footer_the_content_is_that_of_a_mail_without_a_category():
    """Only the headers differ."""
    with_links = composed(links=replace(BUILDS, footer=False))

    assert parts(with_links) == parts(composed())


def test_a_title_is_text_in_header_and_footer():
    """It is an operator's, and may hold markup and line breaks."""
    text, page = parts(composed(links=replace(BUILDS, title="<b>A\u2028&\r\nB</b>")))

    assert "unsubscribe from <b>A & B</b>: https://" in text.splitlines()[-1]
    assert "unsubscribe from &lt;b&gt;A &amp; B&lt;/b&gt;</a>" in page


@pytest.mark.parametrize("control", ["\u202e", "\u2067", "\u2069\u202e", "\u200f", "\ufeff"])
def test_no_text_of_others_reorders_our_lines(control):
    """Title, agent and subject are in lines with our own words and links."""
    links = replace(BUILDS, title=f"Bu{control}ilds")
    fields = {"subject": f"Ra{control}in", "agent_id": f"wea{control}ther"}

    assert composed(links=links, **fields) == composed(links=BUILDS)
    without_subject = {"subject": None, "agent_id": f"wea{control}ther"}
    assert composed(**without_subject) == composed(subject=None)


def test_a_title_of_controls_alone_is_replaced_by_the_name():
    """The footer names the category in any case."""
    text, _ = parts(composed(links=replace(BUILDS, title="\u202e\u2066")))

    assert f"unsubscribe from {BUILDS.category}: https://" in text.splitlines()[-1]


def test_a_mail_with_the_longest_links_has_no_line_above_998_characters():
    """RFC 5322, 2.1.1; its parts are quoted-printable, as always."""
    long = "https://" + "x" * 58 + "/u/" + "t" * 700
    links = replace(BUILDS, unsubscribe_url=long, preferences_url=long)

    assert max(map(len, composed(links=links).split(b"\r\n"))) <= 998
    assert composed_headers(links)["List-Unsubscribe"] == f"<{long}>"


def test_a_mail_with_links_is_the_same_bytes_at_every_attempt():
    """Also its links."""
    assert composed(links=BUILDS) == composed(links=BUILDS, attempt=2)
