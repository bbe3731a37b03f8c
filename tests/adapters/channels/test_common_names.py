"""A certificate is valid only for its subject alternative names, never for its common name."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from channels import email, slack
from channels.guard import NoResponseError
from dispatcher import http_client
from dispatcher.adapters.oidc import OidcTokens
from dispatcher.errors import UnavailableError
from dispatcher.integrations.egress import parse
from dispatcher.integrations.integration import Address
from tests.adapters.channels.contract import message_for
from tests.fake_servers.slack_server import TOKEN
from tests.fake_servers.smtp_server import FakeSmtpServer
from tests.fakes import FakeClock
from tests.issuer import Issuer

HOST = "localhost"


def certificate(name, issuer, key, signer, *, alternative=False, authority=False):
    """Sign a certificate by its common name; ``alternative`` adds the name that counts."""
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if alternative:
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        built = built.add_extension(names, critical=False)
    return built.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(params=[True, False], ids=["alternative name", "common name alone"])
def server(request, tmp_path, monkeypatch):
    """A server's TLS, the file of its trusted authority, and whether it may be accepted."""
    ours, theirs = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    trusted, chain = tmp_path / "ca.pem", tmp_path / "server.pem"
    trusted.write_bytes(certificate("authority", "authority", ours, ours, authority=True))
    chain.write_bytes(
        theirs.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate(HOST, "authority", theirs, ours, alternative=request.param)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    return context, str(trusted), request.param


def test_webhooks_need_an_alternative_name(server, receive, guard):
    """A receiver whose certificate has its common name alone gets nothing."""
    context, trusted, good = server
    receiver = receive(context=context)
    url = parse(f"https://{HOST}:{receiver.port}/")

    try:
        status = guard(ca_file=trusted).send(url, "POST", {}, b"").status
    except NoResponseError as error:
        status = error.code

    assert (status, len(receiver.requests)) == ((200, 1) if good else ("tls_failed", 0))


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_mail_servers_need_an_alternative_name(server, tls):
    """A mail server whose certificate has its common name alone gets nothing."""
    context, _, good = server
    with FakeSmtpServer(tls=context, implicit=tls == "implicit") as peer:
        environ = {"SMTP_HOST": HOST, "SMTP_PORT": str(peer.port), "SMTP_TLS": tls,
                   "EMAIL_SENDER": "n@example.org"}  # fmt: skip
        outcome = email.channel(environ, None).deliver(
            message_for("EMAIL", Address("email", "ada@example.com"))
        )

    assert (outcome.code, len(peer.mails)) == ((None, 1) if good else ("tls_failed", 0))


@pytest.fixture
def fresh_trust(monkeypatch):
    """The authorities of this test: the context in use has those of an earlier one."""
    monkeypatch.setattr(http_client, "_trust", http_client._trust.__wrapped__)


@pytest.mark.usefixtures("fresh_trust")
def test_slack_needs_an_alternative_name(server, receive, aws):
    """The token goes to no host whose certificate has its common name alone."""
    context, _, good = server
    aws("secretsmanager").create_secret(Name="slack", SecretString=TOKEN)
    posted = b'{"ok": true, "channel": "C024BE91L", "ts": "1.2"}'
    receiver = receive(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(posted), posted), context
    )
    environ = {"SLACK_BOT_TOKEN_SECRET": "slack", "DELIVERIES_TABLE": "t",
               "SLACK_API_URL": f"https://{HOST}:{receiver.port}/api/"}  # fmt: skip

    outcome = slack.channel(environ, aws).deliver(
        message_for("SLACK", Address("channel", "C024BE91L"))
    )

    assert (outcome.code, len(receiver.requests)) == (
        (None, 1) if good else ("connection_failed", 0)
    )


@pytest.mark.usefixtures("fresh_trust")
def test_issuers_need_an_alternative_name(server, receive):
    """No keys are read from a host whose certificate has its common name alone."""
    context, _, good = server
    with Issuer() as issuer:
        token, document = issuer.token(), issuer.document
    receiver = receive(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(document), document), context
    )
    tokens = OidcTokens(
        issuer="https://id.example.com",
        audience="dispatcher",
        jwks_uri=f"https://{HOST}:{receiver.port}/keys",
        clock=FakeClock(),
    )

    try:
        said = tokens.claims(token)["sub"]
    except UnavailableError as error:
        said = str(error)

    assert (said, len(receiver.requests)) == (
        ("john.doe", 1) if good else ("the issuer's keys: SSLCertVerificationError", 0)
    )
