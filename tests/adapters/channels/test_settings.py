"""Text that is not ASCII, in every setting and secret that a channel reads.

A setting that a library trips over is the operator's to correct: the outcome names it, is no
``internal_error``, and does not blame the receiver.
"""

from __future__ import annotations

import base64
import hmac
import json
import ssl

import pytest
import trustme

from channels import cli, email, slack, sms, tool, webhook
from channels import test as rehearsal
from channels.credentials import CredentialError, Credentials
from channels.guard import Guard
from dispatcher.adapters.api_keys import SecretApiKeys
from dispatcher.delivery.outcomes import Delivered, Permanent, Retry
from dispatcher.errors import BrokenSettingError, UnavailableError
from dispatcher.integrations.integration import Address
from dispatcher.integrations.rules import email_of
from dispatcher.settings import Settings
from tests.adapters.channels.aws_peer import peer_of
from tests.adapters.channels.conftest import LOOPBACK, Resolver
from tests.adapters.channels.contract import message_for
from tests.fake_servers.scripted_smtp_server import ScriptedSmtpServer
from tests.fake_servers.slack_server import TOKEN, FakeSlackServer
from tests.fake_servers.smtp_server import FakeSmtpServer
from tests.fakes import FakeClock

ADA = Address("email", "ada@example.com")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def server_tls(tmp_path, monkeypatch):
    """A mail server's certificate, from an authority that this process trusts."""
    authority = trustme.CA()
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


# EMAIL --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "password"),
    [("dispatcher", "pässwörd"), ("jürgen", "pässwörd ✓ 漢字"), ("ä", "ä"), ("a", "p" * 400)],
)
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_user_names_and_passwords_travel_in_utf8(server_tls, aws, name, password, mechanism):
    """RFC 4616 has them in UTF-8; the mail server decides whether it knows them."""
    aws("secretsmanager").create_secret(Name="smtp", SecretString=password)
    excluded = {"PLAIN", "LOGIN"} - {mechanism}
    with FakeSmtpServer(
        tls=server_tls, users={name: password}, excluded_mechanisms=excluded
    ) as peer:
        environ = {
            "SMTP_HOST": peer.host, "SMTP_PORT": str(peer.port), "EMAIL_SENDER": "n@example.org",
            "SMTP_USERNAME": name, "SMTP_PASSWORD_SECRET": "smtp",
        }  # fmt: skip
        outcome = email.channel(environ, aws).deliver(message_for("EMAIL", ADA))

    assert isinstance(outcome, Delivered)
    assert [mail.username for mail in peer.mails] == [name]


OFFERS = [
    (b"XOAUTH2", "AUTH XOAUTH2, but none of PLAIN, LOGIN, CRAM-MD5"),
    (b"XOAUTH2 OAUTHBEARER GSSAPI", "AUTH XOAUTH2, OAUTHBEARER, GSSAPI, but none of"),
    ("ÄUTH <b>".encode(), "none of the AUTH mechanisms PLAIN, LOGIN, CRAM-MD5"),
    (None, "none of the AUTH mechanisms PLAIN, LOGIN, CRAM-MD5"),
]


@pytest.mark.parametrize(("offer", "detail"), OFFERS)
def test_a_server_without_a_mechanism_of_ours_is_final(server_tls, aws, offer, detail):
    """The delivery fails with a detail that names the mechanisms of both sides."""
    aws("secretsmanager").create_secret(Name="smtp", SecretString="secret")
    extensions = b"250-mail.local\r\n" + (b"250-AUTH %s\r\n" % offer if offer else b"")
    with ScriptedSmtpServer({"EHLO": extensions + b"250 8BITMIME\r\n"}, tls=server_tls) as server:
        environ = {
            "SMTP_HOST": server.host, "SMTP_PORT": str(server.port), "SMTP_TLS": "implicit",
            "SMTP_USERNAME": "u", "SMTP_PASSWORD_SECRET": "smtp", "EMAIL_SENDER": "n@example.org",
        }  # fmt: skip
        outcome = email.channel(environ, aws).deliver(message_for("EMAIL", ADA))

    assert (type(outcome), outcome.code) == (Permanent, "auth_unsupported")
    assert detail in outcome.detail
    assert not [command for command in server.commands if command.startswith("AUTH")]


