"""Sends email: to an SMTP server if ``SMTP_HOST`` is set, else through SES.

Every attempt of a delivery sends the same email, except for its ``Date``. If a response was lost,
the recipient's server can drop the duplicate by its ``Message-ID`` (SES replaces this header).
"""

from __future__ import annotations

import re
import smtplib
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from email_validator import EmailNotValidError, validate_email

from channels.aws_errors import AwsError, Failure, failure, named
from channels.credentials import CredentialError, Credentials
from channels.mime import Mail, Sender, compose
from channels.reports import names as report_names
from channels.smtp import NoMechanismError, SmtpServer
from dispatcher.deadline import Deadline
from dispatcher.delivery.outcomes import Delivered, Outcome, Permanent, Retry
from dispatcher.errors import BrokenSettingError, UnavailableError
from dispatcher.variables import required

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_sesv2 import SESV2Client

    from channels import ClientFactory
    from dispatcher.delivery.ports import Channel, Message

ATTEMPT_SECONDS = 8.5
PROBE_SECONDS = 1.9


class Transport(Protocol):
    """Sends one email to one recipient."""

    def send(self, mail: Mail, message: Message) -> Outcome:
        """Send the email of a message once and return the outcome."""


@dataclass(frozen=True, slots=True)
class Email:
    """Implements ``ports.Channel``."""

    environ: Mapping[str, str]
    transport: Callable[[Sender], Transport]

    def deliver(self, message: Message) -> Outcome:
        """Send the message once and return the outcome."""
        return self.render(message)()

    def render(self, message: Message) -> Callable[[], Outcome]:
        """Compose the email and return a function that sends it once."""
        recipient = mailbox(message.address.value)
        if recipient is None:
            return lambda: Permanent(
                "invalid_address", "the address is not one plain email address"
            )
        try:
            sender = _sender(self.environ)
            transport = self.transport(sender)
        except BrokenSettingError as error:
            broken = Retry("broken_setting", str(error))
            return lambda: broken
        mail = compose(message, sender, recipient, self.environ.get("PREFERENCES_URL", ""))
        return lambda: transport.send(mail, message)


def mailbox(address: str) -> str | None:
    """Return an address in the form for envelope and header; ``None`` if it is not one address.

    An address that was derived from a user ID has not been validated before.
    """
    try:
        found = validate_email(
            address,
            check_deliverability=False,
            allow_smtputf8=False,
            allow_quoted_local=False,
            test_environment=True,
        ).ascii_email
    except EmailNotValidError:
        return None
    return None if found is None or "=?" in found else found


PARAMETER = "SmtpPasswordSecret"  # pragma: allowlist secret


@dataclass(frozen=True, slots=True)
class Smtp:
    """Sends through an SMTP server."""

    server: SmtpServer
    credentials: Credentials
    secret: str
    seconds: float = ATTEMPT_SECONDS

    def send(self, mail: Mail, message: Message) -> Outcome:  # noqa: ARG002 - it reports nothing later
        """Send the email; a code 4xx is retried, 5xx is permanent."""
        deadline = Deadline(self.seconds, time.monotonic)
        try:
            password = self.credentials.read(self.secret) if self.server.username else ""
            try:
                self.server.send(deadline, mail, password)
            except smtplib.SMTPAuthenticationError as error:
                if error.smtp_code >= 500 and self.credentials.has_changed(self.secret, password):
                    return Retry("password_renewed", "the password was just replaced")
                raise
        except CredentialError as error:
            return Retry("credentials_unavailable", str(error))
        except (smtplib.SMTPException, OSError) as error:
            return refusal(error, is_late=deadline.is_over())
        return Delivered({"message_id": mail.message_id})


@dataclass(frozen=True, slots=True)
class Ses:
    """Sends through SES to the recipient of the envelope, not of the headers."""

    client: Callable[[], SESV2Client]
    stack: str
    """The name of the stack and of its configuration set."""

    def send(self, mail: Mail, message: Message) -> Outcome:
        """Send the email; a final refusal by AWS is permanent, any other error is retried."""
        tags = {"dispatcher": self.stack, **report_names(message)}
        try:
            response = self.client().send_email(
                FromEmailAddress=mail.sender,
                Destination={"ToAddresses": [mail.recipient]},
                Content={"Raw": {"Data": mail.content}},
                ConfigurationSetName=self.stack,
                EmailTags=[{"Name": name, "Value": value} for name, value in tags.items()],
            )
        except AwsError as error:
            code, detail = named(error), f"SES did not accept the email: {named(error)}"
            is_final = failure(error) is Failure.REFUSED
            return Permanent(code, detail) if is_final else Retry(code, detail)
        # SES has accepted the email even if the body of its response cannot be read.
        message_id = response.get("MessageId")
        return Delivered({"message_id": message_id} if message_id else {})


