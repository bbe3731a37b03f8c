"""Marked secrets go through every path of the service and are found nowhere but encrypted."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import socket
import threading
from contextlib import contextmanager, suppress
from functools import partial

import boto3
import pytest

from channels import webhook
from channels.guard import Guard
from dispatcher import wiring
from dispatcher.settings import settings
from tests.canary import Canary
from tests.functions.service import QUEUES, TABLES, sample

HEADER = Canary("header", 'cAnArY-header "8f3a\\0c<d>&+/=end')
QUERY = Canary("query", "cAnArY~query!8f3a%2F0c$d+e=end")
CONTENT = Canary("content", 'cAnArY content "8f3a\\0c<d>&+/=end')
ADDRESS = Canary("address", "canary.address.8f3a0cd@example.com")
NOT_LOGGED = (HEADER, QUERY, CONTENT, ADDRESS)


class Echo:
    """A receiver on loopback that responds by a script and repeats its input."""

    def __init__(self):
        self.script = []
        self.got = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            with line, suppress(OSError):
                line.settimeout(2)
                told = self._heard(line)
                self.got.append(told)
                step = self.script.pop(0) if self.script else 204
                if step == "silence":
                    self._stop.wait(1)
                elif isinstance(step, bytes):
                    line.sendall(step + told)
                elif step != "close":
                    lines = (f"HTTP/1.1 {step} {QUERY.text}", f"Location: /?{QUERY.text}")
                    extra = f"Retry-After: {HEADER.text}\r\nContent-Length: {len(told)}\r\n\r\n"
                    line.sendall("\r\n".join([*lines, extra]).encode() + told)

    @staticmethod
    def _heard(line):
        told = line.recv(65536)
        # The first record of TLS gets no response.
        while told[:1] != b"\x16" and told:
            head, end, body = told.partition(b"\r\n\r\n")
            length = re.search(rb"Content-Length: ([0-9]+)", head)
            if end and len(body) >= int(length[1]):
                break
            told += line.recv(65536)
        return told

    def close(self):
        """Stop listening."""
        self._stop.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.fixture
def echo():
    """Return a receiver for one test."""
    echo = Echo()
    yield echo
    echo.close()


@contextmanager
def spied(session):
    """Keep the input and the output of every AWS call, by service and operation."""
    calls = []

    def keep(params, model, **_):
        calls.append((model.service_model.service_name, model.name, dict(params)))

    with session.listening(provide_client_params=keep):
        yield calls


@pytest.fixture
def told(service, session, monkeypatch, caplog, capfd):
    """All output of the functions: responses, calls to AWS, and lines in any log."""
    monkeypatch.setenv("WEBHOOK_ALLOWED_CIDRS", "127.0.0.0/8")
    monkeypatch.setenv("WEBHOOK_ALLOW_HTTP", "true")
    monkeypatch.setenv("POWERTOOLS_LOG_LEVEL", "DEBUG")
    for name in ("CLI", "TOOL"):
        monkeypatch.setenv(f"INTEGRATION_DEFAULTS_{name}_ENABLED", "true")
    monkeypatch.setattr(webhook, "Guard", partial(Guard, seconds=0.5))
    # Lambda's own level; library lines below it are never written.
    caplog.set_level(logging.WARNING)
    answers = []
    original = service.invoke

    def invoke(function, event):
        answer = original(function, event)
        answers.append((function, answer))
        return answer

    monkeypatch.setattr(service, "invoke", invoke)
    lines = io.StringIO()
    monkeypatch.setattr(wiring.logger().registered_handler, "stream", lines)
    with spied(session) as calls:
        yield Told(answers, calls, lambda: [lines.getvalue(), *capfd.readouterr(), caplog.text])


class Told:
    """The output that the test searches at its end."""

    def __init__(self, answers, calls, read_logs):
        self.answers, self.calls, self._read_logs = answers, calls, read_logs
        self._logs = []

    @property
    def logs(self):
        """All lines so far, of every log."""
        self._logs += self._read_logs()
        return [line for text in self._logs for line in text.splitlines()]


def stored():
    """Return all rows of both tables, raw."""
    dynamodb = boto3.client("dynamodb")
    return [dynamodb.scan(TableName=table)["Items"] for table in TABLES]


def found(canaries, thing):
    """Name the canaries that are in a thing."""
    return [one.name for one in canaries if one.is_in(thing)]


def url(echo, scheme="http", port=None):
    """Write the receiver's URL with its secret."""
    return f"{scheme}://127.0.0.1:{port or echo.port}/hook?token={QUERY.text}&x=1"


