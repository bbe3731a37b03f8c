"""Every way in which a receiver may accept a message, each with exactly one request.

An accepted message that counts as undelivered is sent again: the receiver gets it twice.
"""

from __future__ import annotations

import math
import socket
import struct
import time
import tracemalloc
from dataclasses import replace
from urllib.request import Request

import pytest

from channels import slack
from channels.email import channel
from channels.slack_web import LARGEST_BODY
from channels.smtp import LARGEST_REPLY
from channels.webhook import Webhook
from dispatcher import http_client, response_head
from dispatcher.deadline import Deadline
from dispatcher.delivery.outcomes import Delivered, Permanent, Retry
from dispatcher.http_client import send
from dispatcher.integrations.egress import permitted
from dispatcher.integrations.integration import Address
from dispatcher.response_head import LARGEST_HEAD
from tests.adapters.channels.conftest import LOOPBACK
from tests.adapters.channels.contract import message_for
from tests.fake_servers.scripted_smtp_server import ACCEPTANCE, ScriptedSmtpServer, endless
from tests.fake_servers.slack_server import TOKEN

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HOST = "hook.example.org"


def deliver(guard, receiver, scheme="http"):
    """Deliver a message to a receiver through the channel."""
    url = f"{scheme}://{HOST}:{receiver.port}/h"
    message = message_for(
        "WEBHOOK", Address("url", url), config={"url": url}, secrets={"signing_secret": SECRET}
    )
    return Webhook(guard).deliver(message)


def then(*parts, pause=0.0):
    """Send parts one after the other; ``None`` waits for the end of the test."""

    def answer(line, stop):
        for part in parts:
            if part is None:
                stop.wait(10)
            else:
                line.sendall(part)
                if stop.wait(pause):
                    return

    return answer


def then_reset(head):
    """Send a head, and reset the connection once it was read: a reset may overtake unread data."""

    def answer(line, stop):
        line.sendall(head)
        stop.wait(0.1)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return answer


def repeat(part, head=b""):
    """Send a head, then one part until the client hangs up."""

    def answer(line, stop):
        line.sendall(head)
        while not stop.is_set():
            line.sendall(part)

    return answer


OK = b"HTTP/1.1 200 OK\r\n"
END = b"\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked" + END
LARGE = b"x" * 8 * 1024 * 1024
"""More than the buffers of two sockets hold."""
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload" + END
CONTINUE = b"HTTP/1.1 100 Continue" + END

