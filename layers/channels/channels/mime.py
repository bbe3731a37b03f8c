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

if TYPE_CHECKING:
    from dispatcher.delivery.ports import Message

_UTF8 = Charset("utf-8")
_UTF8.body_encoding = QP

_PLAIN = re.compile(r"[\x20-\x7e]{1,66}")
"""Text that fits the first line of a header unencoded."""

_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

_PAGE = """\
<!doctype html>
<html>
<head><meta charset="utf-8"><title>{title}</title></head>
<body style="font-family: sans-serif; line-height: 1.4">
{content}{agent}
</body>
</html>
"""
_AGENT = '\n<p style="color: #666666; font-size: 85%">from {}</p>'


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
    """
    agent = message.agent_id if message.config.get("include_agent_info", True) else None
    subject = one_line(message.subject or "") or one_line(
        f"Message from {agent}" if agent else "New message"
    )
    content: MIMEText | MIMEMultipart = _part(
        message.content + (f"\n\nfrom {agent}" if agent else ""), "plain"
    )
    if message.config.get("format", "html") == "html":
        page = _PAGE.format(
            title=html.escape(subject),
            content=fragment(message.content),
            agent=_AGENT.format(html.escape(agent)) if agent else "",
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
    if preferences_url:
        headers["List-Unsubscribe"] = f"<{one_line(preferences_url)}>"
    for name, value in headers.items():
        content[name] = value
    octets = content.as_bytes(policy=compat32.clone(linesep="\r\n"))
    return Mail(sender.address, recipient, message_id, octets)


def _part(text: str, kind: str) -> MIMEText:
    return MIMEText(text, kind, _UTF8)  # type: ignore[arg-type] # typeshed knows only its name


def one_line(text: str) -> str:
    """Remove line breaks of every kind and control characters from a header's text."""
    return _UNSEEN.sub(" ", text).strip()


def _subject(text: str) -> str:
    if _PLAIN.fullmatch(text) and "=?" not in text:
        return text
    return Header(text, "utf-8", header_name="Subject", maxlinelen=76).encode()
