"""The scene in which one message goes out over all seven integrations at once.

What each of them received is not taken from the service but from the other end: the workspace, the
mail server, the webhook's receiver, the local cloud's phone, a queue behind the tool bus.
"""

from __future__ import annotations

import json
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from html import unescape
from typing import TYPE_CHECKING, Any

import requests

from tools.demo_context import log_of, signature_fault
from tools.demo_servers import DIRECT_MESSAGE, EMAIL, PREFERENCES, SENDER, SLACK_USER
from tools.narrator import CheckFailedError
from tools.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tools.demo_context import DemoContext, Json
    from tools.demo_servers import FakeServers

PHONE = "+12065550100"
"""One of the numbers that belong to nobody."""
TOOL_ID = "archive"
AGENT = "report-agent"
SUBJECT = "The weekly report is ready"
CONTENT = """\
Hello $name, the **weekly report** of $team is ready:

- 42 tickets closed
- report [$report](https://reports.company.com/weekly)"""
VARIABLES = {"name": "John", "team": "R&D"}

WORKER = "deliver_messages"

PATIENCE = 10.0
"""Seconds that an event may take through bus and queue."""


@dataclass
class Received:
    """What the receivers hold of one message."""

    post: Any
    mail: Any
    request: Any
    texts: list[str]
    test: list[Json]
    cli: list[Json]
    events: list[Json] = field(default_factory=list)


def play_seven(context: DemoContext) -> None:
    """Send one message over all seven, and look at what arrived where."""
    fake_servers = context.fake_servers
    assert fake_servers is not None  # noqa: S101 - the demo has them
    with Receiver() as receiver:
        own = replace(context, user_id=f"{context.user_id}-all", receiver=receiver)
        with tool_queue(own) as queue:
            secret, own.effective = set_everything(own)
            send_everywhere(own)
            received = collect(own, fake_servers, queue)
        show(own, received)
        check(own, received, secret)
        check_history(own)
        answer, _ = own.ask("POST", f"{own.user}/integration-defaults/reset", log="reset_overrides")
        own.narrator.check(
            "the user's seven overrides are gone again",
            came=len(answer["removed"]),
            expected=7,
            log=log_of("reset_overrides"),
        )


def overrides(webhook: str) -> dict[str, Json]:
    """Return what the user sets for each integration."""
    return {
        "SLACK": {"user_email": EMAIL, "mention_user": True},
        "EMAIL": {"email_address": EMAIL, "format": "html"},
        "WEBHOOK": {"url": webhook},
        "SMS": {"phone_number": PHONE, "sender_id": "Reports"},
        "TEST": {},
        "CLI": {},
        "TOOL": {"tool_id": TOOL_ID},
    }


SEVEN = tuple(overrides(""))
"""The integrations that the demo has a receiver for: the guide's."""


def restricted(effective: Json) -> Json:
    """Return what keeps a message to the demo's receivers, where the user has more than those."""
    beyond = set(effective["effective_configs"]) - set(SEVEN)
    return {"integration_types": list(SEVEN)} if beyond else {}


def set_everything(context: DemoContext) -> tuple[str, Json]:
    """Make the seven overrides; return the secret of the webhook and what is effective now."""
    narrator, secret = context.narrator, ""
    wanted = overrides(f"{context.receiver.url}/reports")
    narrator.says(f"{context.user_id}, new too, wants messages by everything there is:")
    for name, config in wanted.items():
        narrator.shows(f"POST {context.user}/integrations   {name} {json.dumps(config)}")
        body = {"integration_type": name, "enabled": True, "config": config}
        created, _ = context.ask(
            "POST", f"{context.user}/integrations", body, status=201, log="create_override"
        )
        secret = created.get("signing_secret", secret)
    effective, _ = context.ask(
        "GET", f"{context.user}/integration-defaults", log="get_effective_configuration"
    )
    narrator.check(
        "all seven are in use",
        came=[name for name in effective["effective_configs"] if name in SEVEN],
        expected=list(wanted),
        log=log_of("get_effective_configuration"),
    )
    return secret, effective


def send_everywhere(context: DemoContext) -> None:
    """Send the message and wait until it has arrived, telling who was served."""
    narrator = context.narrator
    body: Json = {
        "request_id": f"weekly-{context.user_id}",
        "session_id": f"session-{context.user_id}",
        "agent_id": AGENT,
        "subject": SUBJECT,
        "content": CONTENT,
        "template_variables": {**VARIABLES, "report": context.user_id},
        **restricted(context.effective),
    }
    narrator.shows(f"POST {context.user}/deliveries")
    for line in CONTENT.splitlines():
        narrator.says(f"  | {line}")
    context.sent, _ = context.ask(
        "POST", f"{context.user}/deliveries", body, status=202, log="send_message"
    )
    narrator.check(
        "accepted: seven deliveries of one message",
        came=len(context.sent["deliveries"]),
        expected=7,
        log=log_of("send_message"),
    )
    began, told = time.monotonic(), set[str]()

    def tell(deliveries: Sequence[Json]) -> None:
        for one in deliveries:
            if one["status"] != "pending" and one["integration_type"] not in told:
                told.add(one["integration_type"])
                passed = time.monotonic() - began
                narrator.says(f"{passed:6.2f} s  {one['integration_type']:<8} {one['status']}")

    context.await_deliveries("delivering to all seven", tell)
    narrator.check(
        "all seven delivered, each at its first try",
        came=outcomes(context),
        expected=dict.fromkeys(SEVEN, ("success", 1)),
        log=log_of(WORKER),
    )


