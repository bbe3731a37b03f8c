"""The guarded client against generated attacks: addresses, DNS changes, responses, old TLS.

A fixture records every address that this process connects to.
"""

from __future__ import annotations

import socket
import ssl
import threading
from ipaddress import IPv6Address, ip_address, ip_network

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from channels import guard as guard_module
from channels.guard import BlockedError, Guard, NoResponseError, Response
from channels.webhook import outcome, retry_after
from dispatcher.delivery.outcomes import Delivered, Permanent, Retry
from dispatcher.integrations.egress import EgressPolicy, parse, permitted

HOST = "hook.example.org"
URL = f"https://{HOST}/h"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

# From IANA's registries of special addresses, and from clouds' documentation: not our own table.
SPECIAL = [
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
    *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24"),
    *("192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24"),
    *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32", "168.63.129.16/32"),
    *("::/128", "::1/128", "::ffff:0:0/96", "::ffff:0:0:0/96", "::/96", "64:ff9b::/96"),
    *("64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/32", "2001:1::1/128", "2001:2::/48"),
    *("2001:3::/32", "2001:4:112::/48", "2001:10::/28", "2001:20::/28", "2001:30::/28"),
    *("2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3ffe::/16", "3fff::/20", "5f00::/16"),
    *("fc00::/7", "fd00:ec2::254/128", "fd20:ce::254/128", "fe80::/10", "fec0::/10", "ff00::/8"),
]  # fmt: skip


@st.composite
def special(draw):
    """Return an address of a special range."""
    network = ip_network(draw(st.sampled_from(SPECIAL)))
    last = network.num_addresses - 1
    place = draw(st.one_of(st.sampled_from([0, last]), st.integers(0, last)))
    return str(network[place])


@st.composite
def disguised(draw):
    """Hide any IPv4 address in an IPv6 address by one of the ways in use."""
    inner = int(draw(st.ip_addresses(v=4)))
    public = draw(st.sampled_from([0x2600 << 112, 0x2A00 << 112, 0x20014860 << 96, 0xFE80 << 112]))
    forms = (
        inner,  # compatible
        (0xFFFF << 32) | inner,  # mapped
        (0xFFFF << 48) | inner,  # translated by SIIT
        (0x64FF9B << 96) | inner,  # NAT64
        (0x64FF9B0001 << 80) | inner,  # NAT64 within one network
        (0x2002 << 112) | (inner << 80) | 1,  # 6to4
        (0x20010000 << 96) | (inner << 64) | (inner ^ 0xFFFFFFFF),  # Teredo
        public | (0x00005EFE << 32) | inner,  # ISATAP
        public | (0x02005EFE << 32) | inner,
    )
    return str(IPv6Address(draw(st.sampled_from(forms))))


def unreadable():
    """Return texts that a resolver should never return, but could."""
    return st.sampled_from([
        *("", "hooks.example.com", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "1.1.1.1 "),
        *("fe80::1%eth0", "2600::1%1", "2600::1%", "::1%lo", "[2600::1]", "1.1.1.1:443"),
        "\uff11.1.1.1",
    ])  # fmt: skip


PUBLIC = st.sampled_from(["93.184.216.34", "1.1.1.1", "2600::1", "2a00:1450::8", "223.255.255.1"])


@pytest.fixture
def line():
    """Dial to the other end of a pair of sockets: no address is connected to at all."""
    ends, dialled = [], []

    def dial(address, _port, _seconds):
        dialled.append(str(address))
        ours, theirs = socket.socketpair()
        theirs.sendall(b"no TLS")
        theirs.shutdown(socket.SHUT_WR)
        ends.append(theirs)
        return ours

    yield dial, dialled
    for end in ends:
        end.close()


def sent(guard, url):
    """Send and name what came of it."""
    try:
        return guard.send(url, "POST", {}, b"").status
    except BlockedError:
        return "blocked"
    except NoResponseError as error:
        return error.code


shared_fixtures = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@shared_fixtures
@given(
    st.lists(PUBLIC, max_size=2),
    st.one_of(special(), disguised(), unreadable()),
    st.lists(PUBLIC, max_size=2),
)
def test_one_bad_answer_among_good_ones_blocks_the_name(line, connects, before, bad, after):
    """Wherever it stands and whatever hides it: nothing is dialled, and no socket connects."""
    dial, dialled = line
    answers = [*before, bad, *after]
    guard = Guard(egress=EgressPolicy(), dial=dial, resolve=lambda _host, _port: answers)

    result = sent(guard, permitted(URL, EgressPolicy()))

    assert (result, dialled, connects) == ("blocked", [], [])


