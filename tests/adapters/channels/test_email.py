"""The EMAIL channel against a mail server on loopback, and against SES on moto."""

from __future__ import annotations

import base64
import json
import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser

import pytest
import trustme
from botocore.stub import Stubber
from moto.core import DEFAULT_ACCOUNT_ID
from moto.ses.models import ses_backends

from channels.email import Email, Smtp, channel, mailbox, probe
from channels.smtp import SmtpServer
from dispatcher.delivery.outcomes import Delivered, Permanent, Retry
from dispatcher.errors import UnavailableError
from dispatcher.integrations.integration import Address
from tests.adapters.channels.contract import (
    DELIVERY,
    ECHO,
    NOW,
    ChannelContract,
    Injection,
    Trouble,
    injections,
    message_for,
    payloads,
)
from tests.fake_servers.smtp_server import FakeSmtpServer

ADA = Address("email", "ada@example.com")
PASSWORD = "correct horse battery"
MESSAGE_ID = f"<{DELIVERY}@example.org>"

REPLIES = {
    Trouble.TRANSIENT: ("RCPT", f"450 4.2.0 {ECHO}"),
    Trouble.PERMANENT: ("RCPT", f"550 5.1.1 {ECHO}"),
    Trouble.GARBAGE: ("MAIL", f"{ECHO} {ECHO}"),
    Trouble.HUGE: ("MAIL", "250-" + ECHO * 100_000),
}

HEADERS = {
    "Content-Type", "MIME-Version", "From", "To", "Subject", "Date", "Message-ID",
    "Auto-Submitted",
}  # fmt: skip


@pytest.fixture(scope="module")
def authority():
    """A certificate authority of these tests."""
    return trustme.CA()


@pytest.fixture
def server_tls(authority, tmp_path, monkeypatch):
    """A server's certificate, from an authority that this process trusts."""
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def peer(server_tls):
    """A mail server that wants STARTTLS and a password."""
    with FakeSmtpServer(tls=server_tls, users={"dispatcher": PASSWORD}) as peer:
        yield peer


@pytest.fixture
def environ(peer, aws):
    """An environment that names the server, and its password in Secrets Manager."""
    aws("secretsmanager").create_secret(Name="smtp", SecretString=PASSWORD)
    return settings(peer, SMTP_USERNAME="dispatcher", SMTP_PASSWORD_SECRET="smtp")


def settings(peer, **more):
    """Name a mail server and a sender."""
    return {
        "SMTP_HOST": peer.host,
        "SMTP_PORT": str(peer.port),
        "EMAIL_SENDER": "Weather News <news@example.org>",
        **more,
    }


@dataclass
class EmailBench:
    """The channel as the worker makes it."""

    channel: object
    peer: FakeSmtpServer
    secrets: tuple[str, ...] = (PASSWORD,)
    patience: float = 5.0

    def message(self, **changes):
        """Make a message for Ada."""
        return message_for("EMAIL", changes.pop("address", ADA), **changes)

    def prepare(self, trouble):
        """Make the server fail at one verb; with a short deadline if it does not respond."""
        if trouble is Trouble.SLOW:
            self.channel = hasty(self.channel)
            self.peer.hangs.add("MAIL")
        elif trouble is Trouble.LOST:
            self.peer.drops.add("DATA")
        else:
            verb, reply = REPLIES[trouble]
            self.peer.replies[verb] = reply

    def received(self):
        """Return subject, text and HTML of the emails."""
        return [
            "\n".join([str(mail.read["Subject"]), mail.text, mail.html or ""])
            for mail in self.peer.mails
        ]

    def deliver(self, **changes):
        """Deliver a message."""
        return self.channel.deliver(self.message(**changes))


def hasty(built):
    """Give a channel two seconds: long on loopback."""

    def transport(sender):
        made = built.transport(sender)
        return Smtp(made.server, made.credentials, made.secret, seconds=2.0)

    return Email(built.environ, transport)


