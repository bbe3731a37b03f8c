"""Run a guided demo: `make demo`.

It starts a Slack workspace and a mail server on the two ports after the service's, deploys the
service with them, and prints what requests return and what receivers get. It ends with exit code 1
if a request fails or a delivery does not end; the tests in `tests/e2e` check the rest.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import requests
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from standardwebhooks import Webhook, WebhookVerificationError

from tools.cloud import chosen_cloud
from tools.failure import ToolFailure, reported
from tools.fake_servers.slack_server import TOKEN, FakeSlackServer
from tools.fake_servers.smtp_server import FakeSmtpServer
from tools.local_cloud import settle
from tools.parameters import parse
from tools.processes import LOOPBACK, require_free
from tools.receiver import Receiver

Json = dict[str, Any]

PATIENCE = 40.0
"""Seconds that one request or all deliveries of a message may take; functions may start cold."""

EMAIL, SLACK_USER, PHONE = "john.doe@company.com", "U0JOHNDOE", "+12065550100"
DIRECT_MESSAGE = "D0JOHNDOE"
"""The channel to the user, which a worker of an earlier demo may have looked up."""
TOKEN_SECRET = "demo/slack-bot-token"  # noqa: S105 - a name
REFUSALS = 2
TOOL_ID = "archive"

REPORT = {
    "agent_id": "report-agent",
    "subject": "The weekly report is ready",
    "content": "Hello $name, the **weekly report** of $team is ready:\n\n"
    "- 42 tickets closed\n- report [$report](https://reports.company.com/weekly)",
}

SEVEN: Mapping[str, Json] = {
    "SLACK": {"user_email": EMAIL, "mention_user": True},
    "EMAIL": {"email_address": EMAIL, "format": "html"},
    "WEBHOOK": {},
    "SMS": {"phone_number": PHONE, "sender_id": "Reports"},
    "TEST": {},
    "CLI": {},
    "TOOL": {"tool_id": TOOL_ID},
}
"""The integrations that the demo has a receiver for, with a user's config of each."""


