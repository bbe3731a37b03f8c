"""The egress policy: the URLs that users may choose, and the only parser of URLs.

The service sends requests to URLs that users choose, so the same functions check a URL when it is
stored and again when it is used. The sender connects to the result of ``parse`` and never parses
the text again, because attackers bypass such checks with URLs that two parsers read differently.

If operators opened address ranges (``WEBHOOK_ALLOWED_CIDRS``), any well-formed host name and port
can be stored, ``localhost`` and names of one label included: a name does not reveal its addresses,
and the sender blocks it unless all of them are public or in those ranges. Without such ranges, only
public host names and the usual ports can be stored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import TYPE_CHECKING, NamedTuple

from dispatcher.errors import BrokenSettingError
from dispatcher.variables import switch

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_URL = 2048
HIGHEST_PORT = 65_535

PORTS = {"https": (443, 8443), "http": (80, 8080)}
"""Permitted ports outside of the ranges that operators opened; the first is the default."""

PRIVATE_NAMES = frozenset({
    "localhost", "local", "localdomain", "internal", "intranet", "lan", "home", "corp", "private",
    "arpa", "test", "invalid", "onion", "svc", "cluster",
})  # fmt: skip

Network = IPv4Network | IPv6Network

WIDEST = {4: 8, 6: 16}
"""The shortest prefix of a range that operators may open, by IP version."""

NEVER_OPENED = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # this host: Linux connects to loopback
        "127.0.0.0/8",  # loopback; the Lambda Runtime API listens there
        "169.254.0.0/16",  # link-local: metadata and credentials
        "::/127",  # unspecified and loopback
        "fe80::/10",  # link-local
        "fd00:ec2::/32",  # AWS's metadata services
    )
)
EMBEDDED_IPV4 = tuple(
    ip_network(network)
    for network in (
        "::/96",  # compatible
        "::ffff:0:0/96",  # mapped
        "::ffff:0:0:0/96",  # translated by SIIT
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # NAT64 within one network
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
    )
)

# Each star below repeats one character or escape at a time. A group that could match the same text
# in two ways would make the match of some invalid URLs take exponential time.
_CHARACTER = r"[a-z0-9._~!$&'()*+,;=:@/-]|%[0-9a-f]{2}"
_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<host>[a-z0-9.-]+))"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
    rf"(?P<path>/(?:{_CHARACTER})*)?"
    rf"(?P<query>\?(?:{_CHARACTER}|\?)*)?",
    re.IGNORECASE,
)
_OTHER_SCHEME = re.compile(r"(?!https?:)[a-z][a-z0-9+.-]*://", re.ASCII | re.IGNORECASE)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

URL_SCHEMA = {"format": "uri", "pattern": "^https?://", "maxLength": LONGEST_URL}
"""The part of ``check_url`` that JSON Schema can express, for the OpenAPI document."""


class Url(NamedTuple):
    """A parsed URL: the check and the connection use the same parts."""

    text: str
    scheme: str
    host: str
    """The host in lower case; an IPv6 address without its brackets."""
    port: int
    target: str
    """Path and query as they were written, for the request line."""
    address: IPv4Address | IPv6Address | None
    """The host's address, if it is not a name."""

    @property
    def origin(self) -> tuple[str, str, int]:
        """The receiver: URLs of one origin differ only in path and query."""
        return self.scheme, self.host, self.port


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """The permissions that operators added to https on the public internet."""

    allowed: tuple[Network, ...] = ()
    http: bool = False
    """Whether plain http is allowed."""

    def allows(self, address: IPv4Address | IPv6Address) -> bool:
        """Return whether an address is in an opened range."""
        return any(address in network for network in self.allowed)


def egress_policy(environ: Mapping[str, str]) -> EgressPolicy:
    """Read ``WEBHOOK_ALLOWED_CIDRS`` and ``WEBHOOK_ALLOW_HTTP``."""
    ranges = environ.get("WEBHOOK_ALLOWED_CIDRS", "").strip()
    allowed = tuple(_network(cidr.strip()) for cidr in ranges.split(",")) if ranges else ()
    if environ.get("STAGE") != "local":
        for network in allowed:
            _check_range(network)
    return EgressPolicy(allowed, http=switch(environ, "WEBHOOK_ALLOW_HTTP") is True)