@shared_fixtures
@given(st.lists(PUBLIC, min_size=1, max_size=4))
def test_the_address_that_was_checked_is_the_one_dialled(line, connects, answers):
    """The first permitted address is connected to without another look-up."""
    dial, dialled = line
    dialled.clear()
    guard = Guard(egress=EgressPolicy(), dial=dial, resolve=lambda _host, _port: answers)

    result = sent(guard, permitted(URL, EgressPolicy()))

    assert (result, dialled, connects) == ("tls_failed", answers[:1], [])


@shared_fixtures
@given(
    opened=st.lists(st.sampled_from(["10.0.0.0/8", "127.0.0.0/8", "fd00::/8"]), max_size=3),
    answers=st.lists(
        st.one_of(
            PUBLIC,
            st.sampled_from(["10.1.2.3", "127.0.0.1", "fd00::5", "192.168.0.1", "169.254.169.254"]),
            disguised(),
        ),
        min_size=1,
        max_size=3,
    ),
    scheme_and_port=st.sampled_from(
        [
            *(("https", 443), ("https", 9000), ("http", 80), ("http", 8080), ("http", 9000)),
        ]
    ),
)
def test_opened_ranges_open_nothing_beside_them(line, connects, opened, answers, scheme_and_port):
    """Each address must be public or in an opened range; unusual http ports need the range."""
    dial, dialled = line
    dialled.clear()
    scheme, port = scheme_and_port
    networks = tuple(map(ip_network, opened))
    policy = EgressPolicy(networks, http=True)
    guard = Guard(egress=policy, dial=dial, resolve=lambda _host, _port: answers)
    inside = [any(ip_address(one) in network for network in networks) for one in answers]
    public = [one in {"93.184.216.34", "1.1.1.1", "2600::1", "2a00:1450::8", "223.255.255.1"}
              for one in answers]  # fmt: skip
    fits = all(a or b for a, b in zip(inside, public, strict=True))
    plain_fits = scheme == "https" or port in {80, 8080} or all(inside)

    result = sent(guard, parse(f"{scheme}://{HOST}:{port}/"))

    assert (result == "blocked") is not (fits and plain_fits)
    assert (dialled, connects) == (answers[:1] if fits and plain_fits else [], [])


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1.nip.io/",
        "https://localtest.me/",
        "https://xn--a.example.com/",
        "https://a.0xg/",
        "https://1.2.3.a/",
        "https://metadata.google.com/",
    ],
)
def test_a_name_that_looks_odd_is_a_name(url, line, connects):
    """The addresses of a name decide, not its spelling."""
    dial, dialled = line
    inner = Guard(egress=EgressPolicy(), dial=dial, resolve=lambda _host, _port: ["127.0.0.1"])
    outer = Guard(egress=EgressPolicy(), dial=dial, resolve=lambda _host, _port: ["1.1.1.1"])

    results = [sent(guard, permitted(url, EgressPolicy())) for guard in (inner, outer)]

    assert (results, dialled, connects) == (["blocked", "tls_failed"], ["1.1.1.1"], [])


# ---------------------------------------------------------------- what is on the wire

TOKENS = st.from_regex(r"X-[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}", fullmatch=True)
PRINTABLE = st.from_regex(r"([!-~]([\t -~]{0,20}[!-~])?)?", fullmatch=True)
TARGETS = st.from_regex(
    r"/([a-zA-Z0-9._~!$&'()*+,;=:@/-]|%[0-9A-F]{2}){0,12}(\?[a-z=&?/:@]{0,9})?", fullmatch=True
)


@settings(deadline=None)
@given(
    st.dictionaries(TOKENS, PRINTABLE, max_size=3).filter(
        lambda headers: len({name.lower() for name in headers}) == len(headers)
    ),
    TARGETS,
    st.sampled_from(["POST", "PUT", "PATCH"]),
    st.binary(max_size=40),
)
@example({}, "//a/../b%2F", "POST", b"POST / HTTP/1.1\r\n\r\n")
def test_one_request_and_not_a_byte_more(headers, target, method, body):
    """The bytes on the wire are one request line, the given headers, and a body of its length."""
    ours, theirs = socket.socketpair()
    guard = Guard(
        egress=EgressPolicy(http=True), dial=lambda *_: ours, resolve=lambda *_: ["1.1.1.1"]
    )
    url = permitted(f"http://{HOST}{target}", guard.egress)
    theirs.sendall(OK)
    ours_too = {"User-Agent": "t", "Accept-Encoding": "identity"}

    answer = guard.send(url, method, {**headers, **ours_too}, body)

    received = b""
    while part := theirs.recv(65536):
        received += part
    theirs.close()
    head, _, rest = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    named = dict(line.split(": ", 1) for line in lines)
    assert (answer, first) == (Response(200, None), f"{method} {target} HTTP/1.1")
    frame = {"Host": HOST, "Content-Length": str(len(body))}
    assert (named, rest) == ({**frame, **headers, **ours_too}, body)
    assert len(lines) == len(headers) + 4


