"""The functions as Lambda calls them, over an AWS in memory that is what the template declares."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.core.botocore_stubber import BotocoreStubber
from moto.kms import models as moto_kms
from moto.sqs.models import SQSBackend

from dispatcher import wiring
from dispatcher.access.policy import ADMIN, READ, SEND, Caller
from dispatcher.delivery.doorbells import decode
from dispatcher.edges.routes import PAGES, ROUTES
from tests.catalogues import switched_off
from tests.contract import breaches
from tests.declared import create_table, functions, template, variables
from tests.log_events import own_fields, require_declared, writers
from tests.template.rights import granted_to

EVENTS = Path(__file__).parents[2] / "events"
QUEUES = (
    *("DeliveryQueue", "RetryQueue", "DeadLetterQueue"),
    *("IntakeQueue", "FeedbackQueue", "ParkedQueue"),
)
TABLES = ("OverridesTable", "DeliveriesTable")
ROUTED = {route.function for route in ROUTES}
PAGED = {route.function for route in PAGES}
PATH_PARAMETERS = {
    *("user_id", "category", "integration_type", "delivery_id", "request_id", "message_id"),
    "suppression_id",
    "token",
}


OPERATOR = Caller("key:operator", "", frozenset({ADMIN}))
"""The default caller of tests, who may do everything."""

KEY = "disp_aKeyThatStandsInTheSampleOfTheAuthorizer000"

LINK_KEY = "aKeyThatSignedTheTokensInTheSamplesOfPages"


class Context:
    """The context that Lambda passes to a function."""

    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"

    def get_remaining_time_in_millis(self):
        """Return as much time as a worker has."""
        return 120_000


class Like:
    """Equals every text that matches a pattern, for IDs and times."""

    def __init__(self, pattern):
        self.pattern = pattern

    def __eq__(self, other):
        """Compare as a text does."""
        return isinstance(other, str) and re.fullmatch(self.pattern, other) is not None

    def __hash__(self):
        """Go by the pattern."""
        return hash(self.pattern)

    def __repr__(self):
        """Show the pattern where an assertion fails."""
        return f"<like {self.pattern}>"


DELIVERY_ID = Like(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = Like(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")


def sample(function):
    """Return the function's event in ``events``."""
    return json.loads((EVENTS / f"{function}.json").read_text())


def asked_by(caller, event):
    """Return an event with what the authorizer says of the caller."""
    context = {**event["requestContext"], "authorizer": caller.as_context()}
    return {**event, "requestContext": context}


@dataclass
class Service:
    """The functions over an AWS in memory."""

    called: list[tuple[str, str]]
    """The rights that the last invocation made use of."""
    used: dict[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))
    """The same of all invocations, by function."""
    lines: list[logging.LogRecord] = field(default_factory=list)
    """The lines that the last invocation logged."""
    written: set[tuple[str, str]] = field(default_factory=set)
    """Event and function of all lines so far."""

    def log(self, record: logging.LogRecord) -> bool:
        """Keep a line, and let it pass."""
        self.lines.append(record)
        return True

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """Call a handler as Lambda would; fail if it did what its function may not."""
        self.called.clear()
        self.lines.clear()
        handler = import_module(f"functions.{function}.app").handler
        try:
            answer = handler(event, Context())
        finally:
            self.used[function] |= set(self.called)
            for line in self.lines:
                require_declared(line.msg, own_fields(line))
                self.written.add((line.msg, function))
                assert function in writers(line.msg), f"{function} wrote {line.msg}"
        json.dumps(answer)
        assert set(self.called) - granted_to(function) == set(), function
        if function in ROUTED | PAGED:
            assert answer["body"] == "" or answer["body"].endswith("\n")
        if function in ROUTED:
            told = answer["statusCode"], answer["headers"], answer["body"]
            wrong = [*breaches(function, *told)]
            assert not wrong, wrong
        return answer

    def ask(self, function: str, body: Any = None, **parts: Any) -> tuple[int, Any]:
        """Send the sample event with other parts; return status and body read as JSON."""
        answer = self.response(function, body, **parts)
        return answer["statusCode"], json.loads(answer["body"]) if answer["body"] else None

    def response(self, function: str, body: Any = None, **parts: Any) -> dict[str, Any]:
        """Send the sample event with other parts; return the response as it is."""
        event = asked_by(parts.pop("caller", OPERATOR), sample(function))
        for name in set(parts) & PATH_PARAMETERS:
            event["pathParameters"][name] = parts.pop(name)
        if "query" in parts:
            event["multiValueQueryStringParameters"] = parts.pop("query")
        event["multiValueHeaders"].update(parts.pop("headers", {}))
        if body is not None:
            event["body"] = body if isinstance(body, str) else json.dumps(body)
        assert not parts
        return self.invoke(function, event)

    def messages(self, queue: str) -> list[str]:
        """Take all messages of a queue that can be seen now."""
        sqs = boto3.client("sqs")
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        taken = []
        while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            entries = [
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                for number, message in enumerate(found)
            ]
            sqs.delete_message_batch(QueueUrl=url, Entries=entries)
            taken += [message["Body"] for message in found]
        return taken

    def waiting(self, queue: str) -> int:
        """Count the messages of a queue without taking them, which costs a second for hundreds."""
        sqs = boto3.client("sqs")
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def doorbells(self, queue: str) -> list[Any]:
        """Take all doorbells of a queue."""
        return [decode(body) for body in self.messages(queue)]

    def deliver(self, *bodies: str, queue: str = "DeliveryQueue") -> Any:
        """Call the worker with these messages; with none, with those of the queue."""
        return self.invoke("deliver_messages", batch(queue, *bodies or self.messages(queue)))