def ask(service, function, body=None, user_id="john.doe", **parts):
    """Call a route for one user, in place of the sample event's user."""
    return service.ask(function, body, user_id=user_id, **parts)


def created(service, echo, **settings):
    """Create the override whose secrets are looked for; return the canary of its signature."""
    config = {"url": url(echo), "headers": {"X-Api-Key": HEADER.text}}
    body = {"integration_type": "WEBHOOK", "priority": 1, "config": config, **settings}
    status, answer = ask(service, "create_override", body)
    assert status == 201
    return signing(answer)


def signing(answer):
    """Make a canary of an issued secret: its text, and the key within."""
    secret = answer["signing_secret"]
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return Canary("signing", secret.removeprefix("whsec_"), key)


def message(number, **changes):
    """Return the body of a send that holds the other canaries."""
    return {
        "request_id": f"r{number}",
        "content": f"$greeting {CONTENT.text}",
        "subject": "Hello $greeting",
        "template_variables": {"greeting": CONTENT.text},
        "recipient": {"email": ADDRESS.text},
        "integration_types": ["WEBHOOK", "TEST", "CLI", "TOOL"],
        **changes,
    }


def hold_to_the_rule(told, secrets):
    """Search everything: KMS may see secrets, and the response that issues one; that is all."""
    everywhere = [
        (f"{service}:{operation}", params)
        for service, operation, params in told.calls
        if (service, operation) != ("kms", "Encrypt")
    ]
    answers = [
        (function, answer)
        for function, answer in told.answers
        if function not in {"create_override", "rotate_secret"}
        or answer["statusCode"] not in {200, 201}
    ]
    rung = [
        params
        for service, operation, params in told.calls
        if (service, operation) == ("sqs", "SendMessage")
        and not params["QueueUrl"].endswith("ParkedQueue")
    ]
    hits = [(where, found(secrets, thing)) for where, thing in [*everywhere, *answers]]
    assert [hit for hit in hits if hit[1]] == []
    assert found(secrets, stored()) == []
    assert [line for line in told.logs if found([*secrets, *NOT_LOGGED], line)] == []
    assert found([*secrets, *NOT_LOGGED], rung) == []
    assert told.logs
    # The search can find: KMS was given the secrets, and the tables hold the content.
    to_kms = [params["Plaintext"] for _, operation, params in told.calls if operation == "Encrypt"]
    assert found([HEADER, QUERY], to_kms) == ["header", "query"]


def test_reading_and_changing(service, told, echo):
    """Created, read in three ways, changed with the placeholder, rotated and deleted."""
    secret = created(service, echo)
    _, shown = ask(service, "get_override", integration_type="WEBHOOK")
    ask(service, "list_overrides")
    ask(service, "get_effective_configuration")
    kept = {**shown["config"], "method": "PUT"}

    status, changed = ask(service, "update_override", {"config": kept}, integration_type="WEBHOOK")
    again = signing(ask(service, "rotate_secret", integration_type="WEBHOOK")[1])
    ask(service, "test_integration", integration_type="WEBHOOK")
    service.deliver()

    [got] = echo.got
    assert (status, changed["config"]) == (200, kept)
    assert shown["config"] == {
        "url": f"http://127.0.0.1:{echo.port}/hook?token=***&x=***",
        "headers": {"X-Api-Key": "***"},
    }
    assert got.startswith(f"PUT /hook?token={QUERY.text}&x=1 HTTP/1.1\r\n".encode())
    assert f"\r\nX-Api-Key: {HEADER.text}\r\n".encode() in got
    hold_to_the_rule(told, [HEADER, QUERY, secret, again])
    ask(service, "delete_override", integration_type="WEBHOOK")
    assert stored()[0] == []