YES = {
    "200": (OK + b"Content-Length: 2" + END + b"ok", 200),
    "201 with a location": (b"HTTP/1.1 201 C\r\nLocation: /1\r\nContent-Length: 0" + END, 201),
    "202": (b"HTTP/1.1 202 Accepted\r\nContent-Length: 0" + END, 202),
    "203": (b"HTTP/1.1 203 N\r\nContent-Length: 0" + END, 203),
    "204": (b"HTTP/1.1 204 No Content" + END, 204),
    "205": (b"HTTP/1.1 205 Reset Content" + END, 205),
    "206": (b"HTTP/1.1 206 P\r\nContent-Length: 2" + END + b"ok", 206),
    "207": (b"HTTP/1.1 207 Multi-Status\r\nContent-Length: 0" + END, 207),
    "unknown 2xx": (b"HTTP/1.1 299 Fine\r\nContent-Length: 0" + END, 299),
    "100, then 200": (CONTINUE + OK + b"Content-Length: 0" + END, 200),
    "102, then 200": (b"HTTP/1.1 102 Processing" + END + OK + b"Content-Length: 0" + END, 200),
    "103, then 200": (EARLY + OK + b"Content-Length: 0" + END, 200),
    "103 and 100, then 204": (EARLY + CONTINUE + EARLY + b"HTTP/1.1 204 N" + END, 204),
    "unknown 1xx, then 200": (b"HTTP/1.1 199 Soon" + END + OK + b"Content-Length: 0" + END, 200),
    "1xx in parts": (then(EARLY[:9], EARLY[9:], OK, END[2:], pause=0.02), 200),
    "a byte at a time": (
        then(*(bytes((byte,)) for byte in OK + b"Content-Length: 0" + END), pause=0.002),
        200,
    ),
    "HTTP/1.0": (b"HTTP/1.0 200 OK" + END + b"ok", 200),
    "an empty line first": (b"\r\n" + OK + b"Content-Length: 0" + END, 200),
    "100 with an empty line too many": (CONTINUE + b"\r\n" + OK + END[2:], 200),
    "a later HTTP/1": (b"HTTP/1.2 200 OK\r\nContent-Length: 0" + END, 200),
    "closed without a length": (OK + b"Connection: close" + END + b"ok", 200),
    "no reason": (b"HTTP/1.1 200 \r\nContent-Length: 0" + END, 200),
    "no reason and no space": (b"HTTP/1.1 200\r\nContent-Length: 0" + END, 200),
    "a reason that is not ASCII": ("HTTP/1.1 200 Größe ✓\r\n\r\n".encode(), 200),
    "a reason of 80 KiB": (b"HTTP/1.1 200 " + b"x" * 80_000 + END, 200),
    "lower-case names": (OK + b"content-length: 2\r\nconnection: close" + END + b"ok", 200),
    "folded field": (OK + b"X-A: b\r\n  c\r\n\td\r\nContent-Length: 0" + END, 200),
    "bare line feeds": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200),
    "no header fields": (b"HTTP/1.1 200 OK" + END, 200),
    "101 header fields": (OK + b"X-A: b\r\n" * 101 + b"Content-Length: 0" + END, 200),
    "5,000 header fields": (OK + b"X-A: b\r\n" * 5000 + b"Content-Length: 0" + END, 200),
    "a header field of 100 KiB": (OK + b"X-A: " + b"b" * 102_400 + END, 200),
    "header fields beyond the limit": (OK + b"X-A: b\r\n" * (LARGEST_HEAD // 7) + END, 200),
    "endless header fields": (repeat(b"X-A: b\r\n" * 100, OK), 200),
    "an endless header field": (repeat(b"b" * 1000, OK + b"X-A: "), 200),
    "an endless folded field": (repeat(b" b\r\n" * 100, OK + b"X-A: b\r\n"), 200),
    "a field without a colon": (OK + b"nonsense\r\nContent-Length: 0" + END, 200),
    "a field that is not ASCII": (OK + "X-A: ä✓\r\n\r\n".encode(), 200),
    "two lengths": (OK + b"Content-Length: 1\r\nContent-Length: 2" + END + b"ok", 200),
    "a negative length": (OK + b"Content-Length: -1" + END, 200),
    "a length of 5,000 digits": (OK + b"Content-Length: " + b"9" * 5000 + END, 200),
    "length and chunks": (
        OK + b"Content-Length: 9\r\nTransfer-Encoding: chunked" + END + b"0" + END, 200,
    ),
    "chunks": (CHUNKED + b"2\r\nok\r\n0" + END, 200),
    "chunks with trailers": (CHUNKED + b"2;a=b\r\nok\r\n0\r\nX-A: b" + END, 200),
    "endless trailers": (repeat(b"X-A: b\r\n" * 100, CHUNKED + b"0\r\n"), 200),
    "endless chunks": (repeat(b"2\r\nok\r\n", CHUNKED), 200),
    "a broken chunk": (CHUNKED + b"zz\r\n", 200),
    "an unknown transfer coding": (OK + b"Transfer-Encoding: zip" + END + b"x", 200),
    "an unknown content coding": (OK + b"Content-Encoding: x" + END + b"x", 200),
    "a body that breaks off": (OK + b"Content-Length: 9" + END + b"short", 200),
    "a body that never comes": (then(OK + b"Content-Length: 9" + END, None), 200),
    "a body that drips": (
        then(OK + b"Content-Length: 99" + END, *[b"x"] * 99, pause=0.05), 200,
    ),
    "a body without a length, and an open line": (then(OK[:-2] + END, None), 200),
    "an event stream": (then(OK + b"Content-Type: text/event-stream" + END, b":\n", None), 200),
    "reset after the head": (then_reset(OK + b"Content-Length: 9" + END), 200),
    "a second response": (OK + b"Content-Length: 0" + END + b"HTTP/1.1 500 X" + END, 200),
    "Alt-Svc, Set-Cookie, Refresh": (
        OK + b"Alt-Svc: h2\r\nSet-Cookie: a=b\r\nRefresh: 0; url=/x" + END, 200,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "status"), YES.values(), ids=YES)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_webhook_is_accepted_by_one_request(scheme, answer, status, receive, guard):
    """A final 2xx status with a complete header block is a success, whatever follows it."""
    receiver = receive(answer, "trusted" if scheme == "https" else None)
    began = time.monotonic()

    outcome = deliver(guard(), receiver, scheme)

    assert outcome == Delivered({"status": status})
    assert len(receiver.requests) == 1
    assert time.monotonic() - began < 4


EARLY_YES = {
    "closed": then(OK + END[2:], pause=0.2),
    "reset": then_reset(OK + END[2:]),
    "not read": then(OK + END[2:], None),
}


@pytest.mark.parametrize("answer", EARLY_YES.values(), ids=EARLY_YES)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_request_that_is_not_read_whole_is_accepted(scheme, answer, receive, guard):
    """A receiver may respond before it has read the body, and hang up or read no further."""
    receiver = receive(answer, "trusted" if scheme == "https" else None, reads_body=False)
    url = permitted(f"{scheme}://{HOST}:{receiver.port}/h", LOOPBACK)

    response = guard(seconds=2.0).send(url, "POST", {}, LARGE)

    assert (response.status, len(receiver.requests)) == (200, 1)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x" + END, Retry),
        (EARLY, Retry),
        (OK + b"X-A: b\r\n", Retry),
        (b"HTTP/1.1 2", Retry),
        (b"HTTP/1.1 302 F\r\nLocation: /x" + END, Permanent),
        (EARLY + b"HTTP/1.1 410 Gone" + END, Permanent),
        (EARLY + b"HTTP/1.1 503 S\r\nRetry-After: 7" + END, Retry),
        (repeat(b"X-A: b\r\n" * 100, b"HTTP/1.1 404 N\r\n"), Permanent),
    ],
)
def test_what_is_no_acceptance(answer, expected, receive, guard):
    """An interim response alone, 101 and an incomplete header block accept nothing."""
    receiver = receive(answer, None)

    outcome = deliver(guard(), receiver)

    assert (type(outcome), len(receiver.requests)) == (expected, 1)