CHALLENGE = b"<1896.697170952@postoffice>"
DIGEST = hmac.new("pässwörd".encode(), CHALLENGE, "md5").hexdigest()
ANSWER = base64.b64encode(f"ä {DIGEST}".encode()).decode()
ASK = b"334 " + base64.b64encode(CHALLENGE) + b"\r\n"


@pytest.mark.parametrize(
    ("replies", "kind"),
    [
        ({"AUTH": ASK, ANSWER.upper(): b"235 ok\r\n"}, Delivered),
        ({"AUTH": b"334 not base64!\r\n"}, Retry),
        ({"AUTH": b"535 no\r\n"}, Permanent),
        ({"AUTH": b"454 later\r\n"}, Retry),
        ({"AUTH": b"503 already\r\n"}, Delivered),
        ({"AUTH": b"235\r\n"}, Delivered),
    ],
)
def test_replies_to_a_challenge_response_login(server_tls, aws, replies, kind):
    """CRAM-MD5 with a password in UTF-8; a challenge that is nonsense may pass."""
    aws("secretsmanager").create_secret(Name="smtp", SecretString="pässwörd")
    script = {"EHLO": b"250-mail.local\r\n250 AUTH CRAM-MD5\r\n", **replies}
    with ScriptedSmtpServer(script, tls=server_tls) as server:
        environ = {
            "SMTP_HOST": server.host, "SMTP_PORT": str(server.port), "SMTP_TLS": "implicit",
            "SMTP_USERNAME": "ä", "SMTP_PASSWORD_SECRET": "smtp", "EMAIL_SENDER": "n@example.org",
        }  # fmt: skip
        outcome = email.channel(environ, aws).deliver(message_for("EMAIL", ADA))

    assert isinstance(outcome, kind)


@pytest.mark.parametrize(
    ("sender", "address", "shown"),
    [
        ("reports@müller.example", "reports@xn--mller-kva.example", None),
        ("Müller <reports@müller.example>", "reports@xn--mller-kva.example", "Müller"),
        ("Example, Inc. (News) <n@example.org>", "n@example.org", "Example, Inc. (News)"),
        ('"Weather" <n@example.org>', "n@example.org", "Weather"),
        ("n@EXAMPLE.org", "n@example.org", None),
    ],
)
def test_senders_are_written_in_ascii(sender, address, shown):
    """The domain becomes an A-label in the envelope, the header, HELO and the Message-ID."""
    with FakeSmtpServer() as peer:
        environ = {
            "SMTP_HOST": peer.host, "SMTP_PORT": str(peer.port), "SMTP_TLS": "none",
            "EMAIL_SENDER": sender,
        }  # fmt: skip
        outcome = email.channel(environ, None).deliver(message_for("EMAIL", ADA))

    assert isinstance(outcome, Delivered)
    [mail] = peer.mails
    domain = address.partition("@")[2]
    assert (mail.sender, mail.helo) == (address, domain)
    assert mail.read["Message-ID"].endswith(f"@{domain}>")
    [written] = mail.read["From"].addresses
    assert (written.addr_spec, written.display_name or None) == (address, shown)
    assert mail.content.isascii()


@pytest.mark.parametrize("setting", [
    {"EMAIL_SENDER": "repörts@example.org"}, {"EMAIL_SENDER": "ä"}, {"EMAIL_SENDER": "a@b@ä"},
    {"EMAIL_SENDER": "News <>"}, {"EMAIL_SENDER": "@example.org"},
    {"SMTP_HOST": "smtp..example.com"}, {"SMTP_HOST": "ä" * 64 + ".example"},
    {"SMTP_HOST": "x" * 64 + ".example.com"}, {"SMTP_HOST": "smtp example"}, {"SMTP_HOST": "\x00"},
    {"SMTP_PORT": "ä"}, {"SMTP_TLS": "ä"},
])  # fmt: skip
def test_settings_of_email_are_named(setting):
    """A setting that cannot be used is ``broken_setting``, and the probe says the same."""
    environ = {"SMTP_HOST": "127.0.0.1", "EMAIL_SENDER": "n@example.org", **setting}

    outcome = email.channel(environ, None).deliver(message_for("EMAIL", ADA))

    assert (type(outcome), outcome.code) == (Retry, "broken_setting")
    assert outcome.detail.startswith(next(iter(setting)))
    with pytest.raises(UnavailableError, match=next(iter(setting))):
        email.probe(environ, None)