@pytest.fixture
def bench(peer, environ, aws):
    """The channel before the mail server."""
    return EmailBench(channel(environ, aws), peer)


class Tags(HTMLParser):
    """The tags and links that a mail program would find in HTML."""

    def __init__(self, page):
        super().__init__()
        self.found = set()
        self.attributes = set()
        self.links = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        """Take down what begins."""
        self.found.add(tag)
        self.attributes |= {name for name, _ in attributes}
        self.links += [value for name, value in attributes if name in {"href", "src"}]


OURS = {
    "html", "head", "meta", "title", "body", "p", "br", "a", "blockquote", "code", "em", "strong",
    "s", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "ul", "pre", "table", "thead",
    "tbody", "tr", "th", "td",
}  # fmt: skip


class TestEmail(ChannelContract):
    """EMAIL keeps the contract."""

    integration_type = "EMAIL"
    troubles = (*REPLIES, Trouble.SLOW, Trouble.LOST)
    bad_addresses = tuple(
        Address("email", text)
        for text in (
            *(text for _, text in [*payloads("EMAIL.to"), *payloads("EMAIL.reply_to")]),
            "Ada <ada@example.com>",
            "ada@example.com\u2028Bcc: b@example.com",
            "ada@example.com\u0085b@example.com",
            "=?utf-8?q?=0ABcc=3A_x?=@example.com",
            '"ada b"@example.com',
            "ada@[127.0.0.1]",
            "ada",
            "",
        )
    )
    injections = (
        *injections("subject", "EMAIL.subject"),
        *injections("content", "EMAIL.body"),
        *injections("content", "EMAIL.html"),
        *injections("subject", "EMAIL.html"),
        *injections("agent_id", "EMAIL.html"),
        *injections("content", "TEMPLATE"),
        Injection("encoded-word", {"subject": "=?utf-8?q?=0ABcc:_x@y.z?="}),
        Injection("line-separator", {"subject": "hi\u2028Bcc: all@example.com"}),
        Injection("vertical-tab", {"subject": "hi\x0bBcc: all@example.com"}),
        Injection("agent", {"agent_id": "=?utf-8?q?=0ABcc:_x@y.z?="}),
        Injection("end-of-data", {"content": "a\r\n.\r\nMAIL FROM:<x@example.com>\r\n.\n.\r.\n"}),
        Injection("dots", {"content": ".\n..\n.leading\n"}),
        Injection(
            "link", {"content": "[x](javascript:alert(1)) <vbscript:x> [y](data:text/html,z)"}
        ),
        Injection("title", {"content": '[x](https://example.com "\\" onclick=1")'}, "x"),
        Injection("image", {"content": "![x](https://example.com/pixel.png)"}, "x"),
        Injection("comment", {"content": "<!-- --><!doctype x><![CDATA[<b>]]>"}),
        Injection("close", {"content": "</body></html><b>bold</b>"}),
    )

    def assert_inert(self, bench, injection):  # noqa: ARG002 - the same is true of each
        """One recipient, our headers, our tags, and no line end that is not CRLF."""
        (mail,) = bench.peer.mails
        assert mail.recipients == ("ada@example.com",)
        assert set(mail.read.keys()) == HEADERS
        assert max(map(len, mail.content.split(b"\r\n"))) <= 998
        assert not {b"\r", b"\n"} & set(mail.content.replace(b"\r\n", b""))
        tags = Tags(mail.html)
        assert tags.found <= OURS
        assert tags.attributes <= {"href", "rel", "charset", "style"}
        assert all(link.startswith(("https:", "http:", "mailto:")) for link in tags.links)