FAILURES = [
    *(500, 503, 408, 429, 301, 302, 304, 400, 404, 418, 103, 99),
    *("close", "silence", b"", b"HTTP/1.1 2xx ", b"HTTP/1.1 200 OK\r\nbroken "),
    b"HTTP/1.1 200\r\nX:",
]  # fmt: skip


def test_every_way_to_fail(service, told, echo):
    """Statuses, cut lines, silence and nonsense, each repeating the secrets: none is kept."""
    secret = created(service, echo, retry_count=0)
    for number, step in enumerate(FAILURES):
        echo.script.append(step)
        status, _ = ask(service, "send_message", message(number))
        assert status == 202
        service.deliver()
    _, page = ask(service, "list_deliveries", query={"limit": ["200"]})
    for one in page["deliveries"]:
        ask(service, "get_delivery", delivery_id=one["delivery_id"])

    codes = {one["error_code"] for one in page["deliveries"]}
    assert len(echo.got) == len(FAILURES)
    assert {"timeout", "invalid_answer", "connection_failed", "http_302", "http_500"} <= codes
    hold_to_the_rule(told, [HEADER, QUERY, secret])


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("http://127.0.0.1:9", "connection_failed"),
        ("https://127.0.0.1:{port}", "tls_failed"),
        ("https://nowhere.invalid:443", "dns_failed"),
        ("https://inner.example.com", "blocked_address"),
    ],
)
def test_receivers_that_cannot_be_reached(service, told, echo, monkeypatch, target, code):
    """Nothing listens, no TLS, no such name, an inner address: the reason names the host alone."""
    answers = {"nowhere.invalid": None, "inner.example.com": "169.254.169.254"}

    def look_up(host, port, **_):
        if answers[host] is None:
            raise socket.gaierror(socket.EAI_NONAME, f"no {host} {QUERY.text}")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers[host], port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    secret = created(service, echo, retry_count=0)
    config = {
        "url": f"{target.format(port=echo.port)}/?token={QUERY.text}",
        "headers": {"X-Api-Key": HEADER.text},
    }
    assert ask(service, "update_override", {"config": config}, integration_type="WEBHOOK")[0] == 200

    ask(service, "send_message", message(1, integration_types=["WEBHOOK"]))
    service.deliver()

    _, page = ask(service, "list_deliveries")
    assert [one["error_code"] for one in page["deliveries"]] == [code]
    hold_to_the_rule(told, [HEADER, QUERY, secret])


def test_retries_dead_letters_and_redrives(service, told, echo, time_machine):
    """A final failure, its dead letter, its redrive, and a new round by the API."""
    echo.script += [500, 500, 500]
    secret = created(service, echo, retry_count=0)
    ask(service, "send_message", message(1))
    service.deliver()
    [dead_letter] = service.messages("DeadLetterQueue")
    _, page = ask(service, "list_deliveries", query={"status": ["failed"]})
    [failed] = page["deliveries"]

    service.deliver(dead_letter)
    service.deliver(*service.messages("RetryQueue"))
    ask(service, "retry_delivery", delivery_id=failed["delivery_id"])
    service.deliver(*service.messages("RetryQueue"))
    service.invoke("sweep_deliveries", sample("sweep_deliveries"))
    ask(service, "cancel_delivery", delivery_id=failed["delivery_id"])

    _, shown = ask(service, "get_delivery", delivery_id=failed["delivery_id"])
    assert [one["round"] for one in shown["attempt_log"]] == [1, 2, 3]
    hold_to_the_rule(told, [HEADER, QUERY, secret])


def test_a_receiver_that_is_gone(service, told, echo):
    """A 410 disables the override; its row is written again, and its secrets stay sealed."""
    echo.script.append(410)
    secret = created(service, echo)
    ask(service, "send_message", message(1))

    service.deliver()

    _, shown = ask(service, "get_effective_configuration")
    assert shown["disabled_integrations"]["WEBHOOK"] == "disabled_by_receiver"
    hold_to_the_rule(told, [HEADER, QUERY, secret])