def reports(*events):
    """Return an SQS event with the reports of providers."""
    return batch("FeedbackQueue", *map(json.dumps, events))


def batch(queue, *bodies):
    """Return an SQS event."""
    record = sample("deliver_messages")["Records"][0]
    return {
        "Records": [
            {**record, "messageId": f"m-{number}", "body": body, "eventSourceARN": f"::{queue}"}
            for number, body in enumerate(bodies)
        ]
    }


class Session(boto3.Session):
    """A session for all tests, which writes down what is called.

    It makes each client once: the five of a service take longer than most tests.
    """

    def __init__(self):
        super().__init__(
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            region_name="eu-central-1",
        )
        self.called = []
        self._clients = {}
        self.events.register("provide-client-params", self._note)

    def client(self, service, config=None):
        """Return the client of a service with this configuration."""
        key = service, repr(config and vars(config))
        if key not in self._clients:
            self._clients[key] = super().client(service, config=config)
        return self._clients[key]

    @contextmanager
    def listening(self, **listeners):
        """Call functions on botocore's events (`before_call` is `before-call`) during the block."""
        for event, listener in listeners.items():
            self.events.register(event.replace("_", "-"), listener)
        # A client knows the listeners of the time when it was made.
        clients, self._clients = self._clients, {}
        yield
        self._clients = clients
        for event, listener in listeners.items():
            self.events.unregister(event.replace("_", "-"), listener)

    def _note(self, params, model, **_):
        self.called.extend(needed_rights(params, model))


one_key = cache(moto_kms.generate_private_key)
"""Moto makes an RSA key for each KMS key, also for those that only encrypt: 0.1 s."""


def is_retained(backend, queue, message):
    """Return whether a message can still be received.

    Moto computes all attributes of the queue for it, three times for each message.
    """
    seconds = backend.get_queue(queue).message_retention_period
    return time.time() < message.sent_timestamp / 1000 + seconds


@contextmanager
def running(session):
    """Deploy the service into an AWS that lasts as long as the block."""
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(BotocoreStubber, "__call__", one_by_one(BotocoreStubber.__call__))
        patch.setattr(moto_kms, "generate_private_key", one_key)
        patch.setattr(SQSBackend, "is_message_valid_based_on_retention_period", is_retained)
        patch.setattr(boto3, "DEFAULT_SESSION", session)
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        for name, value in environment(made_resources()).items():
            patch.setenv(name, value)
        wiring.reset()
        service = Service(session.called)
        log = logging.getLogger("integration-dispatcher")
        log.addFilter(service.log)
        yield service
        log.removeFilter(service.log)
        wiring.reset()


