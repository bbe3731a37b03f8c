"""The webhook channel from message to outcome, against real receivers."""

from __future__ import annotations

import json
import math
import re
import socket
import ssl
import struct
import time
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
import standardwebhooks
import trustme

from channels import webhook
from channels.guard import Guard, Response
from channels.webhook import Webhook, outcome, retry_after
from dispatcher import VERSION
from dispatcher.delivery.outcomes import Delivered, Permanent, Retry
from dispatcher.delivery.ports import Message
from dispatcher.errors import BrokenSettingError
from dispatcher.integrations.egress import EgressPolicy
from dispatcher.integrations.integration import Address

CASES = json.loads((Path(__file__).parents[2] / "data" / "bad_inputs.json").read_text())["cases"]
HOST = "hook.example.org"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PREVIOUS = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
ID = "01890a5d-ac96-774b-bcce-b302099a8057"
NOW = 1_700_000_010.9
DATA = {
    "delivery_id": ID,
    "request_id": "r1",
    "session_id": None,
    "user_id": "jane",
    "subject": "Grüße",
    "content": "Hello\n<b>",
}


def message(url, **changes):
    """Make a message to a URL."""
    config = {"url": url, **changes.pop("config", {})}
    base = Message(
        delivery_id=ID,
        request_id="r1",
        session_id=None,
        agent_id="agent-7",
        user_id="jane",
        integration_type="WEBHOOK",
        subject="Grüße",
        content="Hello\n<b>",
        config=config,
        secrets={"signing_secret": SECRET},
        address=Address("url", url),
        round=1,
        attempt=1,
        accepted_at=1_700_000_000.123,
        attempted_at=NOW,
    )
    return replace(base, **changes)


def at(receiver, target="/h"):
    """Write the URL of a receiver under the test's host name."""
    return f"https://{HOST}:{receiver.port}{target}"


def answering(status, *lines):
    """Write a response whose body repeats a secret."""
    head = "\r\n".join([f"HTTP/1.1 {status} X", *lines, "Content-Length: 6"])
    return f"{head}\r\n\r\nt0ken!".encode()


def test_sends_what_the_documentation_says(receive, guard):
    """The request is JSON of the message, signed, with the user's headers and ours."""
    receiver = receive()
    config = {"method": "PUT", "headers": {"Authorization": "Bearer x"}}

    result = Webhook(guard()).deliver(message(at(receiver, "/h?q=1"), config=config))

    assert result == Delivered({"status": 200})
    ((line, headers, body),) = receiver.requests
    signature = headers.pop("webhook-signature")
    assert (line, headers) == (
        "PUT /h?q=1 HTTP/1.1",
        {
            "Host": f"{HOST}:{receiver.port}",
            "Accept-Encoding": "identity",
            "Content-Length": str(len(body)),
            "User-Agent": f"integration-dispatcher/{VERSION}",
            "Authorization": "Bearer x",
            "Content-Type": "application/json",
            "webhook-id": ID,
            "webhook-timestamp": "1700000010",
        },
    )
    event = {
        "type": "integration.message",
        "timestamp": "2023-11-14T22:13:20.123Z",
        "data": {**DATA, "agent_id": "agent-7"},
    }
    assert body == json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    assert re.fullmatch(r"v1,[A-Za-z0-9+/]{43}=", signature)


@pytest.mark.parametrize("secret", [SECRET, PREVIOUS])
def test_a_receivers_library_verifies_it(secret, receive, guard):
    """During a rotation a receiver with either secret verifies the message."""
    receiver = receive()
    now = time.time()
    secrets = {
        "signing_secret": SECRET,
        "previous_signing_secret": PREVIOUS,
        "previous_valid_until": now + 60,
    }

    Webhook(guard()).deliver(message(at(receiver), secrets=secrets, attempted_at=now))

    ((_, headers, body),) = receiver.requests
    event = standardwebhooks.Webhook(secret).verify(body, headers)
    assert event["data"]["delivery_id"] == ID


def test_a_retry_repeats_the_bytes(receive, guard):
    """On a retry only the time of the attempt and the signature differ."""
    receiver = receive()
    channel = Webhook(guard())
    first = message(at(receiver))
    again = replace(first, attempt=2, attempted_at=NOW + 60)

    results = [channel.deliver(one) for one in (first, again)]

    (_, headers, body), (_, later, repeated) = receiver.requests
    changed = {name for name in headers if headers[name] != later[name]}
    assert results == [Delivered({"status": 200})] * 2
    assert (body, changed) == (repeated, {"webhook-timestamp", "webhook-signature"})