@pytest.mark.parametrize(
    ("value", "after"),
    [
        (b"7", 7),
        (b" 7 ", 7),
        (b"\r\n 7", 7),
        (b"9" * 400, math.inf),
        (b"1e400", None),
        (b"NaN", None),
    ],
)
@pytest.mark.parametrize("name", [b"Retry-After", b"retry-after", b"RETRY-AFTER"])
def test_the_wish_of_a_receiver_is_read(name, value, after, receive, guard):
    """``Retry-After`` is found in any case and folded; digits of any number are a number."""
    receiver = receive(EARLY + b"HTTP/1.1 429 T\r\n" + name + b":" + value + END, None)

    assert deliver(guard(), receiver).after == after


ENDLESS = pytest.mark.parametrize(
    "answer",
    [
        repeat(b"HTTP/1.1 100 C\r\n" * 100),
        repeat(CONTINUE * 100),
        repeat(EARLY * 100),
        repeat(b"X-A: b\r\n" * 100, CHUNKED + b"0\r\n"),
        repeat(b"X-A: b\r\n" * 100, OK),
        repeat(b" b\r\n" * 100, OK + b"X: y\r\n"),
        repeat(b"\r\n" * 100, CHUNKED),
        repeat(b"x" * 1000),
        repeat(b"\r\n" * 100),
    ],
    ids=["100 lines", "100", "103", "trailers", "headers", "folds", "empty", "no line", "no head"],
)


SMALL = LARGEST_HEAD // 8


@pytest.fixture
def small_bound(monkeypatch):
    """An eighth of the bound: to trace the memory of a whole one takes up to ten seconds."""
    for module in (response_head, http_client):
        monkeypatch.setattr(module, "LARGEST_HEAD", SMALL)


@ENDLESS
@pytest.mark.usefixtures("small_bound")
def test_an_endless_response_costs_little(answer, receive, guard):
    """The bytes of a response are counted at the socket; above the bound the line is cut."""
    receiver = receive(answer, None)

    outcome = cheaply(lambda: deliver(guard(), receiver))

    assert type(outcome) in {Delivered, Retry}


def cheaply(attempt):
    """Return the outcome of an attempt, which must not keep what an endless response sends."""
    tracemalloc.start()
    outcome = attempt()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 * SMALL
    return outcome


# Slack --------------------------------------------------------------------------------------------

GENERAL = "C024BE91L"
POSTED = b'{"ok": true, "channel": "C024BE91L", "ts": "1.2"}'
IDS = {"channel": GENERAL, "ts": "1.2"}
SIZED = b"Content-Length: %d" % len(POSTED) + END + POSTED
CHUNK = b"%x\r\n" % len(POSTED) + POSTED + b"\r\n0\r\n"
LONG = OK + END[2:] + b'{"ok":true,"message":"'