def _network(cidr: str) -> Network:
    try:
        return ip_network(cidr)
    except ValueError:
        raise _broken_ranges(
            f"holds {cidr!r}, which is not a network with zeros after the prefix"
        ) from None


def _check_range(network: Network) -> None:
    """Reject a range that must never be opened in a deployed stack."""
    widest = WIDEST[network.version]
    if network.prefixlen < widest:
        raise _broken_ranges(f"holds {network}, which is wider than /{widest}")
    if any(map(network.overlaps, NEVER_OPENED)):
        raise _broken_ranges(
            f"holds {network}, which contains loopback, link-local or metadata addresses"
        )
    if any(map(network.overlaps, EMBEDDED_IPV4)):
        raise _broken_ranges(
            f"holds {network}, which is IPv4 in IPv6: write the IPv4 network itself"
        )


def _broken_ranges(problem: str) -> BrokenSettingError:
    return BrokenSettingError(
        "WEBHOOK_ALLOWED_CIDRS",
        f"(parameter WebhookAllowedCidrs) {problem}: set it to networks such as "
        "10.20.0.0/16,fd12:3456::/32, or leave it empty",
    )


def parse(text: str) -> Url:
    """Parse a URL by a strict grammar; ``ValueError`` says what to write instead."""
    # ASCII is checked first: if case is ignored, U+017F matches "s" and U+212A matches "k".
    found = _URL.fullmatch(text) if text.isascii() and len(text) <= LONGEST_URL else None
    if found is None:
        if _OTHER_SCHEME.match(text):
            raise ValueError("must begin with https://")
        raise ValueError(
            f"must be a URL such as https://hooks.example.com/path of at most {LONGEST_URL} ASCII "
            "characters, without user name, fragment, space or backslash, and with '%' only as %XX "
            "(a host name in other letters begins with xn--)"
        )
    scheme = found["scheme"].lower()
    port = int(found["port"] or PORTS[scheme][0])
    if port > HIGHEST_PORT:
        raise ValueError(f"names port {port}: the highest is {HIGHEST_PORT}")
    target = (found["path"] or "/") + (found["query"] or "")
    if found["ipv6"]:
        address = _ipv6(found["ipv6"])
        return Url(text, scheme, str(address), port, target, address)
    host = found["host"].lower()
    return Url(text, scheme, host, port, target, _ipv4(host))


def permitted(text: str, policy: EgressPolicy) -> Url:
    """Parse a URL and apply the policy; the sender checks the addresses of its host name."""
    url = parse(text)
    if url.scheme == "http" and not policy.http:
        raise ValueError("must begin with https://, because this system does not permit plain http")
    if url.address is not None:
        if not policy.allows(url.address):
            if url.address.is_global:
                raise ValueError(f"names the address {url.host}: write the receiver's host name")
            # A host name would not help, because the sender blocks its address.
            raise ValueError(
                f"names the address {url.host}, which is not public: "
                "an operator can open its network with WebhookAllowedCidrs"
            )
        return url
    labels = url.host.split(".")
    well_formed = len(url.host) <= 253 and all(map(_LABEL.fullmatch, labels))
    if not well_formed or _NUMBER.fullmatch(labels[-1]):
        raise ValueError(f"names {url.host}, which is not a host name such as hooks.example.com")
    if policy.allowed:
        return url
    if len(labels) == 1 or labels[-1] in PRIVATE_NAMES:
        raise ValueError(f"names {url.host}: write a host name of the public internet")
    if url.port not in PORTS[url.scheme]:
        ports = " or ".join(map(str, PORTS[url.scheme]))
        raise ValueError(f"names port {url.port}: a receiver of {url.scheme} listens on {ports}")
    return url


def check_url(value: str, environ: Mapping[str, str]) -> str:
    """Return the URL unchanged if the environment's policy permits it: a ``Check`` rule."""
    permitted(value, egress_policy(environ))
    return value


def _ipv4(host: str) -> IPv4Address | None:
    try:
        return IPv4Address(host)
    except ValueError:
        return None


def _ipv6(text: str) -> IPv6Address:
    try:
        return IPv6Address(text)
    except ValueError:
        raise ValueError("has brackets around text that is not an IPv6 address") from None