@pytest.mark.parametrize(
    ("config", "agent_id", "data"),
    [
        ({}, None, {**DATA, "agent_id": None}),
        ({"include_agent_info": True}, "a", {**DATA, "agent_id": "a"}),
        ({"include_agent_info": False}, "a", DATA),
    ],
)
def test_agent_info(config, agent_id, data):
    """The agent is named unless the user does not want it."""
    one = message("https://hook.example.org/", config=config, agent_id=agent_id)

    body = json.loads(webhook.body(one))

    assert body["data"] == data


# ---------------------------------------------------------------- the corpus of responses


def silent(_line, stop):
    """Never respond."""
    stop.wait(10)


def drip(head):
    """Send a head, then byte after byte."""

    def answer(line, stop):
        line.sendall(head)
        while not stop.wait(0.05):
            line.sendall(b"x")

    return answer


def flood(line, _stop):
    """Send 200 MiB."""
    line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 209715200\r\n\r\n")
    for _ in range(200):
        line.sendall(bytes(1024 * 1024))


def reset(line, _stop):
    """Cut the line after the request."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # TLS would send a closing message.
    socket.socket(fileno=line.detach()).close()


SCRIPTS = {
    "accept, never answer": silent,
    "1 body byte every 0.5 s": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"),
    "200 MiB body": flood,
    "2000 x 100 Continue": b"HTTP/1.1 100 Continue\r\n\r\n" * 2000 + answering(200),
    "70 kB header line": b"HTTP/1.1 200 OK\r\nX-A: " + b"x" * 70_000 + b"\r\n\r\n",
    "garbage bytes": b"\x16\x03\x01 garbage\r\n\r\n",
    "RST after the request is read": reset,
}


SUPERSEDED = {"1 body byte every 0.5 s": "success", "70 kB header line": "success"}
"""Cases whose expectation the contract has changed: a complete head decides, whatever its size and
whatever becomes of the body."""


def script(text):
    """Make what the corpus describes."""
    if text in SCRIPTS or "certificate" in text or "TLS" in text:
        return SCRIPTS.get(text, answering(200))
    status, _, header = text.removeprefix("status ").partition(" ")
    return answering(status, *([header] if header else []))


@pytest.mark.parametrize(
    "case", [c for c in CASES if c["kind"] == "webhook_response"], ids=lambda c: c["id"]
)
def test_corpus_of_answers(case, receive, guard, tls):
    """Every kind of response leads to the outcome that the corpus expects."""
    context = tls(expired="expired" in case["input"])
    if "TLS 1.0" in case["input"]:
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="deprecated"):
            context.maximum_version = ssl.TLSVersion.TLSv1
    receiver = receive(script(case["input"]), context)
    expected = SUPERSEDED.get(case["input"], case["expect"])
    timeout = "timeout" in expected

    result = Webhook(guard(seconds=0.5 if timeout else 8.0)).deliver(message(at(receiver)))

    if timeout:
        assert result == Retry("timeout", f"{HOST} did not respond within 0.5 s")
    elif expected in {"bounded", "success", "success, <=16 KiB read"}:
        assert isinstance(result, Delivered)
    elif "terminal" in expected:
        assert isinstance(result, Permanent)
    elif "retryable" in expected or "next" in expected:
        assert isinstance(result, Retry)
    else:
        assert (expected, type(result)) == ("attempt_failed", Permanent)
    assert "t0ken" not in str(result)


# ---------------------------------------------------------------- outcomes


@pytest.mark.parametrize(
    ("status", "expect"),
    [
        (200, Delivered({"status": 200})),
        (299, Delivered({"status": 299})),
        (103, Retry("invalid_answer", "h returned 103, which is not a final response")),
        (408, Retry("http_408", "h returned 408")),
        (409, Retry("http_409", "h returned 409")),
        (425, Retry("http_425", "h returned 425")),
        (429, Retry("http_429", "h returned 429")),
        (500, Retry("http_500", "h returned 500")),
        (599, Retry("http_599", "h returned 599")),
        (
            301,
            Permanent("http_301", "h returned 301: redirects are not followed, set the final URL"),
        ),
        (400, Permanent("http_400", "h returned 400")),
        (404, Permanent("http_404", "h returned 404")),
        (410, Permanent("http_410", "h returned 410", gone=True)),
        (600, Permanent("http_600", "h returned 600")),
    ],
)
def test_outcome_of_a_status(status, expect):
    """2xx is delivered, what may pass is retried, 410 asks to disable, the rest is final."""
    answer = Response(status, None)

    result = outcome(answer, "h", NOW)

    assert result == expect


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("999999", 999999.0),
        ("-1", None),
        ("1.5", None),
        ("1e9", None),
        ("\u0661", None),
        ("9" * 16, 1e16),
        ("9" * 5000, math.inf),
        ("0" * 20 + "60", 60.0),
        ("5, 10", None),
        ("soon", None),
        ("", None),
        ("Tue, 14 Nov 2023 22:15:10 GMT", 100.0),
        ("Tuesday, 14-Nov-23 22:15:10 GMT", 100.0),
        ("Tue Nov 14 22:15:10 2023", 100.0),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 0.0),
        ("Tue, 14 Nov 0000 99:99:99 GMT", None),
        ("Tue, 14 Nov 99999999 22:13:00 GMT", None),
    ],
)
def test_retry_after(value, seconds):
    """Seconds and dates in all three forms are wishes, dates relative to the attempt."""
    now = 1_700_000_010.0

    wish = retry_after(value, now)

    assert wish == seconds


def test_retry_after_reaches_the_outcome(receive, guard):
    """A receiver's wish is handed on."""
    receiver = receive(answering(503, "Retry-After: 7"))

    result = Webhook(guard()).deliver(message(at(receiver)))

    assert result == Retry("http_503", f"{HOST} returned 503", after=7.0)