SLACK_YES = {
    "200": (OK + SIZED, IDS),
    "201": (b"HTTP/1.1 201 C\r\n" + SIZED, IDS),
    "HTTP/1.0": (b"HTTP/1.0 200 OK" + END + POSTED, IDS),
    "100, then 200": (CONTINUE + OK + SIZED, IDS),
    "100 with an empty line too many": (CONTINUE + b"\r\n" + OK + SIZED, IDS),
    "102, then 200": (b"HTTP/1.1 102 Processing" + END + OK + SIZED, IDS),
    "103, then 200": (EARLY + OK + SIZED, IDS),
    "103 and 100, then 200": (EARLY + CONTINUE + EARLY + OK + SIZED, IDS),
    "1xx in parts": (then(EARLY[:9], EARLY[9:], OK, SIZED, pause=0.02), IDS),
    "a byte at a time": (
        then(*(bytes((byte,)) for byte in OK + SIZED), pause=0.002), IDS,
    ),
    "no reason": (b"HTTP/1.1 200\r\n" + SIZED, IDS),
    "a reason of 80 KiB": (b"HTTP/1.1 200 " + b"x" * 80_000 + b"\r\n" + SIZED, IDS),
    "folded field": (OK + b"X-A: b\r\n  c\r\n\td\r\n" + SIZED, IDS),
    "bare line feeds": (b"HTTP/1.1 200 OK\nX-A: b\n\n" + POSTED, IDS),
    "101 header fields": (OK + b"X-A: b\r\n" * 101 + SIZED, IDS),
    "5,000 header fields": (OK + b"X-A: b\r\n" * 5000 + SIZED, IDS),
    "a header field of 100 KiB": (OK + b"X-A: " + b"b" * 102_400 + b"\r\n" + SIZED, IDS),
    "a field without a colon": (OK + b"nonsense\r\n" + SIZED, IDS),
    "a negative length": (OK + b"Content-Length: -1" + END + POSTED, IDS),
    "a length of 5,000 digits": (OK + b"Content-Length: " + b"9" * 5000 + END + POSTED, IDS),
    "a length that is too large": (OK + b"Content-Length: 999" + END + POSTED, IDS),
    "reset after the body": (then_reset(OK + b"Content-Length: 999" + END + POSTED), IDS),
    "chunks": (CHUNKED + CHUNK + b"\r\n", IDS),
    "chunks, no end": (CHUNKED + CHUNK[:-3], IDS),
    "a broken last chunk": (CHUNKED + CHUNK[:-3] + b"zz\r\n", IDS),
    "length and chunks": (OK + b"Content-Length: 9\r\n" + CHUNKED[len(OK) :] + CHUNK, IDS),
    "small chunks with long extensions": (
        CHUNKED + b"".join(b"1;%s\r\n%c\r\n" % (b"x" * 9000, each) for each in POSTED) + b"0" + END,
        IDS,
    ),
    "an extension of 100 KiB": (CHUNKED + CHUNK[:2] + b";" + b"x" * 102_400 + CHUNK[2:], IDS),
    "chunks with trailers": (CHUNKED + CHUNK + b"X-A: b" + END, IDS),
    "endless trailers": (repeat(b"X-A: b\r\n" * 100, CHUNKED + CHUNK), IDS),
    "an endless trailer": (repeat(b"b" * 1000, CHUNKED + CHUNK + b"X-A: "), IDS),
    "trailers that never come": (then(CHUNKED + CHUNK, None), IDS),
    "a body without a length, and an open line": (then(OK + END[2:] + POSTED, None), IDS),
    "a length that is too large, and an open line": (
        then(OK + b"Content-Length: 999" + END + POSTED, None), IDS,
    ),
    "a second response": (OK + SIZED + b"HTTP/1.1 500 X" + END, IDS),
    "a verdict, cut off": (then_reset(LONG), {}),
    "a verdict, and an open line": (then(LONG, None), {}),
    "a verdict, and a body without an end": (repeat(b"x" * 1000, LONG), {}),
    "a verdict, and a body beyond the limit": (LONG + b"x" * LARGEST_BODY + b'"}', {}),
    "a verdict, not in UTF-8": (LONG + b'\xff"}', {}),
}  # fmt: skip


