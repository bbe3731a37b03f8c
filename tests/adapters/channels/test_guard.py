"""The guarded client against real receivers: what it connects to, what it sends, when it ends."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import ssl
import struct
import threading
import time
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import trustme

from channels import guard as guard_module
from channels.addresses import is_public
from channels.guard import BlockedError, NoResponseError, Response, look_up
from dispatcher.integrations.egress import EgressPolicy, parse, permitted

CASES = json.loads((Path(__file__).parents[2] / "data" / "bad_inputs.json").read_text())["cases"]
HOST = "hook.example.org"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
STRICT = EgressPolicy()


def cases(kind):
    """Return the corpus cases of one kind."""
    return [
        pytest.param(case["input"], case["expect"], id=case["id"])
        for case in CASES
        if case["kind"] == kind
    ]


def to(receiver, target="/h", scheme="https", host=HOST):
    """Write the URL of a receiver under the test's host name."""
    return parse(f"{scheme}://{host}:{receiver.port}{target}")


def send(guard, url, headers=None, body=b"{}"):
    """Send and name what came of it."""
    try:
        return guard.send(url, "POST", headers or {"User-Agent": "t"}, body).status
    except BlockedError:
        return "blocked"
    except NoResponseError as error:
        return error.code


def all_to(receiver, refused=()):
    """Make a ``dial`` that brings every address to one receiver and remembers which it was."""
    dialled = []

    def dial(address, _port, seconds):
        dialled.append(str(address))
        if str(address) in refused:
            raise ConnectionRefusedError
        return socket.create_connection(("127.0.0.1", receiver.port), seconds)

    return dial, dialled


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1"),
        *("168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1"),
        *("192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.255.255", "198.18.0.1"),
        *("198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255"),
        *("240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:93.184.216.34"),
        *("::ffff:0:127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1"),
        *("2001:2::1", "2001:20::1", "2001:db8::1", "2002:a9fe:a9fe::1", "3fff::1", "4000::1"),
        *("5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1"),
    ],
)
def test_denied_by_default(address):
    """An address that is not global unicast is not public."""
    one = ip_address(address)

    verdict = is_public(one)

    assert verdict is False


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "9.255.255.255", "11.0.0.0", "93.184.216.34", "100.63.255.255"),
        *("100.128.0.0", "168.63.129.15", "168.63.129.17", "172.15.255.255", "172.32.0.0"),
        *("192.0.1.0", "198.17.255.255", "198.20.0.0", "223.255.255.255"),
        *("2001:200::1", "2001:4860:4860::8888", "2600::1", "2a00:1450::1", "2003::1"),
    ],
)
def test_public_addresses(address):
    """The table ends where the special ranges end."""
    one = ip_address(address)

    verdict = is_public(one)

    assert verdict is True


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(("case", "expect"), cases("ssrf_dns"))
def test_corpus_of_names(case, expect, receive, guard, connects):
    """A name is resolved once; one blocked address rejects it before any socket connects."""
    receiver = receive()
    answers = [[one.removesuffix("<refused>") for one in answer] for answer in case["dns"]]
    refused = [one.removesuffix("<refused>") for one in case["dns"][0] if "<" in one]
    dial, dialled = all_to(receiver, refused)
    client = guard(*answers, egress=STRICT, dial=dial)

    result = send(client, permitted(case["url"], STRICT))

    first = answers[0]
    expected = {
        "allow": (200, first[:1]),
        "allow_pinned": (200, first[:1]),
        "allow_failover": (200, first),
        "reject_send": ("blocked", []),
        "retry": ("dns_failed", []),
    }[expect]
    assert (result, dialled) == expected
    assert client.resolve.asked == [(HOST, 443)]
    assert connects == [("127.0.0.1", receiver.port)] * (expect.startswith("allow"))


