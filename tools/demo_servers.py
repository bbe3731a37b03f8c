"""Where the demo's messages go: a Slack workspace and a mail server, on ports next to the service.

The ports are always the same for a service, so that a second demo finds it deployed as it needs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.failure import ToolFailure
from tools.fake_servers.slack_server import TOKEN, FakeSlackServer
from tools.processes import LOOPBACK, holder, is_held

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import boto3

    from tools.fake_servers.smtp_server import FakeSmtpServer

HIGHEST_PORT = 65_535

EMAIL = "john.doe@company.com"
SLACK_USER = "U0JOHNDOE"
DIRECT_MESSAGE = "D0JOHNDOE"

TOKEN_SECRET = "demo/slack-bot-token"  # noqa: S105 - a name
SENDER = "reports@company.com"
PREFERENCES = "https://company.com/preferences"


@dataclass(frozen=True)
class Ports:
    """The ports of a service's fake servers."""

    smtp: int
    slack: int

    @classmethod
    def beside(cls, port: int) -> Ports:
        """Take the two ports after the service's own."""
        if port + 2 > HIGHEST_PORT:
            raise ToolFailure(f"PORT={port}: the demo needs the next two as well, so choose less")
        return cls(smtp=port + 1, slack=port + 2)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Name each."""
        yield "mail server", self.smtp
        yield "Slack", self.slack

    def parameters(self) -> dict[str, str]:
        """Return the template parameters that lead to the fake servers, and enable SMS.

        The mail server is asked for no password: the functions do not trust our certificates.
        """
        return {
            "SlackBotTokenSecret": TOKEN_SECRET,
            "SlackApiUrl": f"http://{LOOPBACK}:{self.slack}/api/",
            "EmailSender": f"Reports <{SENDER}>",
            "PreferencesUrl": PREFERENCES,
            "SmtpHost": LOOPBACK,
            "SmtpPort": str(self.smtp),
            "SmtpTls": "none",
            "SmsEnabled": "true",
            "SmsAllowedCountries": "US",
        }

    def require_free(self, service: int) -> None:
        """Refuse a port in use, naming its process if the system shows it."""
        for what, port in self:
            if is_held(port):
                raise ToolFailure(
                    f"Port {port} is in use by {holder(port)}, and the demo's {what} listens "
                    f"there. Stop that, or choose another port: make demo PORT={service + 10}"
                )


def workspace(port: int) -> FakeSlackServer:
    """Make a Slack workspace with one person in it."""
    return FakeSlackServer(users={EMAIL: SLACK_USER}, channels=(DIRECT_MESSAGE,), port=port)


@dataclass(frozen=True)
class FakeServers:
    """The fake servers, while they listen."""

    slack: FakeSlackServer
    mail: FakeSmtpServer


def keep_secret(session: boto3.Session, name: str = TOKEN_SECRET, value: str = TOKEN) -> None:
    """Put the bot's token where the service looks for it."""
    secrets = session.client("secretsmanager")
    try:
        secrets.put_secret_value(SecretId=name, SecretString=value)
    except secrets.exceptions.ResourceNotFoundException:
        secrets.create_secret(Name=name, SecretString=value)


def merged(own: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Add the parameters that the person wants; the demo's own are not theirs to choose."""
    if taken := sorted(own.keys() & wanted.keys()):
        raise ToolFailure(f"PARAMETERS: the demo itself sets {', '.join(taken)}")
    return {**wanted, **own}