@pytest.fixture
def post(receive, aws):
    """Post a message through the channel to a server that sends this response."""
    aws("secretsmanager").create_secret(Name="slack", SecretString=TOKEN)

    def deliver_to(answer):
        receiver = receive(answer, None)
        environ = {
            "SLACK_BOT_TOKEN_SECRET": "slack",
            "SLACK_API_URL": f"http://127.0.0.1:{receiver.port}/api/",
            "DELIVERIES_TABLE": "t",
        }
        channel = replace(slack.channel(environ, aws), seconds=2.0)
        outcome = channel.deliver(message_for("SLACK", Address("channel", GENERAL)))
        return outcome, [first for first, *_ in receiver.requests]

    return deliver_to


@pytest.mark.parametrize("answer", [EARLY_YES["closed"], EARLY_YES["reset"]])
def test_a_response_to_a_request_that_is_not_read_whole_is_read(answer, receive):
    """A server may respond before it has read the body: the status says why."""
    receiver = receive(answer, None, reads_body=False)
    request = Request(f"http://127.0.0.1:{receiver.port}/", LARGE)

    assert send(request, Deadline(2.0, time.monotonic), largest=100).status == 200


ONE_POST = ["POST /api/chat.postMessage HTTP/1.1"]


@pytest.mark.parametrize(("answer", "ids"), SLACK_YES.values(), ids=SLACK_YES)
def test_a_post_is_accepted_by_one_request(answer, ids, post):
    """A 2xx status with ``"ok": true`` is a success, however the response is framed."""
    outcome, requests = post(answer)

    assert (outcome, requests) == (Delivered(ids), ONE_POST)


@pytest.mark.parametrize(
    ("answer", "code", "after"),
    [
        (EARLY, "connection_failed", None),
        (OK + b"X-A: b\r\n", "connection_failed", None),
        (b"HTTP/1.1 2", "connection_failed", None),
        (b"SMTP", "connection_failed", None),
        (then(EARLY, None), "timeout", None),
        (then(OK + END[2:] + b'{"ok"', None), "timeout", None),
        (OK + END[2:] + b'{"ok": tru', "invalid_answer", None),
        (OK + END[2:] + b'{"okay": true}', "invalid_answer", None),
        (CHUNKED + b"zz\r\n", "invalid_answer", None),
        (EARLY + b"HTTP/1.1 503 S\r\nRetry-After: 7" + END, "http_503", 7),
        (EARLY + b"HTTP/1.1 503 S\r\n" + SIZED, "http_503", None),
        (EARLY + b"HTTP/1.1 429 T\r\nretry-after:\r\n 7" + END + b"{}", "http_429", 7),
        (OK + END[2:] + b'{"ok": false, "error": "internal_error"}', "internal_error", None),
    ],
)
def test_what_is_no_acceptance_of_a_post(answer, code, after, post):
    """Without a 2xx status and ``"ok": true`` the message is sent again."""
    outcome, requests = post(answer)

    assert (type(outcome), outcome.code, outcome.after) == (Retry, code, after)
    assert requests == ONE_POST


@ENDLESS
@pytest.mark.usefixtures("small_bound")
def test_an_endless_response_to_a_post_costs_little(answer, post):
    """The bytes of Slack's response are counted too."""
    outcome, requests = cheaply(lambda: post(answer))

    assert (type(outcome), requests) == (Retry, ONE_POST)


# SMTP ---------------------------------------------------------------------------------------------

ADA = Address("email", "ada@example.com")


def hang_up(reply, *, rudely=False):
    """Send a reply and close the connection."""

    def say(line):
        line.sendall(reply)
        if rudely:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        line.shutdown(socket.SHUT_RDWR)

    return say


def dripping(reply):
    """Send a reply one byte after the other."""

    def say(line):
        for byte in reply:
            line.sendall(bytes((byte,)))
            time.sleep(0.005)

    return say