@pytest.mark.parametrize(
    "case", [c for c in CASES if c["kind"] == "ssrf_url"], ids=lambda c: c["id"]
)
def test_corpus_of_urls_connects_to_nothing_blocked(case, receive, guard, connects):
    """Even a URL that was never checked when it was written leads to no blocked address."""
    receiver = receive()
    dial, dialled = all_to(receiver)
    client = guard(["93.184.216.34"], egress=STRICT, dial=dial)

    try:
        send(client, permitted(case["input"], STRICT))
    except (ValueError, AttributeError):
        result = "reject_config"
    else:
        result = "allow"

    assert result == case["expect"]
    assert dialled == ["93.184.216.34"] * (result == "allow")
    assert connects == [("127.0.0.1", receiver.port)] * (result == "allow")


@pytest.mark.parametrize(
    ("url", "answers", "result"),
    [
        (f"https://{HOST}:9/", ["93.184.216.34", "10.0.0.1"], 200),
        (f"https://{HOST}:9/", ["93.184.216.34", "192.168.0.1"], "blocked"),
        (f"https://{HOST}:9/", ["10.0.0.1"], 200),
        (f"https://{HOST}:9/", ["fd00::1"], "blocked"),
        (f"https://{HOST}/", ["::ffff:10.0.0.1"], "blocked"),
        (f"https://{HOST}/", ["fe80::1%eth0"], "blocked"),
        (f"https://{HOST}/", ["2a00::1%1"], "blocked"),
        (f"https://{HOST}/", ["nonsense"], "blocked"),
        ("https://10.0.0.1:9/", [], "tls_failed"),
    ],
)
def test_opened_ranges(url, answers, result, receive, guard):
    """A name is reached only if all its addresses are public or in the operators' ranges."""
    dial, _ = all_to(receive())
    opened = EgressPolicy((ip_network("10.0.0.0/8"),))
    client = guard(answers, egress=opened, dial=dial)

    got = send(client, permitted(url, opened))

    assert got == result


@pytest.mark.parametrize(
    ("url", "answers", "result"),
    [
        (f"http://{HOST}/", ["93.184.216.34"], 200),
        (f"http://{HOST}:8080/", ["93.184.216.34", "10.0.0.1"], 200),
        (f"http://{HOST}:9/", ["10.0.0.1"], 200),
        (f"http://{HOST}:9/", ["93.184.216.34", "10.0.0.1"], "blocked"),
        (f"http://{HOST}:9/", ["93.184.216.34"], "blocked"),
        ("http://10.0.0.1:9/", [], 200),
    ],
)
def test_plain_http(url, answers, result, receive, guard):
    """Plain http is for 80 and 8080; any other port only within the operators' ranges."""
    dial, _ = all_to(receive(OK, None))
    opened = EgressPolicy((ip_network("10.0.0.0/8"),), http=True)
    client = guard(answers, egress=opened, dial=dial)

    got = send(client, permitted(url, opened))

    assert got == result


def test_a_name_that_moves_is_not_asked_again(receive, guard, connects):
    """Between two sends a name may move; the second look-up decides about the second send alone."""
    receiver = receive()
    client = guard(["127.0.0.1"], ["169.254.169.254"])

    results = [send(client, to(receiver)), send(client, to(receiver))]

    assert results == [200, "blocked"]
    assert connects == [("127.0.0.1", receiver.port)]


def test_dns_has_a_limit(guard, monkeypatch):
    """A resolver that hangs ends after its own limit, long before the attempt's."""
    monkeypatch.setattr(guard_module, "DNS_SECONDS", 0.1)
    release = threading.Event()
    client = guard(resolve=lambda _host, _port: release.wait(10) and [])
    started = time.monotonic()

    result = send(client, parse(f"https://{HOST}/"))

    release.set()
    assert (result, time.monotonic() - started < 2) == ("dns_failed", True)


def test_the_systems_resolver():
    """The system's resolver returns each address once."""
    host = "localhost"

    answers = look_up(host, 443)

    assert set(answers) <= {"127.0.0.1", "::1"}
    assert len(answers) == len(set(answers)) > 0


def test_a_local_receiver_by_name(receive, guard):
    """With loopback opened, the system's resolver and a plain socket reach a local receiver."""
    receiver = receive(OK, None)
    opened = EgressPolicy((ip_network("127.0.0.0/8"), ip_network("::1/128")), http=True)

    result = send(
        guard(egress=opened, resolve=look_up), to(receiver, scheme="http", host="localhost")
    )

    assert (result, receiver.requests[0][1]["Host"]) == (200, f"localhost:{receiver.port}")