def test_a_mail_server_may_have_an_international_name():
    """Its name is resolved as an A-label; this one does not exist."""
    environ = {"SMTP_HOST": "smtp.müller.invalid", "EMAIL_SENDER": "n@example.org"}

    outcome = email.channel(environ, None).deliver(message_for("EMAIL", ADA))

    assert outcome.code == "connection_failed"


@pytest.mark.parametrize("url", ["https://exämple.org/ü?ä=✓", "ä"])
def test_a_preferences_page_in_other_letters_costs_no_mail(url):
    """An email is sent even if the URL of the preferences page is not ASCII."""
    with FakeSmtpServer() as peer:
        environ = {
            "SMTP_HOST": peer.host, "SMTP_PORT": str(peer.port), "SMTP_TLS": "none",
            "EMAIL_SENDER": "n@example.org", "PREFERENCES_URL": url,
        }  # fmt: skip
        outcome = email.channel(environ, None).deliver(message_for("EMAIL", ADA))

    assert isinstance(outcome, Delivered)
    assert peer.mails[0].content.isascii()


# SLACK --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["xöxb", "xoxb-€", "xoxb 1", "xoxb\n1", "{", '{"a": "\\ud800"}'])
def test_a_token_that_is_none_names_its_parameter(aws, token):
    """It is never sent: a header cannot carry it."""
    aws("secretsmanager").create_secret(Name="slack", SecretString=token)
    with FakeSlackServer(users={}, channels=("C024BE91L",)) as peer:
        environ = {"SLACK_BOT_TOKEN_SECRET": "slack", "SLACK_API_URL": peer.url,
                   "DELIVERIES_TABLE": "t"}  # fmt: skip
        outcome = slack.channel(environ, aws).deliver(
            message_for("SLACK", Address("channel", "C024BE91L"))
        )
        with pytest.raises(UnavailableError, match="SlackBotTokenSecret"):
            slack.probe(environ, aws)

    assert (outcome.code, "SlackBotTokenSecret" in outcome.detail) == (
        "credentials_unavailable", True,
    )  # fmt: skip


@pytest.mark.parametrize("url", [
    "https://släck.com/api/", "https://slack.com/äpi/", "ä", "ftp://slack.com/", "https:///api/",
    "https://slack.com:abc/api/", "https://slack.com:99999/api/", "https://a..b/", "https://[::1/",
    "https://" + "x" * 64 + ".com/",
])  # fmt: skip
def test_an_api_url_that_is_none_is_named(aws, url):
    """Slack is not blamed for it."""
    aws("secretsmanager").create_secret(Name="slack", SecretString=TOKEN)
    environ = {"SLACK_BOT_TOKEN_SECRET": "slack", "SLACK_API_URL": url, "DELIVERIES_TABLE": "t"}

    outcome = slack.channel(environ, aws).deliver(
        message_for("SLACK", Address("channel", "C024BE91L"))
    )

    assert (type(outcome), outcome.code) == (Retry, "broken_setting")
    assert outcome.detail.startswith("SLACK_API_URL is ")


@pytest.mark.parametrize("text", [
    '{"a": ' + "[" * 100_000, '{"a": 1e400}', '{"a": ' + "9" * 5000 + "}", '{"a": NaN}',
    '{"a": "\\ud800"}', '{"a": null}', "{ä}", '{"a": "x", "a": "y"}',
])  # fmt: skip
def test_a_secret_that_is_no_text_is_named(aws, text):
    """For a secret that is not text, the error names the template parameter."""
    aws("secretsmanager").create_secret(Name="s", SecretString=text)

    with pytest.raises(CredentialError, match="the secret that AnyParameter names"):
        Credentials(aws, "AnyParameter").read("s")