def one_by_one(call):
    """Let calls in one at a time: moto's tables do not bear the worker's threads side by side."""
    turn = threading.RLock()

    def in_turn(*arguments, **options):
        with turn:
            return call(*arguments, **options)

    return in_turn


def made_resources():
    """Create the resources under their logical IDs; return the value of ``!Ref`` for each."""
    dynamodb, sqs, kms, events = map(boto3.client, ("dynamodb", "sqs", "kms", "events"))
    fingerprint = hashlib.sha256(KEY.encode()).hexdigest()
    entry = {"sha256": fingerprint, "scopes": [READ, SEND], "user": "john.doe"}
    boto3.client("secretsmanager").create_secret(
        Name="ApiKeysSecret", SecretString=json.dumps({"ticketing": entry})
    )
    boto3.client("secretsmanager").create_secret(Name="stack-links", SecretString=LINK_KEY)
    for table in TABLES:
        create_table(dynamodb, table)
    key = kms.create_key()["KeyMetadata"]["Arn"]
    urls = {queue: sqs.create_queue(QueueName=queue)["QueueUrl"] for queue in QUEUES}
    events.create_event_bus(Name="ToolBus")
    return {**{table: table for table in TABLES}, **urls, "ToolBus": "ToolBus", "Key.Arn": key}


@cache
def declarations():
    """Return the template, read once: that takes longer than most tests."""
    return template()


def environment(resources):
    """Return the functions' variables; all parameters except the stage have their defaults."""
    declared = declarations()
    parameters = {name: str(one.get("Default")) for name, one in declared["Parameters"].items()}
    known = {
        **parameters,
        **resources,
        "Stage": "local",
        "ApiKeysSecret": "ApiKeysSecret",
        "AWS::StackName": "stack",
    }
    # All functions are called in this one process: it has what any of them has.
    of_all = {name: value for one in functions() for name, value in variables(one).items()}
    filled_in = {name: filled(known, value) for name, value in of_all.items()}
    # Only TEST is enabled, so that a message has one delivery; other tests enable more.
    return {**filled_in, **switched_off(filled_in, but="TEST")}


def filled(known, value):
    """Return a variable's value; a parameter that may be empty is."""
    match value:
        case {"Fn::If": [_, {"Ref": name}, ""]}:
            return known[name]
        case {"Fn::If": [_, _, {"Fn::Sub": text}]}:
            return re.sub(r"\$\{[^}]+\}", "x", text)
        case dict():
            return known[next(iter(value.values()))]
    return value


BEYOND_TABLES_AND_QUEUES = {
    "cloudwatch": ("cloudwatch", lambda _: "*"),
    "events": ("events", lambda params: params.get("Entries", [{}])[0].get("EventBusName")),
    "secretsmanager": ("secretsmanager", lambda params: secret_named(params.get("SecretId"))),
    "sesv2": ("ses", lambda _: "*"),
    # A phone number has no ARN, so it is outside of what the statement excepts.
    "sns": ("sns", lambda params: params.get("TopicArn", "not arn:*:sns:*:*:*")),
}
"""How rights are written for the calls of channels: the prefix, and the resource by parameters."""


def secret_named(name):
    """Return how a right names a secret: the stack's own by its logical ID."""
    return "LinksSecret.Id" if name == "stack-links" else f"secret:{name}-??????"


def needed_rights(params, model):
    """Name the rights that a call takes: a batch read takes one on each of its tables."""
    service, operation = model.service_model.service_name, model.name
    if operation == "BatchGetItem":
        for table in params["RequestItems"]:
            yield "dynamodb:BatchGetItem", table
        return
    if service in BEYOND_TABLES_AND_QUEUES:
        prefix, resource_of = BEYOND_TABLES_AND_QUEUES[service]
        yield f"{prefix}:{operation}", resource_of(params)
        return
    resource = params.get("TableName") or params.get("QueueUrl", "Key").rpartition("/")[2]
    if "IndexName" in params:
        resource += f"/index/{params['IndexName']}"
    yield f"{service}:{operation}", resource