def outcomes(context: DemoContext) -> dict[str, Any]:
    """Return how each delivery ended: its status and tries, or what went wrong."""
    return {
        one["integration_type"]: one["error_message"] or (one["status"], one["attempts"])
        for one in context.history()
    }


# What arrived -------------------------------------------------------------------------------------


def collect(context: DemoContext, fake_servers: FakeServers, queue: str) -> Received:
    """Ask everybody at the other end what came."""
    return Received(
        post=only("the workspace got one post", fake_servers.slack.posts),
        mail=only(
            "the mail server got one mail",
            [mail for mail in fake_servers.mail.mails if context.user_id in mail.text],
        ),
        request=only("the receiver got one request", context.receiver.arrivals),
        texts=text_messages(context),
        test=mailbox(context, "TEST"),
        cli=mailbox(context, "CLI"),
        events=events(context, queue),
    )


def only(rule: str, found: Sequence[Any]) -> Any:  # noqa: ANN401 - whatever is looked for
    """Return the one thing that was found."""
    if len(found) != 1:
        raise CheckFailedError(rule, expected=1, came=len(found), log=log_of(WORKER))
    return found[0]


def text_messages(context: DemoContext) -> list[str]:
    """Return what the phone shows of this message; the local cloud keeps what SNS was given."""
    with requests.Session() as http:
        http.trust_env = False
        answer = http.get(
            f"{context.stack['endpoint_url']}/_ministack/sns/sms-messages",
            params={"phoneNumber": PHONE},
            timeout=PATIENCE,
        )
    records = answer.json()["sms_messages"].get(PHONE, [])
    return [text for record in records if context.user_id in (text := str(record["Message"]))]


def mailbox(context: DemoContext, integration_type: str) -> list[Json]:
    """Read a mailbox of the user's."""
    path = f"{context.user}/messages?integration_type={integration_type}"
    messages: list[Json] = context.ask("GET", path, log="list_messages")[0]["messages"]
    return messages


@contextmanager
def tool_queue(context: DemoContext) -> Iterator[str]:
    """Subscribe to the tool bus as a tool does, by a rule and a queue; both are gone afterwards."""
    bus, name = context.stack["ToolBusName"], context.user_id
    sqs, rules = context.client("sqs"), context.client("events")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    try:
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        pattern = {
            "source": ["integration-dispatcher"],
            "detail-type": ["integration.message"],
            "detail": {"tool_id": [TOOL_ID]},
        }
        rule = rules.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern))
        sqs.set_queue_attributes(
            QueueUrl=queue, Attributes={"Policy": policy(arn, rule["RuleArn"])}
        )
        try:
            rules.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "tool", "Arn": arn}])
            yield queue
        finally:
            rules.remove_targets(Rule=name, EventBusName=bus, Ids=["tool"])
            rules.delete_rule(Name=name, EventBusName=bus)
    finally:
        sqs.delete_queue(QueueUrl=queue)


