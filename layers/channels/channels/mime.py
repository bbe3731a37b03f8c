"""A message as an email: text, and HTML beside it.

Headers are written, never parsed. Python's newer email classes parse their input, and on 3.11 and
3.12 an encoded word in a subject became a separate header such as ``Bcc``. So a subject that is not
short ASCII, or that contains ``=?``, is encoded as a whole.
"""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime
from email.charset import QP, Charset
from email.header import Header
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import compat32
from email.utils import format_datetime, formataddr
from typing import TYPE_CHECKING, NamedTuple

from channels.markdown import html as fragment
from dispatcher.lines import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dispatcher.delivery.ports import MailLinks, Message

_UTF8 = Charset("utf-8")
_UTF8.body_encoding = QP

_PLAIN = re.compile(r"[\x20-\x7e]{1,66}")
"""Text that fits the first line of a header unencoded."""

LONGEST_LINE = 998
"""Characters (RFC 5322, 2.1.1)."""

_PAGE = """\
<!doctype html>
<html>
<head><meta charset="utf-8">{head}<title>{title}</title></head>
<body style="font-family: sans-serif; line-height: 1.4">
{content}{agent}{footer}
</body>
</html>
"""
_AGENT = '\n<p style="color: #666666; font-size: 85%">from {}</p>'

# An email with a footer follows the reader's theme, so its quiet text inherits the color.
_THEMED = '<meta name="color-scheme" content="light dark">'
_THEMED_AGENT = '\n<p style="opacity: 0.8; font-size: 85%">from {}</p>'
_FOOTER = '\n<p style="margin-top: 2em; opacity: 0.8; font-size: 85%">{}</p>'
_LINK = '<a style="color: inherit" href="{}">{}</a>'


class Sender(NamedTuple):
    """The sender of emails."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        """Return the part after the ``@``."""
        return self.address.rpartition("@")[2]


class Mail(NamedTuple):
    """An email and its envelope."""

    sender: str
    recipient: str
    message_id: str
    content: bytes


def compose(message: Message, sender: Sender, recipient: str, preferences_url: str = "") -> Mail:
    """Compose the email as RFC 5322 requires: ASCII, CRLF, lines of at most 998 characters.

    Its ID is the same for every attempt of a delivery, so that the receiver can drop duplicates.
    ``preferences_url`` is for emails without a category.
    """
    agent = one_line(message.agent_id or "") if message.shows_agent else ""
    subject = one_line(message.subject or "") or (
        f"Message from {agent}" if agent else "New message"
    )
    footer = [*_footer(message.links)]
    text = message.content + (f"\n\nfrom {agent}" if agent else "")
    content: MIMEText | MIMEMultipart = _part(text + _as_text(footer), "plain")
    if message.config.get("format", "html") == "html":
        by_agent = _THEMED_AGENT if footer else _AGENT
        page = _PAGE.format(
            head=_THEMED if footer else "",
            title=html.escape(subject),
            content=fragment(message.content),
            agent=by_agent.format(html.escape(agent)) if agent else "",
            footer=_as_html(footer),
        )
        # Quoted-printable text cannot contain "=_".
        boundary = f"=_{message.delivery_id}"
        content = MIMEMultipart("alternative", boundary, [content, _part(page, "html")])
    message_id = f"<{message.delivery_id}@{sender.domain}>"
    headers = {
        "From": formataddr((one_line(sender.name), sender.address)),
        "To": recipient,
        "Subject": _subject(subject),
        "Date": format_datetime(datetime.fromtimestamp(message.attempted_at, UTC)),
        "Message-ID": message_id,
        # Prevents out-of-office replies to a machine.
        "Auto-Submitted": "auto-generated",
    }
    if message.links is not None:
        headers |= _list_headers(message.links, sender.domain)
    elif preferences_url:
        headers["List-Unsubscribe"] = f"<{one_line(preferences_url)}>"
    for name, value in headers.items():
        content[name] = value
    policy = compat32.clone(linesep="\r\n")
    if message.links is not None:
        # Python would fold a long URL after the name of its header, which some receivers misread.
        policy = policy.clone(max_line_length=LONGEST_LINE)
    octets = content.as_bytes(policy=policy)
    return Mail(sender.address, recipient, message_id, octets)


class _Phrase(NamedTuple):
    """A part of the footer: words, and where they lead."""

    words: str
    url: str | None = None


def _list_headers(links: MailLinks, domain: str) -> dict[str, str]:
    """Return the headers of RFC 2369, RFC 2919 and RFC 8058, as far as the category has them."""
    if links.unsubscribe_url is None:
        url = links.preferences_url
        return {} if url is None else {"List-Unsubscribe": f"<{one_line(url)}>"}
    return {
        "List-Unsubscribe": f"<{links.unsubscribe_url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "List-Id": f"<{links.category}.{domain}>",
    }


def _footer(links: MailLinks | None) -> Iterator[_Phrase]:
    """Yield the parts of the footer: the reason for the email, and what the reader can change."""
    if links is None or not links.footer:
        return
    title = one_line(links.title) or links.category
    if links.unsubscribe_url is None:
        yield _Phrase(f"Sent because {title} cannot be switched off")
    else:
        yield _Phrase(f"Sent because you receive {title} by email")
    if links.preferences_url is not None:
        yield _Phrase("change what you get", links.preferences_url)
    if links.unsubscribe_url is not None:
        yield _Phrase(f"unsubscribe from {title}", links.unsubscribe_url)


def _as_text(footer: Sequence[_Phrase]) -> str:
    line = " · ".join(f"{one.words}: {one.url}" if one.url else one.words for one in footer)
    return f"\n\n{line}" if footer else ""


def _as_html(footer: Sequence[_Phrase]) -> str:
    line = " · ".join(
        _LINK.format(html.escape(one.url), html.escape(one.words))
        if one.url
        else html.escape(one.words)
        for one in footer
    )
    return _FOOTER.format(line) if footer else ""


def _part(text: str, kind: str) -> MIMEText:
    return MIMEText(text, kind, _UTF8)  # type: ignore[arg-type] # typeshed knows only its name


def _subject(text: str) -> str:
    if _PLAIN.fullmatch(text) and "=?" not in text:
        return text
    return Header(text, "utf-8", header_name="Subject", maxlinelen=76).encode()