def test_nobody_listens(guard):
    """A refused connection is reported without a response."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = guard()

    result = send(client, parse(f"https://{HOST}:{port}/"))

    assert result == "connection_failed"


# ---------------------------------------------------------------- what is sent


def test_sends_exactly_the_given_headers(receive, guard):
    """Beside the given headers there are Host and Content-Length; of the path only %XX changes."""
    receiver = receive()
    url = to(receiver, "//a/../b%2f?q=%7e")
    headers = {"User-Agent": "me", "Accept-Encoding": "identity", "X-A": "b\tc", "X-E": ""}

    answer = guard().send(url, "PATCH", headers, b"[1]")

    assert answer == Response(200, None)
    host = {"Host": f"{HOST}:{receiver.port}", "Content-Length": "3"}
    request = ("PATCH //a/../b%2F?q=%7E HTTP/1.1", {**host, **headers}, b"[1]")
    assert receiver.requests == [request]


def test_sni_and_certificate_keep_the_name(receive, guard, tls):
    """TLS asks for the name, not for the address that was connected to."""
    context, asked = tls(), []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    receiver = receive(OK, context)

    result = send(guard(), to(receiver))

    assert (result, asked) == (200, [HOST])


def test_an_address_as_host(receive, guard, tls):
    """A literal in the operators' ranges needs a certificate for that address, and no resolver."""
    receiver = receive(OK, tls("127.0.0.1"))
    client = guard([])

    result = send(client, to(receiver, host="127.0.0.1"))

    assert (result, client.resolve.asked) == (200, [])
    assert receiver.requests[0][1]["Host"] == f"127.0.0.1:{receiver.port}"


def test_an_ipv6_address_as_host(receive, guard):
    """An IPv6 literal has its brackets in Host."""
    receiver = receive(OK, None)
    dial, dialled = all_to(receiver)
    opened = EgressPolicy((ip_network("fd00::/8"),), http=True)

    result = send(guard(egress=opened, dial=dial), permitted("http://[fd00:0::1]:81/", opened))

    assert (result, dialled) == (200, ["fd00::1"])
    assert receiver.requests[0][1]["Host"] == "[fd00::1]:81"


@pytest.mark.parametrize(("case", "expect"), cases("ssrf_env"))
def test_corpus_of_environments(case, expect, receive, guard, monkeypatch, connects):
    """Nothing in the environment changes where a request goes or whom it trusts."""
    receiver = receive()
    for name, value in case["env"].items():
        monkeypatch.setenv(name, value)

    result = send(guard(), to(receiver))

    assert expect.endswith("_ignored")
    assert (result, connects) == (200, [("127.0.0.1", receiver.port)])


def test_no_proxy_netrc_or_ca_from_the_environment(
    receive, guard, monkeypatch, tmp_path, ca_file, connects
):
    """Proxies, .netrc and CA variables are for others; a CA named there is not trusted."""
    receiver, proxy = receive(), receive(OK, None)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {HOST} login evil password evil\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, ca_file)
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    guard_module._trust.cache_clear()

    trusted = send(guard(), to(receiver), {"Authorization": "Bearer mine"})
    untrusted = send(guard(ca_file=None), to(receiver))

    assert (trusted, untrusted) == (200, "tls_failed")
    assert [request[1]["Authorization"] for request in receiver.requests] == ["Bearer mine"]
    assert connects == [("127.0.0.1", receiver.port)] * 2
    assert (proxy.requests, (tmp_path / "keys").exists()) == ([], False)


@pytest.mark.parametrize(("case", "expect"), cases("ssrf_redirect"))
def test_corpus_of_redirects(case, expect, receive, guard, connects):
    """No Location and no Refresh is followed: one request, one connection."""
    hint = f"Location: {case['location']}" if "location" in case else f"Refresh: {case['refresh']}"
    head = f"HTTP/1.1 {case['status']} X\r\n{hint}\r\nContent-Length: 0\r\n\r\n"
    receiver = receive(head.encode())

    result = send(guard(), to(receiver))

    assert expect in {"not_followed", "success"}
    assert (result, len(receiver.requests)) == (case["status"], 1)
    assert connects == [("127.0.0.1", receiver.port)]