@dataclass
class Demo:
    """A deployed service, the receivers, and the terminal."""

    stack: Mapping[str, str]
    session: boto3.Session
    slack: FakeSlackServer
    mail: FakeSmtpServer
    console: Console

    def __post_init__(self) -> None:
        """Connect to this machine only."""
        self._http = requests.Session()
        self._http.trust_env = False

    def ask(self, method: str, path: str, body: Json | None = None, *, quiet: bool = False) -> Json:
        """Send a request and return the body of its response; ``ToolFailure`` if it fails."""
        if not quiet:
            shown = f"{method} {path}  {json.dumps(body) if body else ''}"
            self.console.print(Text(f"   {shown}".rstrip(), "dim"), soft_wrap=True)
        url = self.stack["api_url"] + path
        try:
            response = self._http.request(method, url, json=body, timeout=PATIENCE)
            response.raise_for_status()
        except requests.RequestException as error:
            text = "" if error.response is None else f": {error.response.text}"
            raise ToolFailure(f"{method} {path} failed ({error}){text}. See: make logs") from error
        result: Json = response.json() if response.content else {}
        return result

    def scene(self, title: str) -> None:
        """Begin a scene."""
        self.console.print(Text(f"\n{title}", "bold cyan"))

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(Text(f"   {text}"), soft_wrap=True)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table; the last column has as many lines as it needs."""
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
        for name in header:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*(Text(str(cell)) for cell in row))
        self.console.print(Padding(table, (0, 0, 0, 3), expand=False))

    def deliveries(self, user: str, sent: Json) -> list[Json]:
        """Return the deliveries of a message, in the order of acceptance, when all have ended."""
        path, until = f"{user}/requests/{sent['request_id']}", time.monotonic() + PATIENCE
        with self.console.status("delivering …"):
            while time.monotonic() < until:
                deliveries: list[Json] = self.ask("GET", path, quiet=True)["deliveries"]
                if all(delivery["status"] != "pending" for delivery in deliveries):
                    return deliveries
                time.sleep(0.1)
        raise ToolFailure(f"{path}: pending for more than {PATIENCE:.0f} s. See: make logs")


# Scenes -------------------------------------------------------------------------------------------


def play(demo: Demo) -> None:
    """Play all scenes for a new user."""
    user = f"/api/v1/users/demo-{secrets.token_hex(4)}"
    demo.scene("System defaults")
    defaults = demo.ask("GET", "/api/v1/integration-defaults")["default_integrations"]
    settings = ("enabled", "priority", "retry_count", "retry_delay_seconds")
    demo.table(
        ("integration", *settings),
        [(name, *(row[setting] for setting in settings)) for name, row in defaults.items()],
    )
    demo.scene("Effective configuration of a user without overrides")
    show_effective(demo, user)
    with Receiver([(503, {})] * REFUSALS) as receiver:
        show_retries(demo, user, receiver)
    with Receiver() as receiver:
        show_all_seven(demo, f"{user}-all", receiver)
    show_hold(demo, f"{user}-muted")
    demo.scene("Service health")
    health = demo.ask("GET", "/health")
    demo.say(f"{health['service']} {health['version']} is {health['status']}")
    rows = [(name, row["healthy"], row["detail"]) for name, row in health["integrations"].items()]
    demo.table(("integration", "healthy", "detail"), rows)
    demo.scene("Reset to the defaults")
    for each in (user, f"{user}-all"):
        removed = demo.ask("POST", f"{each}/integration-defaults/reset")["removed"]
        demo.say(f"removed: {', '.join(removed)}; the delivery history is kept")
    demo.scene("The demo is over")
    demo.say(f"Read on: curl {demo.stack['api_url']}{user}/deliveries")
    demo.say("README.md has more commands. Slack and the mail server end now; make up: without.")


def show_effective(demo: Demo, user: str) -> None:
    """Print the integrations that a message would use, and the reasons against the others."""
    resolved = demo.ask("GET", f"{user}/integration-defaults")
    used = resolved["effective_configs"].items()
    rows = [(name, f"used, priority {settings['priority']}") for name, settings in used]
    demo.table(("integration", ""), [*rows, *resolved["disabled_integrations"].items()])


def show_retries(demo: Demo, user: str, receiver: Receiver) -> None:
    """Override two integrations, send, and print the retries of the webhook."""
    demo.scene("Overrides")
    email = {"integration_type": "EMAIL", "priority": 1, "config": {"email_address": EMAIL}}
    webhook = {
        "integration_type": "WEBHOOK",
        "config": {
            "url": f"{receiver.url}?token=only-for-the-receiver",
            "headers": {"Authorization": "Bearer only-for-the-receiver"},
        },
        "retry_count": 3,
        "retry_delay_seconds": 2,
    }
    demo.ask("POST", f"{user}/integrations", email)
    secret = demo.ask("POST", f"{user}/integrations", webhook)["signing_secret"]
    demo.say(f"signing secret, shown this once: {secret[:12]}…")
    stored = demo.ask("GET", f"{user}/integrations/WEBHOOK")["config"]
    demo.say(f"secrets are never shown again: {json.dumps(stored)}")
    show_effective(demo, user)

    demo.scene(f"Send a message to a receiver that refuses it {REFUSALS} times")
    body: Json = {
        "request_id": f"report-{secrets.token_hex(4)}",
        "content": "Hello $name, your report is **ready**.",
        "template_variables": {"name": "John"},
        "integration_types": list(SEVEN),
    }
    sent = demo.ask("POST", f"{user}/deliveries", body)
    for skipped in sent["skipped"]:
        demo.say(f"skipped: {skipped['integration_type']} ({skipped['reason']})")
    again = demo.ask("POST", f"{user}/deliveries", body)
    demo.say(f"the same request again: {'the same response' if again == sent else again}")
    deliveries = demo.deliveries(user, sent)
    rows = [
        (f"{arrival.at - receiver.arrivals[0].at:.2f} s", arrival.headers["webhook-id"],
         signature(arrival.body, arrival.headers, secret), arrival.status)
        for arrival in receiver.arrivals
    ]  # fmt: skip
    demo.table(("the receiver gets", "webhook-id", "signature", "returns"), rows)

    demo.scene("Delivery history")
    show_statuses(demo, deliveries)
    [hooked] = [row for row in deliveries if row["integration_type"] == "WEBHOOK"]
    log = demo.ask("GET", f"{user}/deliveries/{hooked['delivery_id']}")["attempt_log"]
    columns = ("number", "started_at", "duration_ms", "outcome", "detail")
    demo.table(columns, [[entry[column] for column in columns] for entry in log])


def show_all_seven(demo: Demo, user: str, receiver: Receiver) -> None:
    """Send one message over seven integrations, and print what each receiver got."""
    demo.scene("Send one message over all seven integrations")
    name = user.rpartition("/")[2]
    for integration_type, config in SEVEN.items():
        own = {"url": receiver.url} if integration_type == "WEBHOOK" else config
        body = {"integration_type": integration_type, "enabled": True, "config": own}
        demo.ask("POST", f"{user}/integrations", body)
    variables = {"name": "John", "team": "R&D", "report": name}
    message = REPORT | {"template_variables": variables, "integration_types": list(SEVEN)}
    with tool_queue(demo, name) as queue:
        show_statuses(demo, demo.deliveries(user, demo.ask("POST", f"{user}/deliveries", message)))
        events = demo.session.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=10)
    mails = [mail for mail in demo.mail.mails if name in mail.text]
    texts = demo.ask("GET", f"{user}/messages?integration_type=TEST")["messages"]
    terminal = demo.ask("GET", f"{user}/messages?integration_type=CLI")["messages"]
    arrived = (
        ("SLACK", [post.shown for post in demo.slack.posts]),
        ("EMAIL", [f"Subject: {mail.read['Subject']}\n{mail.text}" for mail in mails]),
        ("", [body_of(mail.html or "") for mail in mails]),
        ("WEBHOOK", [fields(one.json["data"]) for one in receiver.arrivals]),
        ("SMS", text_messages(demo, name)),
        ("TEST", [fields(item) for item in texts]),
        ("CLI", [fields(item) for item in terminal]),
        ("TOOL", [fields(json.loads(event["Body"])["detail"]) for event in events["Messages"]]),
    )
    demo.table(("integration", "what arrived"), [(who, "\n".join(got)) for who, got in arrived])


def show_hold(demo: Demo, user: str) -> None:
    """Mute a user, print that a message is held and an urgent one is not, and end the mute."""
    demo.scene("Hold a message while the user is muted")
    categories: Mapping[str, Json] = {
        "demo-builds": {"title": "Builds"},
        "demo-security": {"title": "Security", "urgent": True},
    }
    for name, category in categories.items():
        demo.ask("PUT", f"/api/v1/categories/{name}", category)
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    mute = {"hours": {"integrations": ["CLI"]}, "muted_until": until}
    demo.ask("PUT", f"{user}/preferences", mute)

    def send(category: str) -> Json:
        content = f"A message of the category {category}."
        body = {"content": content, "category": category, "integration_types": ["CLI"]}
        return demo.ask("POST", f"{user}/deliveries", body)

    held, urgent = map(send, categories)
    demo.say(f"held: {held['deliveries'][0]['held']['detail']}")
    demo.deliveries(user, urgent)
    demo.say("the urgent message is delivered in spite of the mute")
    changed = demo.ask("PUT", f"{user}/preferences", {"muted_until": None})
    demo.say(f"the mute ends: {changed['rescheduled']['deliveries']} delivery is rescheduled")
    show_statuses(demo, demo.deliveries(user, held))
    demo.ask("DELETE", f"{user}/preferences")
    for name in categories:
        demo.ask("DELETE", f"/api/v1/categories/{name}")


def show_statuses(demo: Demo, deliveries: Sequence[Json]) -> None:
    """Print how deliveries ended."""
    columns = ("integration_type", "status", "attempts", "max_attempts", "error_message")
    demo.table(columns, [[row[column] or "" for column in columns] for row in deliveries])


# Receivers ----------------------------------------------------------------------------------------


def signature(body: bytes, headers: Mapping[str, str], secret: str) -> str:
    """Verify a webhook's signature as its receiver does: ``valid``, or the fault."""
    try:
        Webhook(secret).verify(body, dict(headers))
    except WebhookVerificationError as error:
        return str(error)
    return "valid"