def test_a_mail_is_whole(bench):
    """An email is sent encrypted and authenticated, with a text part and an HTML part."""
    outcome = bench.deliver(subject="Regen ☂", content="Nimm **einen** Schirm, Ünal")

    (mail,) = bench.peer.mails
    assert outcome == Delivered({"message_id": MESSAGE_ID})
    assert (mail.is_encrypted, mail.username, mail.helo) == (True, "dispatcher", "example.org")
    assert (mail.sender, mail.recipients) == ("news@example.org", ("ada@example.com",))
    assert {name: str(mail.read[name]) for name in HEADERS - {"Content-Type", "Date"}} == {
        "MIME-Version": "1.0",
        "From": "Weather News <news@example.org>",
        "To": "ada@example.com",
        "Subject": "Regen ☂",
        "Message-ID": MESSAGE_ID,
        "Auto-Submitted": "auto-generated",
    }
    sent = datetime.fromtimestamp(int(NOW), UTC)
    assert parsedate_to_datetime(mail.read["Date"]) == sent
    assert mail.read.get_content_type() == "multipart/alternative"
    assert mail.text == "Nimm **einen** Schirm, Ünal\n\nfrom weather"
    assert "<p>Nimm <strong>einen</strong> Schirm, Ünal</p>" in mail.html
    assert ">from weather</p>" in mail.html


def test_rendering_sends_nothing(bench):
    """Rendering composes the email before the attempt; only the attempt sends it."""
    send = bench.channel.render(bench.message())
    before = list(bench.peer.mails)

    outcome = send()

    assert (before, type(outcome), len(bench.peer.mails)) == ([], Delivered, 1)


def test_text_alone_where_wanted(bench):
    """``format: text`` leaves the HTML out."""
    bench.deliver(config={"format": "text"})

    (mail,) = bench.peer.mails
    assert (mail.read.get_content_type(), mail.html) == ("text/plain", None)
    assert mail.text == "Take an umbrella\n\nfrom weather"


@pytest.mark.parametrize(
    ("agent", "config", "subject"),
    [
        ("weather", {}, "Message from weather"),
        ("weather", {"include_agent_info": False}, "New message"),
        (None, {}, "New message"),
    ],
)
def test_a_mail_always_has_a_subject(bench, agent, config, subject):
    """Where the caller gives none it says who writes, if that may be said."""
    bench.deliver(subject=None, agent_id=agent, config=config)

    assert str(bench.peer.mails[0].read["Subject"]) == subject


def test_preferences_are_a_click_away(peer, environ, aws):
    """Mail programs show List-Unsubscribe as a button."""
    environ["PREFERENCES_URL"] = "https://example.org/preferences?a=1"
    bench = EmailBench(channel(environ, aws), peer)

    bench.deliver()

    header = peer.mails[0].read["List-Unsubscribe"]
    assert header == "<https://example.org/preferences?a=1>"


def test_a_repeated_mail_is_the_same_mail(bench):
    """After a lost response, the next attempt sends the same Message-ID and the same text."""
    bench.prepare(Trouble.LOST)

    outcomes = [bench.deliver(), bench.deliver(attempt=2, attempted_at=NOW + 60)]

    first, second = bench.peer.mails
    assert [outcome.code for outcome in outcomes] == ["connection_lost", None]
    assert first.read["Message-ID"] == second.read["Message-ID"] == MESSAGE_ID
    assert (first.text, first.html) == (second.text, second.html)


@pytest.mark.parametrize(
    ("verb", "reply", "expected"),
    [
        ("MAIL", "451 4.3.0 later", Retry("smtp_451", "the mail server refused the sender: 451")),
        ("MAIL", "550 5.7.1 no", Permanent("smtp_550", "the mail server refused the sender: 550")),
        ("RCPT", "452 full", Retry("smtp_452", "the mail server refused the recipient: 452")),
        ("RCPT", "421 bye", Retry("smtp_421", "the mail server refused the recipient: 421")),
        ("DATA", "451 later", Retry("smtp_451", "the mail server refused the mail: 451")),
        ("DATA", "554 spam", Permanent("smtp_554", "the mail server refused the mail: 554")),
    ],
)
def test_codes_have_a_class(bench, verb, reply, expected):
    """4xx may pass, 5xx will not, whatever was asked."""
    bench.peer.replies[verb] = reply

    assert bench.deliver() == expected