# WEBHOOK, SMS, and the rest -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "secret", "code"),
    [
        ({"headers": {"X-A": "ä"}}, SECRET, "invalid_config"),
        ({"headers": {"X-Ä": "a"}}, SECRET, "invalid_config"),
        ({"method": "PÖST"}, SECRET, "invalid_config"),
        ({"url": "https://hook.example.org/ä"}, SECRET, "invalid_config"),
        ({"url": "https://höok.example.org/"}, SECRET, "invalid_config"),
        ({}, "whsec_ä", "no_signing_secret"),
        ({}, "whsec_a", "no_signing_secret"),
    ],
)
def test_stored_values_of_a_webhook_are_checked_again(config, secret, code):
    """The outcome is final and names the config, whatever an older version has stored."""
    url = config.get("url", "https://hook.example.org/")
    message = message_for(
        "WEBHOOK", Address("url", url), config=config, secrets={"signing_secret": secret}
    )

    outcome = webhook.Webhook(Guard(egress=LOOPBACK, resolve=Resolver([]))).deliver(message)

    assert (type(outcome), outcome.code) == (Permanent, code)


@pytest.mark.parametrize(
    ("setting", "config", "code", "named"),
    [
        ({"SMS_ALLOWED_COUNTRIES": "ä"}, {}, "broken_setting", "SMS_ALLOWED_COUNTRIES"),
        ({"SMS_ALLOWED_COUNTRIES": "US,Ä"}, {}, "broken_setting", "SMS_ALLOWED_COUNTRIES"),
        ({"SMS_ALLOWED_COUNTRIES": "us"}, {}, "broken_setting", "SMS_ALLOWED_COUNTRIES"),
        ({"SMS_ORIGINATION_NUMBER": "ä"}, {}, "broken_setting", "SMS_ORIGINATION_NUMBER"),
        ({"SMS_ORIGINATION_NUMBER": "١٢٣٤٥"}, {}, "broken_setting", "SMS_ORIGINATION_NUMBER"),
        ({}, {"sender_id": "ä"}, "invalid_config", "sender_id"),
        ({}, {"sender_id": "Äcme"}, "invalid_config", "sender_id"),
        ({}, {"sender_id": "12345"}, "invalid_config", "sender_id"),
    ],
)
def test_settings_of_text_messages_are_named(receive, setting, config, code, named):
    """SNS is neither asked nor blamed; a sender that an older version stored is checked again."""
    sns = peer_of("sns", receive)
    message = message_for("SMS", Address("phone_number", "+14155552671"), config=config)

    outcome = sms.channel({"SMS_ENABLED": "true", **setting}, sns.client).deliver(message)

    assert (outcome.code, named in outcome.detail, sns.taken) == (code, True, [])
    assert type(outcome) is (Retry if setting else Permanent)


@pytest.mark.parametrize("bus", ["ä", "to ols", "tools\n"])
def test_a_tool_bus_that_is_none_is_named(receive, bus):
    """EventBridge is neither asked nor blamed for it."""
    events = peer_of("events", receive)

    outcome = tool.channel({"TOOL_BUS_NAME": bus}, events.client).deliver(
        message_for("TOOL", Address("tool", "*"))
    )

    assert (type(outcome), outcome.code, events.taken) == (Retry, "broken_setting", [])
    assert outcome.detail.startswith("TOOL_BUS_NAME is ")


@pytest.mark.parametrize("domain", ["ä", "müller.example", "example.org\n", "@", " "])
def test_a_domain_that_is_none_gives_no_address(domain):
    """The template refuses such a domain; if one gets through, no user has an address by it."""
    assert email_of("ada", {"DEFAULT_EMAIL_DOMAIN": domain}) is None
    assert email_of("ada@example.org", {"DEFAULT_EMAIL_DOMAIN": domain}) == "ada@example.org"


@pytest.mark.parametrize("name", ["ä", "keys", "k\n", "a b"])
def test_a_secret_of_keys_that_is_none_is_an_outage(aws, name):
    """Callers get 503, and the log has AWS's own code."""
    keys = SecretApiKeys(lambda: aws("secretsmanager"), name, FakeClock())

    with pytest.raises(UnavailableError, match="GetSecretValue failed: ResourceNotFoundException"):
        keys.all()


