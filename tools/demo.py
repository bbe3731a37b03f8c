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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from shlex import quote
from string import Template
from typing import Any
from zoneinfo import ZoneInfo

import boto3
import requests
import yaml
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from standardwebhooks import Webhook, WebhookVerificationError

from tools import report
from tools.cloud import chosen_cloud
from tools.failure import ToolFailure, reported
from tools.local_cloud import STACK, settle
from tools.mailbox import Mailbox, part
from tools.parameters import parse
from tools.paths import ROOT
from tools.processes import LOOPBACK, require_free
from tools.receiver import Arrival, Receiver

Json = dict[str, Any]

PATIENCE = 40.0
"""Seconds that one request or all deliveries of a message may take; functions may start cold."""

SCRIPT: Mapping[str, Any] = yaml.safe_load((ROOT / "tools/demo.yaml").read_text())

SEVEN: Mapping[str, Json] = SCRIPT["configs"]
"""The integrations that the demo has a receiver for, with a user's config of each."""

TOKEN_SECRET = "demo/slack-bot-token"  # noqa: S105 - a name
REFUSALS = 2
ADA = "/api/v1/users/ada"
REVIEW = "Review: retry budget"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass
class Demo:
    """A deployed service, the receivers, and the terminal."""

    stack: Mapping[str, str]
    session: boto3.Session
    slack: Receiver
    mailbox: Mailbox
    console: Console

    def __post_init__(self) -> None:
        """Connect to this machine only."""
        self.http = requests.Session()
        self.http.trust_env = False

    def ask(self, method: str, path: str, body: Json | None = None, *, quiet: bool = False) -> Json:
        """Send a request and return the body of its response; ``ToolFailure`` if it fails."""
        if not quiet:
            shown = f"{method} {path}  {json.dumps(body) if body else ''}"
            self.console.print(Text(f"   {shown}".rstrip(), "dim"), soft_wrap=True)
        url = self.stack["api_url"] + path
        try:
            response = self.http.request(method, url, json=body, timeout=PATIENCE)
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

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table; the last column has as many lines as it needs."""
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
        for name in columns:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*(Text(str(cell)) for cell in row))
        self.console.print(Padding(table, (0, 0, 0, 3), expand=False))

    def fields(self, objects: Sequence[Json], *columns: str) -> None:
        """Print a table of some fields of objects."""
        self.table(columns, [[one[name] or "" for name in columns] for one in objects])

    def deliveries(self, user: str, sent: Json, *, bounced: bool = False) -> list[Json]:
        """Wait until all deliveries of a message have ended; print and return them, in order.

        With ``bounced``, one of them has ended as a success before, and the report is awaited.
        """
        path, until = f"{user}/requests/{sent['request_id']}", time.monotonic() + PATIENCE
        with self.console.status("delivering …"):
            while time.monotonic() < until:
                found: list[Json] = self.ask("GET", path, quiet=True)["deliveries"]
                statuses = {delivery["status"] for delivery in found}
                if "pending" not in statuses and (not bounced or "failed" in statuses):
                    break
                time.sleep(0.1)
            else:
                raise ToolFailure(f"{path}: pending for more than {PATIENCE:.0f} s. See: make logs")
        self.fields(found, "integration_type", "status", "attempts", "max_attempts")
        return found


# Scenes -------------------------------------------------------------------------------------------


def play(demo: Demo) -> None:
    """Play all scenes for new users."""
    user = f"/api/v1/users/demo-{secrets.token_hex(4)}"
    demo.scene("System defaults")
    defaults = demo.ask("GET", "/api/v1/integration-defaults")["default_integrations"]
    rows = [{"integration": name, **row} for name, row in defaults.items()]
    demo.fields(rows, "integration", "enabled", "priority", "retry_count", "retry_delay_seconds")
    with Receiver([(503, {})] * REFUSALS) as receiver:
        show_retries(demo, user, receiver)
    with Receiver() as receiver:
        show_all_seven(demo, f"{user}-all", receiver)
    show_console(demo)


def show_retries(demo: Demo, user: str, receiver: Receiver) -> None:
    """Create a webhook that refuses, send, and print the retries and the history."""
    demo.scene("Overrides")
    config = {"url": f"{receiver.url}?token=only-for-the-receiver"}
    webhook = {"integration_type": "WEBHOOK", "config": config, "retry_delay_seconds": 2}
    created = demo.ask("POST", f"{user}/integrations", webhook | {"retry_count": 3})
    secret = created["signing_secret"]
    demo.say(f"signing secret, shown this once: {secret[:12]}…")
    stored = demo.ask("GET", f"{user}/integrations/WEBHOOK")["config"]
    demo.say(f"secrets are never shown again: {json.dumps(stored)}")

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
    first = receiver.arrivals[0].at
    rows = [
        (f"{one.at - first:.2f} s", one.headers["webhook-id"], signature(one, secret), one.status)
        for one in receiver.arrivals
    ]
    demo.table(("the receiver gets", "webhook-id", "signature", "returns"), rows)

    demo.scene("Delivery history")
    [hooked] = [row for row in deliveries if row["integration_type"] == "WEBHOOK"]
    log = demo.ask("GET", f"{user}/deliveries/{hooked['delivery_id']}")["attempt_log"]
    demo.fields(log, "number", "started_at", "duration_ms", "outcome", "detail")


def show_all_seven(demo: Demo, user: str, receiver: Receiver) -> None:
    """Send one message over seven integrations, and print what each receiver got."""
    demo.scene("Send one message over all seven integrations")
    name = user.rpartition("/")[2]
    for integration_type, config in SEVEN.items():
        own = {"url": receiver.url} if integration_type == "WEBHOOK" else config
        body = {"integration_type": integration_type, "enabled": True, "config": own}
        demo.ask("POST", f"{user}/integrations", body)
    variables = {"name": "John", "team": "R&D", "report": name}
    message = SCRIPT["report"] | {"template_variables": variables, "integration_types": list(SEVEN)}
    with tool_queue(demo, name) as queue:
        demo.deliveries(user, demo.ask("POST", f"{user}/deliveries", message))
        events = demo.session.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=10)
    posts = [one.json for one in demo.slack.arrivals if one.path.endswith("/chat.postMessage")]
    emails = [one for one in demo.mailbox.emails if name in one.as_string()]
    texts, terminal = (
        demo.ask("GET", f"{user}/messages?integration_type={kind}", quiet=True)["messages"]
        for kind in ("TEST", "CLI")
    )
    arrived = (
        ("SLACK", [read_aloud({"elements": one["blocks"]}) for one in posts]),
        ("EMAIL", [f"Subject: {one['Subject']}\n{part(one, 'plain')}" for one in emails]),
        ("", [body_of(part(one, "html")) for one in emails]),
        ("WEBHOOK", [lines(one.json["data"]) for one in receiver.arrivals]),
        ("SMS", text_messages(demo, name)),
        ("TEST", map(lines, texts)),
        ("CLI", map(lines, terminal)),
        ("TOOL", [lines(json.loads(event["Body"])["detail"]) for event in events["Messages"]]),
    )
    demo.table(("integration", "what arrived"), [(who, "\n".join(got)) for who, got in arrived])


def show_console(demo: Demo) -> None:
    """Give Ada data on every page of the console, and print the steps of a tour."""
    demo.scene("Ada's pages in the web console")
    for old in demo.ask("GET", f"{ADA}/suppressions", quiet=True)["suppressions"]:
        demo.ask("DELETE", f"{ADA}/suppressions/{old['suppression_id']}", quiet=True)
    sent: dict[str, Json] = {}
    last: Json = {}
    for step in steps():
        [(what, body)] = step.items()
        if what == "bounce":
            report_bounce(demo, last, body)
            demo.deliveries(ADA, last, bounced=True)
            continue
        method, path = what.split()
        response = demo.ask(method, f"/api/v1/{path}", body, quiet=True)
        if "skipped" not in response:
            continue
        last = sent[body["subject"]] = response
        demo.say(body["subject"])
        if held := [one["held"]["detail"] for one in last["deliveries"] if one["held"]]:
            demo.say(f"held: {held[0]}")
        else:
            demo.deliveries(ADA, last)
    demo.scene("The demo is over")
    demo.say("Read on: docs/tour.md and docs/console.md")
    demo.say("make up restarts the service without the Slack and mail servers of the demo.")
    [*_, email] = (one for one in demo.mailbox.emails if one["Subject"] == REVIEW)
    bounced = f"ada {delivery_id(sent[REVIEW], 'EMAIL')} --address ada@company.com"
    home = f"CLOUD_HOME={quote(os.environ['CLOUD_HOME'])} " * bool(os.environ.get("CLOUD_HOME"))
    tour = Template(SCRIPT["tour"]).substitute(
        unsubscribe=str(email["List-Unsubscribe"]).strip(" <>"),
        bounce=f"{home}.venv/bin/python -m tools.report bounce_permanent {bounced}",
    )
    address = f"{demo.stack['api_url']}/console#/u/ada/history"
    demo.console.print(Text(f"\nConsole  {address}\n{tour}"), soft_wrap=True)


def steps() -> list[Json]:
    """Return what Ada gets; her hours are closed today, and open tomorrow at 08:00."""
    today = datetime.now(ZoneInfo("Europe/Berlin")).weekday()
    others = json.dumps([*DAYS[:today], *DAYS[today + 1 :]])
    text = json.dumps(SCRIPT["ada"]).replace('"$other_days"', others)
    result: list[Json] = json.loads(text)
    return result


def report_bounce(demo: Demo, sent: Json, address: str) -> None:
    """Report that the email of a message bounced, as SES does."""
    body = report.body("bounce_permanent", "ada", delivery_id(sent, "EMAIL"), 1, STACK, address)
    queue = demo.stack["FeedbackQueueUrl"]
    demo.session.client("sqs").send_message(QueueUrl=queue, MessageBody=body)
    demo.say(f"the mail provider reports that {address} does not exist")


def delivery_id(sent: Json, integration_type: str) -> str:
    """Return the ID of a message's delivery over one integration."""
    ids = {one["integration_type"]: str(one["delivery_id"]) for one in sent["deliveries"]}
    return ids[integration_type]