SMTP_YES = {
    "250": {},
    **{f"{code} after the dot": {ACCEPTANCE: b"%d OK\r\n" % code}
       for code in (200, 211, 214, 220, 221, 235, 240, 251, 252, 253, 299)},
    "250 without text": {ACCEPTANCE: b"250\r\n"},
    "250 and a space": {ACCEPTANCE: b"250 \r\n"},
    "250 and a bare line feed": {ACCEPTANCE: b"250 OK\n"},
    "250 not in ASCII": {ACCEPTANCE: "250 Danke schön ✓\r\n".encode()},
    "250 in Latin-1": {ACCEPTANCE: "250 schön\r\n".encode("latin-1")},
    "250 in many lines": {ACCEPTANCE: b"250-2.0.0 OK\r\n" * 500 + b"250 queued\r\n"},
    "250 in a line of 9 KiB": {ACCEPTANCE: b"250 " + b"x" * 9000 + b"\r\n"},
    "250 beyond the limit": {ACCEPTANCE: b"250 " + b"x" * LARGEST_REPLY + b"\r\n"},
    "250 in endless lines": {ACCEPTANCE: endless(b"250-OK\r\n" * 100)},
    "250 in an endless line": {ACCEPTANCE: endless(b"250 " + b"x" * 1000)},
    "250 that breaks off": {ACCEPTANCE: hang_up(b"250-queued\r\n")},
    "250 without an end": {ACCEPTANCE: hang_up(b"250 OK")},
    "250 in drips": {ACCEPTANCE: dripping(b"250-2.0.0 OK\r\n250 2.0.0 queued\r\n")},
    "250 that looks like a refusal": {ACCEPTANCE: b"250 550 5.7.1 rejected\r\n"},
    "250, then the line is closed": {ACCEPTANCE: hang_up(b"250 OK\r\n")},
    "250, then the line is reset": {ACCEPTANCE: hang_up(b"250 OK\r\n", rudely=True)},
    "250, then 421": {ACCEPTANCE: b"250 OK\r\n421 4.3.0 too busy\r\n"},
    "QUIT is refused": {"QUIT": b"500 what\r\n"},
    "QUIT gets nonsense": {"QUIT": b"\xff\x00\r\n"},
    "QUIT gets nothing": {"QUIT": b""},
    "QUIT gets endless lines": {"QUIT": endless(b"221-bye\r\n")},
    "greeting in many lines": {"GREETING": b"220-mail.local\r\n220-no spam\r\n220 ready\r\n"},
    "greeting without text": {"GREETING": b"220\r\n"},
    "HELO alone": {"EHLO": b"502 unknown\r\n"},
    "extensions": {"EHLO": b"250-mail.local\r\n250-SIZE 9999999\r\n250-X-\xfc\r\n250 8BITMIME\r\n"},
    "AUTH offered, none asked": {"EHLO": b"250-mail.local\r\n250 AUTH XOAUTH2\r\n"},
    "251 to the recipient": {"RCPT": b"251 will forward to <a@example.net>\r\n"},
    "252 to the recipient": {"RCPT": b"252 cannot verify\r\n"},
    "200 to the sender": {"MAIL": b"200-fine\r\n200 fine\r\n"},
    "354 in two lines": {"DATA": b"354-go\r\n354 on\r\n"},
    "354 without text": {"DATA": b"354\r\n"},
}  # fmt: skip


def mail(script, **changes):
    """Deliver one email to a server that follows a script."""
    with ScriptedSmtpServer(script) as server:
        environ = {
            "SMTP_HOST": server.host,
            "SMTP_PORT": str(server.port),
            "SMTP_TLS": "none",
            "EMAIL_SENDER": "news@example.org",
        }
        outcome = channel(environ, lambda _: pytest.fail("no AWS needed")).deliver(
            message_for("EMAIL", ADA, **changes)
        )
    return outcome, server


@pytest.mark.parametrize("script", SMTP_YES.values(), ids=SMTP_YES)
def test_a_mail_is_accepted_by_one_transaction(script):
    """A reply whose first digit is 2 after the final dot is a success (RFC 5321, 4.2)."""
    began = time.monotonic()

    outcome, server = mail(script)

    assert isinstance(outcome, Delivered)
    assert (len(server.mails), time.monotonic() - began < 3) == (1, True)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ({ACCEPTANCE: b"354 go on\r\n"}, Retry),
        ({ACCEPTANCE: b"450 250 OK\r\n"}, Retry),
        ({ACCEPTANCE: b"550 no\r\n"}, Permanent),
        ({ACCEPTANCE: b"550-" + b"x" * 2 * LARGEST_REPLY}, Permanent),
        ({ACCEPTANCE: b"25\r\n"}, Retry),
        ({ACCEPTANCE: hang_up(b"")}, Retry),
        ({"MAIL": endless(b"250-OK\r\n" * 100)}, Retry),
        ({"EHLO": endless(b"250-X\r\n" * 100)}, Retry),
        ({"GREETING": endless(b"220-X\r\n" * 100)}, Retry),
        ({"RCPT": endless(b"x" * 1000)}, Retry),
    ],
)
def test_what_is_no_acceptance_of_a_mail(script, expected):
    """Every other reply is what its first digit says, and endless replies end at their bound."""
    tracemalloc.start()
    began = time.monotonic()

    outcome, _ = mail(script)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert type(outcome) is expected
    assert (time.monotonic() - began < 3, peak < 100 * LARGEST_REPLY) == (True, True)