def body_of(page: str) -> str:
    """Return the content of an HTML page's body."""
    found = re.search(r"<body[^>]*>(.*)</body>", page, re.DOTALL)
    return found[1].strip() if found else page


def fields(data: Json) -> str:
    """Return the fields of an object, each on a line."""
    shown = {name: json.dumps(value, ensure_ascii=False) for name, value in data.items()}
    return "\n".join(f"{name}: {value}" for name, value in shown.items())


def text_messages(demo: Demo, text: str) -> list[str]:
    """Return the text messages to the phone that contain a text; the local cloud keeps them."""
    with requests.Session() as http:
        http.trust_env = False
        url = f"{demo.stack['endpoint_url']}/_ministack/sns/sms-messages"
        records = http.get(url, params={"phoneNumber": PHONE}, timeout=PATIENCE).json()
    messages = [str(record["Message"]) for record in records["sms_messages"].get(PHONE, [])]
    return [message for message in messages if text in message]


@contextmanager
def tool_queue(demo: Demo, name: str) -> Iterator[str]:
    """Subscribe to the tool bus with a rule and a queue while the block lasts."""
    sqs, events = demo.session.client("sqs"), demo.session.client("events")
    bus = demo.stack["ToolBusName"]
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    arn = found["Attributes"]["QueueArn"]
    pattern = {"detail-type": ["integration.message"], "detail": {"tool_id": [TOOL_ID]}}
    rule = events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern))
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule["RuleArn"]}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "tool", "Arn": arn}])
    try:
        yield queue
    finally:
        events.remove_targets(Rule=name, EventBusName=bus, Ids=["tool"])
        events.delete_rule(Name=name, EventBusName=bus)
        sqs.delete_queue(QueueUrl=queue)