# Receivers ----------------------------------------------------------------------------------------


def signature(arrival: Arrival, secret: str) -> str:
    """Verify a webhook's signature as its receiver does: ``valid``, or the fault."""
    try:
        Webhook(secret).verify(arrival.body, dict(arrival.headers))
    except WebhookVerificationError as error:
        return str(error)
    return "valid"


def read_aloud(element: Json) -> str:
    """Return the words of an element of Slack's blocks, a part of a message on each line."""
    inner = [read_aloud(one) for one in element.get("elements", ())]
    separator = "" if element.get("type") in {"rich_text_section", "rich_text_quote"} else "\n"
    return str(element.get("text") or element.get("user_id") or separator.join(inner))


def body_of(page: str) -> str:
    """Return the content of an HTML page's body."""
    found = re.search(r"<body[^>]*>(.*)</body>", page, re.DOTALL)
    return found[1].strip() if found else page


def lines(data: Json) -> str:
    """Return the fields of an object, each on a line."""
    shown = {name: json.dumps(value, ensure_ascii=False) for name, value in data.items()}
    return "\n".join(f"{name}: {value}" for name, value in shown.items())


def text_messages(demo: Demo, text: str) -> list[str]:
    """Return the text messages to the phone that contain a text; the local cloud keeps them."""
    phone = SEVEN["SMS"]["phone_number"]
    url = f"{demo.stack['endpoint_url']}/_ministack/sns/sms-messages"
    records = demo.http.get(url, params={"phoneNumber": phone}, timeout=PATIENCE).json()
    messages = [str(record["Message"]) for record in records["sms_messages"].get(phone, [])]
    return [message for message in messages if text in message]