def test_no_connection_is_used_twice_and_no_cookie_comes_back(receive, guard):
    """Every send opens a new connection and sends no cookie of an earlier one."""
    receiver = receive(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b\r\n\r\n"))
    client = guard()

    results = [send(client, to(receiver)) for _ in range(2)]

    assert results == [200, 200]
    assert ["Cookie" in request[1] for request in receiver.requests] == [False, False]


def test_logs_no_url(receive, guard, caplog):
    """No library logs a URL with its query, at any level."""
    caplog.set_level(logging.DEBUG)
    receiver = receive(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nnonsense\r\n\r\n")

    result = send(guard(), to(receiver, "/?token=t0ken"))

    assert (result, caplog.text) == (200, "")


# ---------------------------------------------------------------- responses


def drip(data, pause=0.05):
    """Send one byte after the other."""

    def answer(line, stop):
        for byte in data:
            line.sendall(bytes((byte,)))
            if stop.wait(pause):
                return

    return answer


def silence(_line, stop):
    """Never respond."""
    stop.wait(10)


def flood(line, _stop):
    """Send 200 MiB."""
    line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 209715200\r\n\r\n")
    for _ in range(200):
        line.sendall(bytes(1024 * 1024))


def endless_continue(line, stop):
    """Send interim responses without end."""
    while not stop.is_set():
        line.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def reset(line, _stop):
    """Cut the line after the request."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def close(_line, _stop):
    """End the line after the request."""


HEAD = b"HTTP/1.1 200 OK\r\nX-A: "
BOMB = gzip.compress(bytes(20 * 1024 * 1024), 1)


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        pytest.param(silence, "timeout", id="silence"),
        pytest.param(drip(HEAD + b"x" * 999), "timeout", id="dripping head"),
        pytest.param(
            drip(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + b"x" * 999, 0.02),
            200,
            id="dripping body",
        ),
        pytest.param(endless_continue, "invalid_answer", id="endless 100 Continue"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 2000 + OK, 200, id="2000 x 100 Continue"),
        pytest.param(flood, 200, id="200 MiB body"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + BOMB, 200, id="gzip bomb"
        ),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", 204, id="no content"),
        pytest.param(b"HTTP/1.1 999 X\r\n\r\n", 999, id="status 999"),
        pytest.param(b"HTTP/1.1 1000 X\r\n\r\n", "invalid_answer", id="status 1000"),
        pytest.param(b"HTTP/1.1 103 X\r\n\r\n", "connection_failed", id="nothing after 103"),
        pytest.param(HEAD + b"x\r\n", "connection_failed", id="head breaks off"),
        pytest.param(b"\x00\xff garbage\r\n\r\n", "invalid_answer", id="garbage"),
        pytest.param(b"<html>hello</html>", "invalid_answer", id="HTTP/0.9"),
        pytest.param(close, "connection_failed", id="no answer"),
        pytest.param(reset, "connection_failed", id="reset"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", 200, id="body breaks off"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 200, id="bad chunk"
        ),
    ],
)
def test_answers(answer, result, receive, guard):
    """Every response ends within the time limit, with a status or an error code."""
    receiver = receive(answer, None)
    client = guard(seconds=0.5 if result == "timeout" else 8.0)
    started = time.monotonic()

    got = send(client, to(receiver, scheme="http"))

    assert (got, time.monotonic() - started < 3) == (result, True)


@pytest.mark.parametrize("answer", [silence, drip(HEAD + b"x" * 999)], ids=["silence", "drip"])
def test_the_watchdog_reaches_below_tls(answer, receive, guard):
    """TLS does not hide the connection from the watchdog."""
    receiver = receive(answer)
    started = time.monotonic()

    result = send(guard(seconds=0.5), to(receiver))

    assert (result, time.monotonic() - started < 2) == ("timeout", True)


def test_a_tls_handshake_that_hangs(guard):
    """A server that accepts the connection but stays silent is cut off in the handshake."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = parse(f"https://{HOST}:{listener.getsockname()[1]}/")
        started = time.monotonic()

        result = send(guard(seconds=0.3), url)

    assert (result, time.monotonic() - started < 2) == ("timeout", True)


def test_time_that_is_up_before_the_connection_stands(receive, guard):
    """A connection that comes too late is cut as soon as it is there."""
    receiver = receive(silence, None)
    late = threading.Event()

    def dial(_address, _port, seconds):
        late.wait(0.3)
        return socket.create_connection(("127.0.0.1", receiver.port), seconds)

    result = send(guard(seconds=0.1, dial=dial), to(receiver, scheme="http"))

    assert (result, receiver.requests) == ("timeout", [])


def test_a_head_cut_by_the_watchdog_is_no_success(receive, guard):
    """A head that the watchdog cut off is a timeout, even if it parses as 200."""
    receiver = receive(drip(HEAD + b"x" * 999, 0.01), None)

    with pytest.raises(NoResponseError) as ended:
        guard(seconds=0.3).send(to(receiver, scheme="http"), "POST", {}, b"")

    detail = f"{HOST} did not respond within 0.3 s"
    assert (ended.value.code, str(ended.value)) == ("timeout", detail)


def test_reads_little_of_a_large_body(receive, guard):
    """Of 200 MiB at most what the buffers hold leaves the receiver."""
    sent = []

    def answer(line, _stop):
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 209715200\r\n\r\n")
        while len(sent) < 200:
            line.sendall(bytes(1024 * 1024))
            sent.append(1)

    receiver = receive(answer, None)

    result = send(guard(), to(receiver, scheme="http"))

    receiver.close()
    assert (result, len(sent) < 20, len(receiver.failures)) == (200, True, 1)


@pytest.mark.parametrize(
    ("kind", "result", "detail"),
    [
        ("good", 200, None),
        ("wrong name", "tls_failed", "Hostname mismatch"),
        ("expired", "tls_failed", "certificate has expired"),
        ("unknown authority", "tls_failed", "unable to get local issuer certificate"),
        ("tls 1.1", "tls_failed", "did not agree on TLS 1.2 or newer"),
    ],
)
def test_tls_is_always_verified(kind, result, detail, receive, guard, tls):
    """A receiver needs a valid certificate of its name and TLS 1.2; nothing is sent without."""
    context = {
        "wrong name": lambda: tls("other.example.org"),
        "expired": lambda: tls(expired=True),
        "unknown authority": lambda: tls(signer=trustme.CA()),
    }.get(kind, tls)()
    if kind == "tls 1.1":
        old(context)
    receiver = receive(OK, context)

    try:
        got, said = guard().send(to(receiver), "POST", {}, b"").status, None
    except NoResponseError as error:
        got, said = error.code, str(error)

    assert got == result
    assert said is None if detail is None else detail in said
    assert len(receiver.requests) == (1 if result == 200 else 0)


def test_a_receiver_without_tls(guard):
    """A receiver that uses plain HTTP in place of TLS gets no request."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = parse(f"https://{HOST}:{listener.getsockname()[1]}/")

        def answer():
            line, _ = listener.accept()
            with line:
                line.recv(65536)
                line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()

        result = send(guard(), url)

        thread.join()
    assert result == "tls_failed"


def old(context):
    """Make a server speak nothing newer than TLS 1.1."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1


def test_one_thread_watches_all_sends(receive, guard):
    """However many there were: one for each would cost as much as a send."""
    receiver = receive()
    sender = guard(seconds=60.0)
    first = send(sender, to(receiver))
    before = set(threading.enumerate())

    others = [send(sender, to(receiver)) for _ in range(5)]

    new = set(threading.enumerate()) - before
    watching = [one for one in new if one.name == "alarms" or isinstance(one, threading.Timer)]
    assert ([first, *others], watching) == ([200] * 6, [])