def test_a_blocked_address_is_final(receive, guard, connects):
    """A name that stands for an inner address is refused once and for all, and nothing is sent."""
    receiver = receive()
    channel = Webhook(guard(["169.254.169.254"]))

    result = channel.deliver(message(at(receiver, "/?token=t0ken")))

    detail = f"{HOST} resolves to an address that is not public"
    assert (result, connects) == (Permanent("blocked_address", detail), [])


def test_a_name_that_does_not_resolve_is_retried(guard):
    """DNS may know the name later."""
    channel = Webhook(guard([]))

    result = channel.deliver(message(f"https://{HOST}/?token=t0ken"))

    assert result == Retry("dns_failed", f"{HOST} could not be resolved")


@pytest.mark.parametrize(
    ("url", "config", "detail"),
    [
        (
            "https://10.0.0.1/?token=t0ken",
            {},
            (
                "it names the address 10.0.0.1, which is not public: "
                "an operator can open its network with WebhookAllowedCidrs"
            ),
        ),
        (
            f"https://{HOST}/",
            {"headers": {"Host": "t0ken"}},
            "it holds 'Host', which this service or the network sets: choose another name",
        ),
        (f"https://{HOST}/", {"method": "GET"}, "it must be one of POST, PUT, PATCH"),
    ],
)
def test_checks_again_before_sending(url, config, detail, guard, connects):
    """A stored config is checked by the current rules, which may be stricter than before."""
    channel = Webhook(guard(egress=EgressPolicy()))

    result = channel.deliver(message(url, config=config))

    expect = Permanent("invalid_config", f"the stored config cannot be used: {detail}")
    assert (result, connects) == (expect, [])


def test_nothing_is_sent_unsigned(guard, connects):
    """Without a signing secret there is no request."""
    channel = Webhook(guard())

    result = channel.deliver(message(f"https://{HOST}/", secrets={}))

    detail = "no signing secret is stored: create one with rotate-secret"
    assert (result, connects) == (Permanent("no_signing_secret", detail), [])


def test_a_certificate_that_nobody_signed(receive, guard, tls):
    """A TLS failure is retried, its reason named, and the request is never seen."""
    receiver = receive(answering(200), tls(signer=trustme.CA()))

    result = Webhook(guard()).deliver(message(at(receiver)))

    reason = "unable to get local issuer certificate"
    detail = f"the certificate of {HOST} is not valid: {reason}"
    assert (result, receiver.requests) == (Retry("tls_failed", detail), [])


def test_built_from_the_environment():
    """Operators' options reach the guard; everything else is fixed."""
    environ = {"WEBHOOK_ALLOWED_CIDRS": "10.0.0.0/8", "WEBHOOK_ALLOW_HTTP": "true"}

    built = webhook.channel(environ, lambda service: pytest.fail(f"asked for {service}"))

    assert built == Webhook(Guard(egress=EgressPolicy((ip_network("10.0.0.0/8"),), http=True)))


def test_broken_options_build_nothing():
    """An option that cannot be read stops the worker instead of opening or closing anything."""
    environ = {"WEBHOOK_ALLOWED_CIDRS": "everything"}

    with pytest.raises(BrokenSettingError) as broken:
        webhook.channel(environ, lambda _service: None)

    assert broken.value.variable == "WEBHOOK_ALLOWED_CIDRS"