TIMEOUT = Retry("timeout", "the mail server did not respond in time")
NONSENSE = Retry("invalid_answer", "the mail server's response is invalid")

_FAULTS: tuple[tuple[type[BaseException], Outcome], ...] = (
    (
        smtplib.SMTPServerDisconnected,
        Retry("connection_lost", "the mail server closed the connection"),
    ),
    (
        smtplib.SMTPNotSupportedError,
        Permanent("tls_required", "the mail server offers no STARTTLS"),
    ),
    # smtplib's other exceptions without a code. They are OSErrors, so they come before OSError.
    (smtplib.SMTPException, NONSENSE),
    (ssl.SSLError, Retry("tls_failed", "the mail server's certificate or TLS is not valid")),
    (TimeoutError, TIMEOUT),
    (OSError, Retry("connection_failed", "no connection to the mail server")),
)
_REJECTED = 550
# RFC 3463: 5.1.1 no such mailbox, and 5.1.10 (RFC 7505) a domain that receives no email.
_UNKNOWN_MAILBOX = re.compile(rb"5\.1\.(1|10)(?![0-9.])")
_REFUSED = {
    smtplib.SMTPSenderRefused: "the sender",
    smtplib.SMTPAuthenticationError: "user name and password",
}


def refusal(error: BaseException, *, is_late: bool = False) -> Outcome:
    """Return the outcome for an SMTP error, without the server's text."""
    if is_late:
        return TIMEOUT
    match error:
        case smtplib.SMTPRecipientsRefused(recipients=refused):
            code, text = next(iter(refused.values()))
            is_unknown = code == _REJECTED and _UNKNOWN_MAILBOX.match(text)
            return _by_code(code, "the recipient", suppress="bounced" if is_unknown else None)
        case smtplib.SMTPResponseException(smtp_code=code):
            return _by_code(code, _REFUSED.get(type(error), "the mail"))
        case NoMechanismError():
            return Permanent("auth_unsupported", str(error))
    return next((outcome for kind, outcome in _FAULTS if isinstance(error, kind)), NONSENSE)


def _by_code(code: int, what: str, suppress: Literal["bounced"] | None = None) -> Outcome:
    if not 400 <= code < 600:
        return NONSENSE
    name, detail = f"smtp_{code}", f"the mail server refused {what}: {code}"
    if code < 500:
        return Retry(name, detail)
    return Permanent(name, detail, suppress=suppress)


def _sender(environ: Mapping[str, str]) -> Sender:
    # parseaddr would end the address at a comma or a parenthesis in the name.
    name, _, address = environ.get("EMAIL_SENDER", "").rpartition("<")
    written = mailbox(address.removesuffix(">"))
    if written is None:
        raise BrokenSettingError(
            "EMAIL_SENDER",
            "must be an address such as news@example.com, in ASCII up to the @",
        )
    return Sender(name.strip().strip('"'), written)


def _transport(
    environ: Mapping[str, str], aws: ClientFactory, credentials: Credentials
) -> Callable[[Sender], Transport]:
    def make(sender: Sender) -> Transport:
        if not environ.get("SMTP_HOST"):
            return Ses(lambda: aws("sesv2"), required(environ, "STACK_NAME"))
        server = SmtpServer.of(environ, helo=sender.domain)
        return Smtp(server, credentials, environ.get("SMTP_PASSWORD_SECRET", ""))

    return make


def channel(environ: Mapping[str, str], aws: ClientFactory) -> Channel:
    """Build the channel from the function's environment."""
    return Email(environ, _transport(environ, aws, Credentials(aws, PARAMETER)))


def probe(environ: Mapping[str, str], aws: ClientFactory) -> None:
    """Check that email can be sent; raise ``UnavailableError`` with the reason."""
    try:
        if environ.get("SMTP_HOST"):
            server = SmtpServer.of(environ, helo=_sender(environ).domain)
            server.greet(Deadline(PROBE_SECONDS, time.monotonic))
        elif not aws("sesv2").get_account()["SendingEnabled"]:
            raise UnavailableError("SES does not let this account send")
    except BrokenSettingError as error:
        raise UnavailableError(str(error)) from None
    except (smtplib.SMTPException, OSError) as error:
        raise UnavailableError(refusal(error).detail) from None
    except AwsError as error:
        raise UnavailableError(f"SES did not respond: {named(error)}") from None
