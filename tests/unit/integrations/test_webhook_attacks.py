"""URLs and headers beyond the corpus: whatever is made by these rules is held to the policy."""

from __future__ import annotations

import re
import socket
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

import pytest
import requests
import urllib3
from hypothesis import example, given
from hypothesis import strategies as st

from dispatcher.integrations.egress import PORTS, EgressPolicy, permitted
from dispatcher.integrations.webhook import RESERVED_HEADERS, RESERVED_PREFIXES, check_headers

STRICT = EgressPolicy()
FULLWIDTH = {ord("0") + digit: 0xFF10 + digit for digit in range(10)} | {ord("."): 0x3002}
CIRCLED = {ord("0") + digit: 0x245F + digit for digit in range(1, 10)}
ARABIC = {ord("0") + digit: 0x0660 + digit for digit in range(10)}


def refused(text):
    """Return whether the policy refuses a URL."""
    try:
        permitted(text, STRICT)
    except ValueError:
        return True
    return False


# ---------------------------------------------------------------- addresses as hosts


def _number(draw, value):
    """Write a number as the C library reads it: decimal, octal or hexadecimal, padded or not."""
    zeros = "0" * draw(st.integers(0, 3))
    forms = [f"{value}", f"{zeros}{value}", f"0{zeros}{value:o}", f"0x{zeros}{value:x}"]
    return draw(st.sampled_from([*forms, f"0X{zeros}{value:X}"]))


@st.composite
def ipv4_hosts(draw):
    """Write any IPv4 address in any notation that some parser takes for it."""
    address = int(draw(st.ip_addresses(v=4)))
    parts = draw(st.integers(1, 4))
    octets = [(address >> shift) & 255 for shift in (24, 16, 8, 0)]
    last = address & (256 ** (5 - parts) - 1)
    text = ".".join(_number(draw, value) for value in [*octets[: parts - 1], last])
    disguise = draw(
        st.sampled_from([
            str,
            lambda host: host + ".",
            lambda host: host + "..",
            lambda host: host.translate(FULLWIDTH),
            lambda host: host.translate(CIRCLED),
            lambda host: host.translate(ARABIC),
            lambda host: host.replace(".", "\uff0e"),
            lambda host: "".join(f"%{ord(one):02x}" for one in host),
            lambda host: f"[{host}]",
            lambda host: f"[::ffff:{host}]",
            lambda host: f"{host}%00.example.com",
            lambda host: f"{host}\\@hooks.example.com",
            lambda host: f"{host}#@hooks.example.com",
            lambda host: f"hooks.example.com@{host}",
            lambda host: f"hooks.example.com:443@{host}",
            lambda host: f"hooks.example.com\t@{host}",
            lambda host: f"hooks.example.com\\{host}",
            lambda host: f"\r\n{host}",
        ])
    )  # fmt: skip
    return disguise(text)


@given(ipv4_hosts(), st.sampled_from(["", ":443", ":8443"]), st.sampled_from(["", "/", "/x?y"]))
@example("0x7f.1", "", "/")
@example("017700000001", "", "/")
@example("\u2460\u2461\u2466.0.0.1", "", "/")
def test_no_notation_of_an_ipv4_address_is_a_host(host, port, rest):
    """Decimal, octal, hexadecimal, short, disguised: no receiver is named by its address."""
    url = f"https://{host}{port}{rest}"

    verdict = refused(url)

    assert verdict is True


@st.composite
def ipv6_hosts(draw):
    """Write an IPv6 address, also one that holds an IPv4 address, with and without a zone."""
    inner = int(draw(st.ip_addresses(v=4)))
    address = draw(
        st.one_of(
            st.ip_addresses(v=6),
            st.sampled_from([
                IPv6Address(inner),
                IPv6Address((0xFFFF << 32) | inner),
                IPv6Address((0xFFFF << 48) | inner),
                IPv6Address((0x64FF9B << 96) | inner),
                IPv6Address((0x2002 << 112) | (inner << 80)),
                IPv6Address((0xFE80 << 112) | (0x5EFE << 32) | inner),
                IPv6Address((0xFEC0 << 112) | inner),
            ]),
        )
    )  # fmt: skip
    text = draw(st.sampled_from([str(address), address.exploded, address.compressed.upper()]))
    zone = draw(st.sampled_from(["", "%eth0", "%25eth0", "%1", "%25%31"]))
    return draw(st.sampled_from([f"[{text}{zone}]", f"{text}{zone}", f"[{text}{zone}].com"]))


@given(ipv6_hosts(), st.sampled_from(["", ":443", ":8443"]))
def test_no_notation_of_an_ipv6_address_is_a_host(host, port):
    """In brackets or not, with a zone or not, translated or not."""
    url = f"https://{host}{port}/"

    verdict = refused(url)

    assert verdict is True


# ---------------------------------------------------------------- one reading of a URL