# Start --------------------------------------------------------------------------------------------


def parameters(smtp_port: int, slack_port: int, wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the template parameters: those of the receivers, and other ones that are wanted."""
    # No password: the functions trust no certificate of ours.
    own = {
        "SlackBotTokenSecret": TOKEN_SECRET,
        "SlackApiUrl": f"http://{LOOPBACK}:{slack_port}/api/",
        "EmailSender": "Reports <reports@company.com>",
        "PreferencesUrl": "https://company.com/preferences",
        "SmtpHost": LOOPBACK,
        "SmtpPort": str(smtp_port),
        "SmtpTls": "none",
        "SmsEnabled": "true",
        "SmsAllowedCountries": "US",
    }
    if taken := sorted(own.keys() & wanted.keys()):
        raise ToolFailure(f"PARAMETERS: the demo sets {', '.join(taken)} itself; leave them out")
    chosen = {**wanted, **own}
    settle(chosen)
    return chosen


def keep_token(session: boto3.Session) -> None:
    """Store the bot token in Secrets Manager."""
    client = session.client("secretsmanager")
    try:
        client.put_secret_value(SecretId=TOKEN_SECRET, SecretString=TOKEN)
    except client.exceptions.ResourceNotFoundException:
        client.create_secret(Name=TOKEN_SECRET, SecretString=TOKEN)


@reported
def main() -> int:
    """Start the receivers and the service, and play; wrong settings are reported before that."""
    cloud = chosen_cloud()
    smtp_port, slack_port = cloud.api_port + 1, cloud.api_port + 2
    chosen = parameters(smtp_port, slack_port, parse(os.environ.get("PARAMETERS", "")))
    for port in (smtp_port, slack_port):
        require_free(port, "PORT", "make demo")
    slack = FakeSlackServer(users={EMAIL: SLACK_USER}, channels=(DIRECT_MESSAGE,), port=slack_port)
    with slack, FakeSmtpServer(port=smtp_port) as mail:
        cloud.start()
        keep_token(cloud.session)
        width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120
        console = Console(highlight=False, width=width)
        play(Demo(cloud.deploy(chosen), cloud.session, slack, mail, console))
    return 0


if __name__ == "__main__":
    sys.exit(main())