def refused_bodies(echo):
    """Yield bodies that are refused although, or because, they hold the secrets."""
    good = {"url": url(echo), "headers": {"X-Api-Key": HEADER.text}}
    yield '{"integration_type": "WEBHOOK", "config": {"url": "' + QUERY.text
    yield '{"a": 1, "a": "' + QUERY.text + '"}'
    for config in (
        {**good, "url": url(echo) + " "},
        {**good, "url": url(echo).replace("hook?", f"{QUERY.text}#")},
        {**good, "url": f"http://user:{QUERY.text}@127.0.0.1/"},
        {**good, "headers": {"X-Api-Key": HEADER.text + "\n"}},
        {**good, "headers": {"X-Api-Key": HEADER.text + "\x00"}},
        {**good, "headers": {"Host": HEADER.text}},
        {**good, "headers": {"X-Api-Key": [HEADER.text]}},
        {**good, "headers": {"A": HEADER.text, "a": HEADER.text}},
        {**good, "headers": HEADER.text},
        {**good, "method": HEADER.text},
        {**good, "include_agent_info": HEADER.text},
        {**good, "nothing": HEADER.text},
        {**good, "url": None},
        {**good, "headers": {"X-Api-Key": HEADER.text * 200}},
        {**good, "url": url(echo) + QUERY.text * 100},
    ):
        yield json.dumps({"integration_type": "WEBHOOK", "config": config})
    yield json.dumps({"integration_type": HEADER.text, "config": good})
    yield json.dumps({"integration_type": "WEBHOOK", "enabled": HEADER.text, "config": good})
    yield json.dumps({"integration_type": "WEBHOOK", "priority": HEADER.text, "config": good})


def test_what_is_refused_is_not_repeated(service, told, echo):
    """A refusal names the place and the rule, never the value; nothing of it is logged."""
    secret = created(service, echo)
    for body in refused_bodies(echo):
        status, _ = ask(service, "create_override", body)
        assert status in {400, 422}, body
        status, _ = ask(service, "update_override", body, integration_type="WEBHOOK")
        assert status in {400, 422}, body
    for name, value in (("email", HEADER.text), ("phone_number", HEADER.text)):
        status, _ = ask(service, "send_message", message(1, recipient={name: value}))
        assert status == 422

    hold_to_the_rule(told, [HEADER, QUERY, secret])


def test_what_nobody_can_read_is_parked_without_secrets(service, told, echo):
    """Invalid doorbells and events: the log names the reason, not the text."""
    secret = created(service, echo)
    event = sample("accept_events")
    [record, *_] = event["Records"]
    broken = {**json.loads(record["body"]), "detail": {"content": CONTENT.text, "user_id": "?"}}
    texts = [json.dumps(broken), CONTENT.text, json.dumps({"content": [ADDRESS.text]})]
    records = [{**record, "messageId": f"m{n}", "body": text} for n, text in enumerate(texts)]

    service.invoke("accept_events", {"Records": records})
    service.deliver(CONTENT.text, '{"v":1,"kind":"' + ADDRESS.text + '"}')

    assert len(service.messages("ParkedQueue")) == 5
    hold_to_the_rule(told, [HEADER, QUERY, secret])


def test_a_key_that_is_gone(service, told, echo, monkeypatch):
    """A secret that cannot be sealed is neither stored nor returned."""
    secret = created(service, echo)
    monkeypatch.setenv("KEY_ARN", "arn:aws:kms:eu-central-1:123456789012:key/00000000-gone")
    for read in (settings, wiring.configurations, wiring._vault):
        read.cache_clear()
    config = {"url": url(echo), "headers": {"X-Api-Key": HEADER.text}}
    body = {"integration_type": "WEBHOOK", "config": config}

    create, _ = ask(service, "create_override", body, user_id="other")
    update, _ = ask(service, "update_override", {"config": config}, integration_type="WEBHOOK")

    assert (create, update) == (503, 503)
    hold_to_the_rule(told, [HEADER, QUERY, secret])