@contextmanager
def tool_queue(demo: Demo, name: str) -> Iterator[str]:
    """Subscribe to the tool bus with a rule and a queue while the block lasts."""
    sqs, events = demo.session.client("sqs"), demo.session.client("events")
    bus = demo.stack["ToolBusName"]
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    pattern = json.dumps({"detail": {"tool_id": [SEVEN["TOOL"]["tool_id"]]}})
    events.put_rule(Name=name, EventBusName=bus, EventPattern=pattern)
    target = found["Attributes"]["QueueArn"]
    events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "tool", "Arn": target}])
    try:
        yield queue
    finally:
        events.remove_targets(Rule=name, EventBusName=bus, Ids=["tool"])
        events.delete_rule(Name=name, EventBusName=bus)
        sqs.delete_queue(QueueUrl=queue)


# Start --------------------------------------------------------------------------------------------


def parameters(smtp_port: int, slack_port: int, wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the template parameters: those of the receivers, and other ones that are wanted."""
    # No password: the functions trust no certificate that we could make.
    own = {
        **SCRIPT["parameters"],
        "SlackBotTokenSecret": TOKEN_SECRET,
        "SlackApiUrl": f"http://{LOOPBACK}:{slack_port}/api/",
        "SmtpHost": LOOPBACK,
        "SmtpPort": str(smtp_port),
    }
    if taken := sorted(own.keys() & wanted.keys()):
        raise ToolFailure(f"PARAMETERS: the demo sets {', '.join(taken)} itself; leave them out")
    chosen = {**wanted, **own}
    settle(chosen)
    return chosen


def keep_token(session: boto3.Session) -> None:
    """Store the bot token in Secrets Manager."""
    client, token = session.client("secretsmanager"), "xoxb-demo"
    try:
        client.put_secret_value(SecretId=TOKEN_SECRET, SecretString=token)
    except client.exceptions.ResourceNotFoundException:
        client.create_secret(Name=TOKEN_SECRET, SecretString=token)


@reported
def main() -> int:
    """Start the receivers and the service, and play; wrong settings are reported before that."""
    cloud = chosen_cloud()
    smtp_port, slack_port = cloud.api_port + 1, cloud.api_port + 2
    chosen = parameters(smtp_port, slack_port, parse(os.environ.get("PARAMETERS", "")))
    for port in (smtp_port, slack_port):
        require_free(port, "PORT", "make demo")
    body = json.dumps(SCRIPT["slack"]).encode()
    with Receiver(default=200, body=body, port=slack_port) as slack, Mailbox(smtp_port) as mailbox:
        cloud.start()
        keep_token(cloud.session)
        width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120
        console = Console(highlight=False, width=width)
        play(Demo(cloud.deploy(chosen), cloud.session, slack, mailbox, console))
        wait_for_person()
    return 0


def wait_for_person() -> None:
    """Keep both servers for the tour until a person at the terminal has seen it."""
    if sys.stdin.isatty():
        with suppress(EOFError, KeyboardInterrupt):
            input("\nPress Enter to stop the Slack and mail servers. ")


if __name__ == "__main__":
    sys.exit(main())