@pytest.mark.parametrize(
    ("verb", "reply", "suppress"),
    [
        ("RCPT", "550 5.1.1 no such user", "bounced"),
        ("RCPT", "550-5.1.1 no such user\r\n550 5.1.1 look it up", "bounced"),
        ("RCPT", "550 5.1.10 the domain has a null MX", "bounced"),
        ("RCPT", "550 5.1.1", "bounced"),
        ("RCPT", "550 5.1.12 unassigned", None),
        ("RCPT", "550 5.1.1.0 no status", None),
        ("RCPT", "550 5.7.1 the policy forbids it", None),
        ("RCPT", "550 no such user 5.1.1", None),
        ("RCPT", "553 5.1.1 no such user", None),
        ("RCPT", "551 5.1.1 no such user", None),
        ("MAIL", "550 5.1.1 no such sender", None),
        ("DATA", "550 5.1.1 no such user", None),
    ],
)
def test_a_mailbox_that_does_not_exist_is_suppressed(bench, verb, reply, suppress):
    """Only the reply 550 to RCPT with the status 5.1.1 or 5.1.10 (RFC 3463, RFC 7505)."""
    bench.peer.replies[verb] = reply

    outcome = bench.deliver()

    assert (type(outcome), outcome.suppress) == (Permanent, suppress)
    assert outcome.code == f"smtp_{reply[:3]}"


def test_a_mail_that_was_taken_is_delivered(bench):
    """An email is delivered even if the server closes the connection at QUIT."""
    bench.peer.drops.add("QUIT")

    assert bench.deliver() == Delivered({"message_id": MESSAGE_ID})


def test_a_wrong_password_is_final(bench, aws):
    """It is the one that is stored; one that was replaced a moment ago is tried again."""
    aws("secretsmanager").put_secret_value(SecretId="smtp", SecretString="wrong")
    wrong = bench.deliver()
    aws("secretsmanager").put_secret_value(SecretId="smtp", SecretString=PASSWORD)
    replaced = bench.deliver()

    detail = "the mail server refused user name and password: 535"
    assert wrong == Permanent("smtp_535", detail)
    assert replaced == Retry("password_renewed", "the password was just replaced")
    assert isinstance(bench.deliver(), Delivered)


def test_a_password_that_cannot_be_read_waits(bench, aws):
    """Nothing is sent meanwhile."""
    aws("secretsmanager").delete_secret(SecretId="smtp", ForceDeleteWithoutRecovery=True)

    outcome = bench.deliver()

    why = "could not be read: ResourceNotFoundException"
    detail = f"the secret that SmtpPasswordSecret names {why}"
    assert (outcome, bench.peer.mails) == (Retry("credentials_unavailable", detail), [])


def test_tls_from_the_first_byte(server_tls, aws):
    """``SMTP_TLS=implicit`` is the other way to be safe."""
    with FakeSmtpServer(tls=server_tls, implicit=True) as peer:
        outcome = EmailBench(channel(settings(peer, SMTP_TLS="implicit"), aws), peer).deliver()

    assert (type(outcome), peer.mails[0].is_encrypted) == (Delivered, True)


def test_without_tls_only_where_told(aws):
    """A server that offers none gets nothing, unless operators say that it is local."""
    with FakeSmtpServer() as peer:
        refused = EmailBench(channel(settings(peer), aws), peer).deliver()
        taken = EmailBench(channel(settings(peer, SMTP_TLS="none"), aws), peer).deliver()

    assert (refused.code, type(taken), len(peer.mails)) == ("tls_required", Delivered, 1)