# ---------------------------------------------------------------- responses


def endless(part, head=b"HTTP/1.1 200 OK\r\n"):
    """Send a head, then one part again and again."""

    def answer(line, stop):
        line.sendall(head)
        while not stop.is_set():
            line.sendall(part)

    return answer


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        pytest.param(endless(b"X-A: b\r\n"), 200, id="endless headers"),
        pytest.param(endless(b"x" * 500, b"HTTP/1.1 200 "), 200, id="endless reason"),
        pytest.param(endless(b"x" * 500, b""), "invalid_answer", id="endless status line"),
        pytest.param(endless(b" x\r\n"), 200, id="endless folded header"),
        pytest.param(endless(b"5\r\nhello\r\n", CHUNKED), 200, id="endless chunks"),
        pytest.param(endless(b"5" * 8, CHUNKED), 200, id="endless chunk size"),
        pytest.param(endless(b"1;" + b"x" * 900 + b"\r\na\r\n", CHUNKED), 200, id="extensions"),
        pytest.param(endless(b"X: y\r\n", CHUNKED + b"0\r\n"), 200, id="endless trailers"),
        pytest.param(CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n", 200, id="negative chunk"),
        pytest.param(CHUNKED + b"2\r\nok\r\n0\r\nX-A: b\r\n\r\n", 200, id="trailers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", 200, id="length -1"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", 200, id="length x"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 200,
                     id="length of 5000 digits"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nokk", 200,
                     id="two lengths in one"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
                     b"0\r\n\r\n", 200, id="length and chunks"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip, br, zstd\r\n\r\nxx", 200,
                     id="encodings that are none"),
        pytest.param(b"HTTP/1.1 200\r\n\r\n", 200, id="no reason"),
        pytest.param(b"HTTP/1.1 200 OK\n\n", 200, id="bare line feeds"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX\x00A: b\r\n\r\n", 200, id="NUL in a header"),
        pytest.param(b"HTTP/1.1 200 OK\r\n: b\r\nno colon\r\n\r\n", 200, id="headers without name"),
        pytest.param(b"HTTP/1.1 204 N\r\nContent-Length: 5\r\n\r\nhello", 204, id="204 with body"),
        pytest.param(b"HTTP/1.1 304 N\r\nContent-Length: 5\r\n\r\nhello", 304, id="304 with body"),
        pytest.param(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", 101, id="101"),
        pytest.param(b"HTTP/1.1 099 X\r\n\r\n", "invalid_answer", id="status 099"),
        pytest.param(b"HTTP/1.1 -200 X\r\n\r\n", "invalid_answer", id="status -200"),
        pytest.param(b"HTTP/1.1 20 X\r\n\r\n", "invalid_answer", id="status 20"),
        pytest.param(b"HTTP/9.9 200 OK\r\n\r\n", "invalid_answer", id="HTTP/9.9"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "invalid_answer", id="HTTP/2"),
        pytest.param(b"ICY 200 OK\r\n\r\n", "invalid_answer", id="ICY"),
        pytest.param(b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", 200, id="empty lines first"),
        pytest.param(endless(b"HTTP/1.1 100 C\r\n", b""), "invalid_answer", id="endless 100 C"),
        pytest.param(endless(b"x" * 500, b"HTTP/1.1 2"), "invalid_answer", id="endless code"),
        pytest.param(endless(b"HTTP/1.1 102 P\r\n\r\n", b""), "invalid_answer", id="endless 102"),
        pytest.param(endless(b"HTTP/1.1 103 E\r\nLink: x\r\n\r\n", b""), "invalid_answer",
                     id="endless 103"),
    ],
)  # fmt: skip
def test_answers_beyond_the_corpus(answer, result, receive, guard, connects):
    """Any response becomes a status or an error code in time, with one connection and request."""
    receiver = receive(answer, None)
    client = guard()

    got = sent(client, parse(f"http://{HOST}:{receiver.port}/h"))

    assert got == result
    assert connects == [("127.0.0.1", receiver.port)]
    assert len(receiver.requests) == 1


@settings(deadline=None)
@given(st.binary(max_size=200))
@example(b"HTTP/1.1 2_0_0 OK\r\n\r\n")
def test_any_bytes_at_all_are_an_answer_or_a_word(data):
    """No bytes of a receiver raise anything but what the channel knows."""
    ours, theirs = socket.socketpair()
    theirs.sendall(data)
    theirs.shutdown(socket.SHUT_WR)
    guard = Guard(
        egress=EgressPolicy(http=True), dial=lambda *_: ours, resolve=lambda *_: ["1.1.1.1"]
    )

    result = sent(guard, permitted(f"http://{HOST}/", guard.egress))

    theirs.close()
    assert isinstance(result, int) or result in {"invalid_answer", "connection_failed"}


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 306, 307, 308, 399])
@pytest.mark.parametrize(
    "location",
    ["http://169.254.169.254/", "//127.0.0.1/", "/elsewhere", "file:///etc/passwd", "\x01"],
)
def test_no_redirect_is_followed(status, location, receive, guard, connects):
    """Every 3xx ends the delivery; only the receiver itself was connected to, once."""
    head = f"HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    receiver = receive(head.encode(), None)

    answer = guard().send(parse(f"http://{HOST}:{receiver.port}/h"), "POST", {}, b"")

    assert isinstance(outcome(answer, HOST, 0.0), Permanent)
    assert (len(receiver.requests), connects) == (1, [("127.0.0.1", receiver.port)])