def policy(queue: str, rule: str) -> str:
    """Let the rule, and nothing else, write to the queue."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def events(context: DemoContext, queue: str) -> list[Json]:
    """Return the events that the tool got."""
    sqs, until = context.client("sqs"), time.monotonic() + PATIENCE
    found: list[Json] = []
    while not found and time.monotonic() < until:
        answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        found += [json.loads(one["Body"]) for one in answer.get("Messages", ())]
    return found


# What it should be --------------------------------------------------------------------------------


def show(context: DemoContext, received: Received) -> None:
    """Show what each integration received."""
    post, mail, request = received.post, received.mail, received.request
    context.narrator.rows(
        ("integration", "what arrived"),
        [
            (f"SLACK\nto {post.channel}", post.shown),
            (
                f"EMAIL\n{mail.recipients[0]}",
                f"Subject: {mail.read['Subject']}\n{mail.text}\n\n{body_of(mail.html or '')}",
            ),
            (f"WEBHOOK\n{request.method} {request.path}", pretty(json.loads(request.body)["data"])),
            (f"SMS\n{PHONE}", "\n".join(received.texts)),
            ("TEST\nits mailbox", shown(received.test)),
            ("CLI\nits mailbox", shown(received.cli)),
            (f"TOOL\n{TOOL_ID}", "\n".join(pretty(one["detail"]) for one in received.events)),
        ],
        long=True,
    )


def pretty(told: Json) -> str:
    """Write what stands in JSON as a person reads it."""
    return "\n".join(
        f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in told.items()
    )


def shown(messages: Sequence[Json]) -> str:
    """Return what a reader of the mailbox sees."""
    return "\n".join(f"{one['subject']}\n{one['content']}" for one in messages)


def body_of(page: str) -> str:
    """Return what stands in the body of a page of HTML."""
    found = re.search(r"<body[^>]*>(.*)</body>", page, re.DOTALL)
    return found[1].strip() if found else page


def filled(context: DemoContext) -> str:
    """Return the text as it should read: the variables in their places."""
    text = CONTENT
    for name, value in {**VARIABLES, "report": context.user_id}.items():
        text = text.replace(f"${name}", value)
    return text


def check(context: DemoContext, received: Received, secret: str) -> None:
    """Hold what arrived to what each integration promises."""
    narrator, log, text = context.narrator, log_of(WORKER), filled(context)
    ids = {one["integration_type"]: one["delivery_id"] for one in context.sent["deliveries"]}
    link = "https://reports.company.com/weekly"
    post, mail, request = received.post, received.mail, received.request
    narrator.check(
        "SLACK: blocks of Slack's rich text in the person's direct messages",
        came=(post.channel, post.blocks),
        expected=(
            DIRECT_MESSAGE,
            [
                f"@{SLACK_USER} {SUBJECT}",
                (
                    "Hello John, the weekly report of R&D is ready:\n"
                    f"• 42 tickets closed\n• report {context.user_id}"
                ),
                f"from {AGENT}",
            ],
        ),
        log=log,
    )
    narrator.check(
        "SLACK: it mentions the person, as set, and nobody else",
        came=set(post.mentions),
        expected={f"<@{SLACK_USER}>"},
        log=log,
    )
    headers = ("Subject", "To", "Message-ID", "List-Unsubscribe")
    narrator.check(
        "EMAIL: the headers name subject, recipient, delivery and where to unsubscribe",
        came=(mail.recipients, *(str(mail.read[name]) for name in headers)),
        expected=(
            (EMAIL,),
            SUBJECT,
            EMAIL,
            f"<{ids['EMAIL']}@{SENDER.partition('@')[2]}>",
            f"<{PREFERENCES}>",
        ),
        log=log,
    )
    words = re.sub(r"<[^>]*>", "", body_of(mail.html or ""))
    narrator.check(
        "EMAIL: the text, and beside it the same as HTML",
        came=(
            mail.text,
            " ".join(unescape(words).split()),
            [part in (mail.html or "") for part in ("<strong>weekly report</strong>", "R&amp;D")],
            link in (mail.html or ""),
        ),
        expected=(
            f"{text}\n\nfrom {AGENT}",
            (
                "Hello John, the weekly report of R&D is ready: 42 tickets closed "
                f"report {context.user_id} from {AGENT}"
            ),
            [True, True],
            True,
        ),
        log=log,
    )
    told = {
        "request_id": context.sent["request_id"],
        "session_id": f"session-{context.user_id}",
        "user_id": context.user_id,
        "subject": SUBJECT,
        "content": text,
        "agent_id": AGENT,
    }
    narrator.check(
        "WEBHOOK: the message as JSON",
        came=json.loads(request.body)["data"],
        expected={"delivery_id": ids["WEBHOOK"], **told},
        log=log,
    )
    narrator.check(
        "WEBHOOK: its signature verifies with the user's secret",
        came=signature_fault(request, secret),
        expected=None,
        log=log,
    )
    narrator.check(
        "SMS: one text message",
        came=received.texts,
        expected=[f"{SUBJECT}\n{text}"],
        log=log,
    )
    for name, messages in (("TEST", received.test), ("CLI", received.cli)):
        # The address of a mailbox names its user already.
        item = {key: value for key, value in told.items() if key != "user_id"}
        item |= {"delivery_id": ids[name], "integration_type": name}
        narrator.check(
            f"{name}: one message in the mailbox, by agent and session",
            came=[{key: one.get(key) for key in item} for one in messages],
            expected=[item],
            log=log,
        )
    narrator.check(
        "TOOL: one event reached the tool that a rule subscribed",
        came=[one["detail"] for one in received.events],
        expected=[{"delivery_id": ids["TOOL"], "tool_id": TOOL_ID, **told}],
        log=log,
    )


def check_history(context: DemoContext) -> None:
    """Show the seven in the history."""
    context.narrator.shows(f"GET {context.user}/deliveries?request_id={context.sent['request_id']}")
    deliveries = context.history()
    context.narrator.rows(
        ("integration", "status", "tries"),
        [
            (
                one["integration_type"],
                one["status"],
                f"{one['attempts']} of {one['max_attempts']}",
            )
            for one in deliveries
        ],
    )
    context.narrator.check(
        "the history shows seven successes",
        came=[one["status"] for one in deliveries],
        expected=["success"] * 7,
        log=log_of(WORKER),
    )