PIECES = st.sampled_from([
    *("https://", "HTTPS://", "http://", "https:/", "https:", "//", "ftp://", "https:\\\\", "jar:"),
    *("hooks", "example", ".com", ".", "..", "-", "_", "xn--bcher-kva", "xn--", "a" * 63, "a" * 64),
    *("127.0.0.1", "169.254.169.254", "[::1]", "0x7f", "1", "\uff10", "\u3002"),
    *("%2e", "%31", "%", "%zz"),
    *("@", ":", ":443", ":8443", ":0", ":0443", ":65536", ":\u0664\u0664\u0663"),
    *(": 443", ":+443", ":4_43"),
    *("/", "\\", "?", "#", ";", "&", "=", "[", "]", "{", "|", "^", '"', "<", "`", "~", "!", "$"),
    *("\t", "\r\n", "\n", " ", "\x00", "\x7f", "\u00a0", "\u200b", "\u2028", "\ufeff"),
    *("\u00e9", "\u017f"),
])  # fmt: skip


@given(st.lists(PIECES, max_size=8).map("".join))
@example("https://hooks.example.com?@169.254.169.254/")
@example("https://hooks.example.com/..//@169.254.169.254")
@example("https://hooks.example.com:443:8443/")
def test_all_parsers_read_the_same_receiver(rest):
    """An accepted URL names one receiver to every parser: none checks one and calls another."""
    text = f"https://{rest}"

    try:
        url = permitted(text, STRICT)
    except ValueError:
        return

    split, parsed = urlsplit(text), urllib3.util.parse_url(text)
    prepared = urlsplit(requests.Request("POST", text).prepare().url)
    assert {url.host} == {split.hostname, parsed.host, prepared.hostname}
    assert {url.port} == {one.port or 443 for one in (split, parsed, prepared)}
    assert (url.scheme, url.address, url.port in PORTS["https"]) == ("https", None, True)
    assert (split.username, split.fragment, parsed.auth) == (None, "", None)


@given(st.from_regex(r"https?://[a-z0-9.:\[\]%@x-]{1,40}/?", fullmatch=True))
def test_an_accepted_host_is_an_address_to_no_library(text):
    """The C library accepts more addresses than any standard; none of those is a name to us."""
    try:
        url = permitted(text, STRICT)
    except ValueError:
        return

    with pytest.raises(OSError, match="illegal IP address"):
        socket.inet_aton(url.host)
    with pytest.raises(ValueError, match="does not appear"):
        ip_address(url.host)


@given(st.text(max_size=12), st.integers(0, 2))
def test_one_character_that_has_no_place_refuses_all(text, place):
    """Anything outside of the grammar refuses the whole URL, wherever it stands."""
    parts = ["https://hooks.example", ".com/path", "?query=1"]
    parts[place] += text

    try:
        url = permitted("".join(parts), STRICT)
    except ValueError:
        return

    assert re.fullmatch(r"https://[A-Za-z0-9.-]+(:8?443)?(/[!-~]*)?(\?[!-~]*)?", url.text)
    assert not set(url.target) & set('#\\"<>[]^`{|}')


@pytest.mark.parametrize("scheme", [
    *("http", "ftp", "file", "gopher", "dict", "ldap", "jar", "data", "javascript", "ws", "wss"),
    *("unix", "http+unix", "https+unix", "netdoc", "s3", "sftp", "tftp", "view-source"),
    "http\u017f",
])  # fmt: skip
def test_other_schemes(scheme):
    """There is https, and nothing else."""
    url = f"{scheme}://hooks.example.com/"

    verdict = refused(url)

    assert verdict is True


@pytest.mark.parametrize("port", [
    *("0", "00443", "0443", "1", "22", "80", "444", "8080", "65536", "99999", "443443", "-443"),
    *("+443", "443 ", " 443", "4_43", "0x1bb", "\u0664\u0664\u0663", "\uff14\uff14\uff13"),
    *("443.", "443.0", "4e2", "443:443"),
])  # fmt: skip
def test_other_ports(port):
    """A port is 443 or 8443, written as a number and in no other way."""
    url = f"https://hooks.example.com:{port}/"

    verdict = refused(url)

    assert verdict is True


# ---------------------------------------------------------------- headers

NAMES = st.one_of(
    st.sampled_from([*sorted(RESERVED_HEADERS), *(f"{one}x" for one in RESERVED_PREFIXES)]),
    st.text(max_size=8),
    st.from_regex(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}", fullmatch=True),
)
VALUES = st.one_of(st.text(max_size=12), st.from_regex(r"[\t -~]{0,12}", fullmatch=True))


@given(st.dictionaries(NAMES, VALUES, max_size=3))
def test_accepted_headers_are_one_line_each(headers):
    """An accepted header cannot end its line, begin another, or be read in two ways."""
    try:
        accepted = check_headers(headers, {})
    except ValueError:
        return

    lines = "".join(f"{name}: {value}\r\n" for name, value in accepted.items())
    assert re.fullmatch(r"([^\x00-\x20\x7f-\U0010ffff:]+: [\t\x20-\x7e]*\r\n)*", lines)
    assert all(value == value.strip() for value in accepted.values())


@given(
    st.sampled_from([*sorted(RESERVED_HEADERS), *(f"{one}x" for one in RESERVED_PREFIXES)]),
    st.data(),
)
def test_no_spelling_of_a_reserved_name(name, data):
    """Case makes no other name, and neither does a mark that a server behind CGI reads as "_"."""
    spelled = "".join(
        data.draw(st.sampled_from("-_.!~" if one == "-" else one.lower() + one.upper()))
        for one in name
    )

    with pytest.raises(ValueError, match="this service or the network sets"):
        check_headers({spelled: "v"}, {})