def test_secrets_that_are_damaged(service, told, echo):
    """A secret that cannot be opened fails its delivery, and only by a word; nothing is sent."""
    secret = created(service, echo, retry_count=0)
    dynamodb = boto3.client("dynamodb")
    [row] = dynamodb.scan(TableName="OverridesTable")["Items"]
    dynamodb.put_item(TableName="OverridesTable", Item=damaged(row))

    ask(service, "send_message", message(1, integration_types=["WEBHOOK"]))
    service.deliver()
    ask(service, "update_override", {"config": {}}, integration_type="WEBHOOK")

    assert echo.got == []
    hold_to_the_rule(told, [HEADER, QUERY, secret])


def damaged(value):
    """Return a row with other bytes in place of all that is sealed."""
    if isinstance(value, bytes):
        return b"damaged" * 20
    if isinstance(value, dict):
        return {name: damaged(one) for name, one in value.items()}
    return [damaged(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("user_id", ["john.doe", "somebody.else"])
def test_what_is_sealed_opens_for_its_user_and_type_alone(service, told, echo, user_id):
    """A row that was copied to another user, or to another type, is no way to the secrets."""
    secret = created(service, echo)
    ask(
        service,
        "create_override",
        {"integration_type": "WEBHOOK", "config": {"url": url(echo)}},
        user_id="somebody.else",
    )
    dynamodb = boto3.client("dynamodb")
    rows = {row["user_id"]["S"]: row for row in dynamodb.scan(TableName="OverridesTable")["Items"]}
    kms = boto3.client("kms")
    [sealed] = [one for one in blobs(rows["john.doe"]) if len(one) > 50]
    context = {"user_id": user_id, "integration_type": "SLACK"}
    if user_id == "somebody.else":
        context["integration_type"] = "WEBHOOK"

    with pytest.raises(kms.exceptions.InvalidCiphertextException):
        kms.decrypt(CiphertextBlob=sealed, EncryptionContext=context)
    right = {"user_id": "john.doe", "integration_type": "WEBHOOK"}
    opened = kms.decrypt(CiphertextBlob=sealed, EncryptionContext=right)["Plaintext"]

    assert found([HEADER, QUERY, secret], opened) == ["header", "query", "signing"]


def blobs(value):
    """Return every binary value of a row."""
    if isinstance(value, bytes):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [one for part in inner for one in blobs(part)]


def test_a_copied_row_sends_nothing(service, told, echo):
    """A writer of the table cannot make the worker use another user's secrets."""
    secret = created(service, echo)
    dynamodb = boto3.client("dynamodb")
    [row] = dynamodb.scan(TableName="OverridesTable")["Items"]
    dynamodb.put_item(TableName="OverridesTable", Item={**row, "user_id": {"S": "thief"}})

    ask(service, "send_message", message(1, integration_types=["WEBHOOK"]), user_id="thief")
    service.deliver()

    assert echo.got == []
    hold_to_the_rule(told, [HEADER, QUERY, secret])


@pytest.mark.parametrize("place", ["channels.guard.Guard.send", "channels.webhook.outcome"])
def test_a_fault_of_ours_that_quotes_everything(service, told, echo, monkeypatch, place):
    """An exception whose text holds the secrets is logged by its name and place alone."""

    def broken(*_arguments, **_options):
        raise RuntimeError(f"{HEADER.text} {QUERY.text} {CONTENT.text}")

    secret = created(service, echo, retry_count=0)
    monkeypatch.setattr(place, broken)
    ask(service, "send_message", message(1))

    service.deliver()

    assert any("RuntimeError" in line for line in told.logs)
    hold_to_the_rule(told, [HEADER, QUERY, secret])


def test_all_queues_are_looked_at(told, service, echo):
    """The test's own list of queues is the template's, so that none is forgotten."""
    created(service, echo)
    ask(service, "send_message", message(1))
    service.deliver("nothing", *service.messages("DeliveryQueue"))

    sent_to = {
        params["QueueUrl"].rpartition("/")[2]
        for _, operation, params in told.calls
        if operation.startswith("SendMessage")
    }
    assert sent_to == {"DeliveryQueue", "ParkedQueue"}
    assert sent_to < set(QUEUES)