def test_a_stranger_gets_no_mail(server_tls, aws, monkeypatch, tmp_path):
    """The certificate must be from an authority that we trust."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    monkeypatch.setenv("SSL_CERT_FILE", str(other))

    with FakeSmtpServer(tls=server_tls) as peer:
        outcome = EmailBench(channel(settings(peer), aws), peer).deliver()

    assert (outcome.code, peer.mails) == ("tls_failed", [])


def test_nobody_listens(aws):
    """A server that is down is a retry."""
    with FakeSmtpServer() as peer:
        environ = settings(peer)

    outcome = channel(environ, aws).deliver(message_for("EMAIL", ADA))

    assert outcome == Retry("connection_failed", "no connection to the mail server")


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"SMTP_TLS": "ssl"}, "SMTP_TLS is 'ssl': set it to starttls, implicit or none"),
        (
            {"SMTP_PORT": "0"},
            "SMTP_PORT is '0': set it to a whole number from 1 to 65535, or leave it empty",
        ),
        (
            {"SMTP_PORT": "²"},
            "SMTP_PORT is '²': set it to a whole number from 1 to 65535, or leave it empty",
        ),
        (
            {"EMAIL_SENDER": ""},
            "EMAIL_SENDER must be an address such as news@example.com, in ASCII up to the @",
        ),
        (
            {"SMTP_TLS": "none", "SMTP_USERNAME": "u"},
            "SMTP_TLS is 'none', but SMTP_USERNAME is set: set it to starttls or implicit",
        ),
    ],
)
def test_broken_settings_are_named(aws, change, detail):
    """A broken setting is retried, so operators can fix it; the probe reports the same detail."""
    environ = {"SMTP_HOST": "127.0.0.1", "EMAIL_SENDER": "news@example.org", **change}

    outcome = channel(environ, aws).deliver(message_for("EMAIL", ADA))

    assert outcome == Retry("broken_setting", detail)
    with pytest.raises(UnavailableError, match=detail):
        probe(environ, aws)


def test_ports_follow_the_way_of_encryption():
    """Without a port, the usual port of the kind of TLS is used."""
    servers = [
        SmtpServer.of({"SMTP_HOST": "h", "SMTP_TLS": tls}, helo="x")
        for tls in ("", "starttls", "implicit", "none")
    ]

    assert [server.port for server in servers] == [587, 587, 465, 25]


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("Ada.L+x@Example.COM", "Ada.L+x@example.com"),
        ("a@bücher.example", "a@xn--bcher-kva.example"),
        ("ünal@example.com", None),
    ],
)
def test_addresses_are_written_in_ascii(address, written):
    """Every server takes that."""
    assert mailbox(address) == written


# SES ----------------------------------------------------------------------------------------------

SES = {"EMAIL_SENDER": "News <news@example.org>", "STACK_NAME": "dispatcher-dev"}


@pytest.fixture
def sesv2(aws):
    """SES with a sender that was verified."""
    client = aws("sesv2", region_name="eu-central-1")
    client.create_email_identity(EmailIdentity="news@example.org")
    client.create_configuration_set(ConfigurationSetName="dispatcher-dev")
    return client


def test_without_a_server_ses_sends(sesv2):
    """Without an SMTP host, SES sends the same email to the recipient of the envelope."""
    outcome = channel(SES, lambda _: sesv2).deliver(message_for("EMAIL", ADA))

    (sent,) = ses_backends[DEFAULT_ACCOUNT_ID]["eu-central-1"].sent_messages
    assert outcome == Delivered({"message_id": sent.id})
    # moto adds the email's To header to the envelope.
    assert (sent.source, set(sent.destinations)) == ("news@example.org", {"ada@example.com"})
    assert f"Message-ID: {MESSAGE_ID}" in sent.raw_data


def test_a_response_without_an_id_is_a_delivery(sesv2):
    """The status of SES decides: another attempt would send the email twice."""
    with Stubber(sesv2) as stub:
        stub.add_response("send_email", {})
        outcome = channel(SES, lambda _: sesv2).deliver(message_for("EMAIL", ADA))

    assert outcome == Delivered({})


@pytest.mark.parametrize("user_id", ["ada", "Ada.Lovelace+x|y@example.com", "a" * 128])
def test_ses_learns_which_delivery_an_email_belongs_to(sesv2, user_id):
    """SES returns the tags in its reports; it accepts letters, digits, `-` and `_` in them.

    Source: SES API v2 Reference, MessageTag; at most 256 characters.
    """
    requests = []
    sesv2.meta.events.register(
        "before-call.sesv2.SendEmail",
        lambda params, **_: requests.append(json.loads(params["body"])),
    )

    channel(SES, lambda _: sesv2).deliver(message_for("EMAIL", ADA, user_id=user_id, round=2))

    [request] = requests
    tags = {one["Name"]: one["Value"] for one in request["EmailTags"]}
    assert request["ConfigurationSetName"] == "dispatcher-dev"
    assert set(request) == {
        *("FromEmailAddress", "Destination", "Content", "ConfigurationSetName", "EmailTags")
    }
    assert tags == {
        "dispatcher": "dispatcher-dev",
        "user": base64.urlsafe_b64encode(user_id.encode()).decode().rstrip("="),
        "delivery": DELIVERY,
        "round": "2",
    }
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,256}", value) for value in tags.values())


def test_a_stack_without_a_name_sends_nothing_by_ses(sesv2):
    """No report could be told from those of other stacks."""
    outcome = channel({**SES, "STACK_NAME": ""}, lambda _: sesv2).deliver(message_for("EMAIL", ADA))

    assert (type(outcome), outcome.code) == (Retry, "broken_setting")
    assert ses_backends[DEFAULT_ACCOUNT_ID]["eu-central-1"].sent_messages == []


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("TooManyRequestsException", 429, Retry),
        ("ThrottlingException", 400, Retry),
        ("InternalFailure", 500, Retry),
        ("ServiceUnavailable", 503, Retry),
        ("MessageRejected", 400, Permanent),
        ("MailFromDomainNotVerifiedException", 400, Permanent),
        ("AccessDeniedException", 403, Permanent),
    ],
)
def test_errors_of_ses_have_a_class(sesv2, code, status, kind):
    """Throttling and faults may pass, a refusal will not; its text, which has addresses, stays."""
    with Stubber(sesv2) as stub:
        stub.add_client_error("send_email", code, ECHO, status)
        outcome = channel(SES, lambda _: sesv2).deliver(message_for("EMAIL", ADA))

    assert outcome == kind(code, f"SES did not accept the email: {code}")


# Probe --------------------------------------------------------------------------------------------


def test_the_probe_greets_the_server(environ, aws, peer):
    """The probe sends EHLO and checks the certificate, but reads no password and sends no email."""
    probe(environ, lambda _: pytest.fail("no AWS needed"))

    assert peer.mails == []


def test_the_probe_tells_what_is_wrong(environ, aws, peer, monkeypatch, tmp_path):
    """The probe's error is safe to show in public."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    monkeypatch.setenv("SSL_CERT_FILE", str(other))

    with pytest.raises(UnavailableError, match="certificate or TLS is not valid"):
        probe(environ, aws)


def test_the_probe_is_bounded(environ, aws, peer):
    """A server that says nothing after its greeting is down within two seconds."""
    peer.hangs.add("EHLO")

    with pytest.raises(UnavailableError, match="the mail server"):
        probe(environ, aws)


def test_the_probe_of_ses_asks_for_the_account(sesv2):
    """An account that may not send is not healthy."""
    with Stubber(sesv2) as stub:
        stub.add_response("get_account", {"SendingEnabled": True})
        stub.add_response("get_account", {"SendingEnabled": False})
        stub.add_client_error("get_account", "AccessDeniedException", ECHO, 403)
        probe(SES, lambda _: sesv2)
        troubles = []
        for _ in range(2):
            with pytest.raises(UnavailableError) as raised:
                probe(SES, lambda _: sesv2)
            troubles.append(str(raised.value))

    assert troubles == [
        "SES does not let this account send",
        "SES did not respond: AccessDeniedException",
    ]