@given(
    st.one_of(
        st.text(st.characters(max_codepoint=255), max_size=60),
        st.from_regex(r"[A-Za-z]{3}, [0-9-]{1,4} [A-Za-z]{3} [0-9]{1,6} [0-9:]{1,10} [A-Z+0-9-]*"),
    ),
    st.floats(0, 4e9),
)
@example("Fri, 31 Dec 9999 23:59:59 -2359", 0.0)
def test_any_retry_after_is_a_wish_or_nonsense(value, now):
    """A header of a receiver's is never the cause of an exception, nor of a negative delay."""
    wish = retry_after(value, now)

    assert wish is None or 0 <= wish < 1e15


@given(st.integers(100, 999))
def test_every_status_has_an_outcome(status):
    """Three classes, and no number falls between them."""
    result = outcome(Response(status, None), HOST, 0.0)

    expected = Delivered if 200 <= status < 300 else (Permanent, Retry)
    assert isinstance(result, expected)


# ---------------------------------------------------------------- TLS


def newest_tls_1_1(context):
    """Let a context speak TLS 1.1, which libraries of today refuse by their own defaults."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def test_tls_1_1_is_refused_by_our_own_setting(receive, guard, tls, ca_file):
    """With the library's own bar lowered, the client's minimum still keeps TLS 1.1 out."""
    receiver = receive(OK, newest_tls_1_1(tls()))
    guard_module._trust.cache_clear()
    context = guard_module._trust(ca_file)
    context.set_ciphers("ALL:@SECLEVEL=0")

    result = sent(guard(), parse(f"https://{HOST}:{receiver.port}/"))
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    without = sent(guard(), parse(f"https://{HOST}:{receiver.port}/"))

    guard_module._trust.cache_clear()
    assert (result, without, len(receiver.requests)) == ("tls_failed", 200, 1)


def test_tls_settings_are_exact():
    """Certificates and names are checked, and the oldest version is TLS 1.2."""
    guard_module._trust.cache_clear()

    context = guard_module._trust(None)

    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert len(context.get_ca_certs()) > 50


@pytest.mark.parametrize(
    "names",
    [
        ("*.org",),
        ("*.example.com",),
        ("example.org",),
        ("hook.example.org.evil.example",),
        ("127.0.0.1",),
        ("xn--hook.example.org",),
    ],
)
def test_a_certificate_for_another_name(names, receive, guard, tls):
    """A certificate must name the host itself, not its address, its parent or a wider star."""
    receiver = receive(OK, tls(*names))

    result = sent(guard(), parse(f"https://{HOST}:{receiver.port}/"))

    assert (result, receiver.requests) == ("tls_failed", [])


def test_attempts_side_by_side_do_not_mix(receive, guard):
    """Of two simultaneous attempts, one cut off and one successful, each has its own outcome."""
    slow = receive(lambda _line, stop: stop.wait(10), None)
    quick = receive(OK, None)
    results = {}

    def attempt(name, receiver, seconds):
        url = parse(f"http://{HOST}:{receiver.port}/")
        results[name] = sent(guard(seconds=seconds), url)

    threads = [
        threading.Thread(target=attempt, args=("slow", slow, 0.3)),
        threading.Thread(target=attempt, args=("quick", quick, 8.0)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == {"slow": "timeout", "quick": 200}