@pytest.mark.parametrize("text", ["ä", '{"ä": {}}', '{"a": {"sha256": "ä", "scopes": []}}', "x"])
def test_keys_that_are_none_name_their_setting(aws, text):
    """Callers get 503, and the error names the setting."""
    client = aws("secretsmanager")
    client.create_secret(Name="keys", SecretString=text)
    keys = SecretApiKeys(lambda: client, "keys", FakeClock())

    with pytest.raises(BrokenSettingError, match="API_KEYS_SECRET names a secret that"):
        keys.all()


def test_the_uri_of_the_keys_is_checked():
    """The issuer is not blamed for a URI that cannot be sent."""
    settings = Settings({
        "AUTH_MODE": "required", "USER_CLAIM": "sub", "OIDC_ISSUER": "https://id.example.com",
        "OIDC_AUDIENCE": "ä", "OIDC_JWKS_URI": "https://id.example.com/schlüssel",
    })  # fmt: skip

    with pytest.raises(BrokenSettingError, match="OIDC_JWKS_URI is "):
        _ = settings.auth


TEXTS = ["", " ", "\n", "\t\r\n", "\u200b", "\ufeff", "&nbsp;", "<!-- -->", "[](x)", "![](x)",
         "---", "```\n```", "> ", "*", "# ", "|", "\\"]  # fmt: skip


@pytest.mark.parametrize("subject", [None, "", " ", "ä"])
@pytest.mark.parametrize("content", TEXTS, ids=ascii)
def test_empty_text_breaks_no_channel(receive, guard, subject, content):
    """For an empty or invisible text, each channel returns an outcome without an error."""
    texts = {"subject": subject, "content": content, "agent_id": None}
    hook = receive(b"HTTP/1.1 204 N\r\n\r\n", None)
    url = f"http://hook.example.org:{hook.port}/"
    aws = {name: peer_of(name, receive) for name in ("sns", "events", "dynamodb")}
    table = {"DELIVERIES_TABLE": "t"}
    outcomes = {
        "WEBHOOK": webhook.Webhook(guard()).deliver(
            message_for("WEBHOOK", Address("url", url), secrets={"signing_secret": SECRET}, **texts)
        ),
        "SMS": sms.channel({"SMS_ENABLED": "true"}, aws["sns"].client).deliver(
            message_for("SMS", Address("phone_number", "+14155552671"), **texts)
        ),
        "TOOL": tool.channel({"TOOL_BUS_NAME": "tools"}, aws["events"].client).deliver(
            message_for("TOOL", Address("tool", "*"), **texts)
        ),
        "CLI": cli.channel(table, aws["dynamodb"].client).deliver(
            message_for("CLI", Address("mailbox", "ada"), **texts)
        ),
        "TEST": rehearsal.channel(table, aws["dynamodb"].client).deliver(
            message_for("TEST", Address("mailbox", "ada"), **texts)
        ),
    }
    with FakeSmtpServer() as peer:
        environ = {"SMTP_HOST": peer.host, "SMTP_PORT": str(peer.port), "SMTP_TLS": "none",
                   "EMAIL_SENDER": "n@example.org"}  # fmt: skip
        outcomes["EMAIL"] = email.channel(environ, None).deliver(message_for("EMAIL", ADA, **texts))

    assert {name: type(outcome) for name, outcome in outcomes.items()} == dict.fromkeys(
        outcomes, Delivered
    )
    assert json.loads(hook.requests[0][2])["data"]["content"] == content


@pytest.mark.parametrize("subject", [None, "ä"])
@pytest.mark.parametrize("content", TEXTS, ids=ascii)
def test_empty_text_breaks_no_post(aws, subject, content):
    """Slack refuses a post without text: the outcome says so, or something was posted."""
    aws("secretsmanager").create_secret(Name="slack", SecretString=TOKEN)
    with FakeSlackServer(users={}, channels=("C024BE91L",)) as peer:
        environ = {
            "SLACK_BOT_TOKEN_SECRET": "slack",
            "SLACK_API_URL": peer.url,
            "DELIVERIES_TABLE": "t",
        }
        outcome = slack.channel(environ, aws).deliver(
            message_for(
                "SLACK", Address("channel", "C024BE91L"), subject=subject, content=content,
                agent_id=None,
            )
        )  # fmt: skip

    assert isinstance(outcome, Delivered) or outcome.code == "no_text"
    assert isinstance(outcome, Delivered) or subject is None
