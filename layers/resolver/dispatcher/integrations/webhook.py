"""WEBHOOK: a signed HTTP request to a URL of the user's own.

A URL and headers that a user chose become a request that our servers make, so both are checked when
they are written, and by the same functions again when they are used. ``parse`` is the only reader
of URLs: the sender connects to what it returned and never parses the text again (parsers that
disagree about a host are how such checks are bypassed).

Where operators opened address ranges (``WEBHOOK_ALLOWED_CIDRS``), any well-formed name is writable
at any port, ``localhost`` and names of one label included: a name tells nothing about its
addresses, and the sender refuses it unless all of them are public or in those ranges. Without such
ranges the strict policy holds to the letter.
"""

from __future__ import annotations

import base64
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import TYPE_CHECKING, Annotated, NamedTuple

from typing_extensions import TypedDict

from dispatcher.errors import BrokenSettingError, FieldError, InvalidInputError
from dispatcher.integrations.integration import (
    PLACEHOLDER,
    Address,
    Check,
    Config,
    Integration,
    Recipient,
)
from dispatcher.integrations.rules import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

METHODS = ("POST", "PUT", "PATCH")
LONGEST_URL = 2048
MOST_HEADERS = 32
LONGEST_HEADER_NAME = 128
LONGEST_HEADER_VALUE = 4096

PREVIOUS_VALID = 24 * 3600
"""Seconds that the secret before a rotation still signs."""

PORTS = {"https": (443, 8443), "http": (80, 8080)}
"""Outside of what operators opened; the first is the default."""

PRIVATE_NAMES = frozenset({
    "localhost", "local", "localdomain", "internal", "intranet", "lan", "home", "corp", "private",
    "arpa", "test", "invalid", "onion", "svc", "cluster",
})  # fmt: skip

RESERVED_HEADERS = frozenset({
    "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade",
    "host", "accept-encoding", "expect", "user-agent", "cookie", "forwarded",
})  # fmt: skip
RESERVED_PREFIXES = (
    "proxy-", "content-", "x-forwarded-", "x-original-", "x-rewrite-", "x-http-method",
    "x-amz-", "x-amzn-", "x-aws-", "metadata", "lambda-", "webhook-",
)  # fmt: skip

# Each star below repeats one character or escape at a time: a group that could match the same text
# in two ways would let a URL that does not fit take time without end.
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
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MARK = re.compile(r"[^a-z0-9]")
_VALUE = re.compile(r"(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?")

URL_SCHEMA = {"format": "uri", "pattern": "^https?://", "maxLength": LONGEST_URL}
HEADERS_SCHEMA = {
    "maxProperties": MOST_HEADERS,
    "propertyNames": {**whole(_TOKEN.pattern), "maxLength": LONGEST_HEADER_NAME},
    "additionalProperties": {
        "type": "string",
        **whole(_VALUE.pattern),
        "maxLength": LONGEST_HEADER_VALUE,
    },
}


class Url(NamedTuple):
    """A URL, read once: what was checked is what is connected to."""

    text: str
    scheme: str
    host: str
    """Lower case; an IPv6 address without its brackets."""
    port: int
    target: str
    """Path and query as they were written: what the request line names."""
    address: IPv4Address | IPv6Address | None
    """The address that the host is, if it is not a name."""

    @property
    def origin(self) -> tuple[str, str, int]:
        """Who receives: URLs of one origin differ only in what they ask of the same receiver."""
        return self.scheme, self.host, self.port


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """What operators, never users, opened beyond https to the public internet."""

    allowed: tuple[IPv4Network | IPv6Network, ...] = ()
    http: bool = False

    def allows(self, address: IPv4Address | IPv6Address) -> bool:
        """Tell whether an address is in a range that was opened."""
        return any(address in network for network in self.allowed)


def reach(environ: Mapping[str, str]) -> EgressPolicy:
    """Read ``WEBHOOK_ALLOWED_CIDRS`` and ``WEBHOOK_ALLOW_HTTP``."""
    ranges = environ.get("WEBHOOK_ALLOWED_CIDRS", "").strip()
    try:
        allowed = tuple(ip_network(one.strip()) for one in ranges.split(",")) if ranges else ()
    except ValueError as error:
        detail = f"cannot be used: {error}; write 10.0.0.0/8,fd00::/8, say, or leave it empty"
        raise BrokenSettingError("WEBHOOK_ALLOWED_CIDRS", detail) from error
    http = environ.get("WEBHOOK_ALLOW_HTTP", "")
    if http not in {"", "true", "false"}:
        detail = f"is {http!r}: set it to true or false, or leave it empty"
        raise BrokenSettingError("WEBHOOK_ALLOW_HTTP", detail)
    return EgressPolicy(allowed, http == "true")


def parse(text: str) -> Url:
    """Take a URL apart by a strict grammar; ``ValueError`` says what to write instead."""
    # ASCII first: where case is ignored, U+017F is an "s" and U+212A a "k".
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
    if port > 65_535:
        raise ValueError(f"names port {port}: the highest is 65535")
    target = (found["path"] or "/") + (found["query"] or "")
    if found["ipv6"]:
        address = _ipv6(found["ipv6"])
        return Url(text, scheme, str(address), port, target, address)
    host = found["host"].lower()
    return Url(text, scheme, host, port, target, _ipv4(host))


def permitted(text: str, opened: EgressPolicy) -> Url:
    """Parse a URL and hold it to the policy; what its name stands for is the sender's matter."""
    url = parse(text)
    if url.scheme == "http" and not opened.http:
        raise ValueError("must begin with https://, because this system sends no plain http")
    if url.address is not None:
        if not opened.allows(url.address):
            if url.address.is_global:
                raise ValueError(f"names the address {url.host}: write the receiver's host name")
            # A host name would not help: what it stands for is refused when it is sent to.
            raise ValueError(
                f"names the address {url.host}, which is not public: "
                "an operator can open its network with WebhookAllowedCidrs"
            )
        return url
    labels = url.host.split(".")
    well_formed = len(url.host) <= 253 and all(map(_LABEL.fullmatch, labels))
    if not well_formed or _NUMBER.fullmatch(labels[-1]):
        raise ValueError(f"names {url.host}, which is no host name such as hooks.example.com")
    if opened.allowed:
        return url
    if len(labels) == 1 or labels[-1] in PRIVATE_NAMES:
        raise ValueError(f"names {url.host}: write a host name of the public internet")
    if url.port not in PORTS[url.scheme]:
        ports = " or ".join(map(str, PORTS[url.scheme]))
        raise ValueError(f"names port {url.port}: a receiver of {url.scheme} listens on {ports}")
    return url


def _ipv4(host: str) -> IPv4Address | None:
    try:
        return IPv4Address(host)
    except ValueError:
        return None


def _ipv6(text: str) -> IPv6Address:
    try:
        return IPv6Address(text)
    except ValueError:
        raise ValueError("has brackets around something that is no IPv6 address") from None


def written_url(value: str, environ: Mapping[str, str]) -> str:
    """Accept a URL that the policy permits, as it is written."""
    permitted(value, reach(environ))
    return value


def written_method(value: str, _environ: Mapping[str, str]) -> str:
    """Accept the methods that carry a body, in any case."""
    method = value.upper()
    if method not in METHODS:
        raise ValueError(f"must be one of {', '.join(METHODS)}")
    return method


def written_headers(value: dict[str, str], _environ: Mapping[str, str]) -> dict[str, str]:
    """Accept headers that neither break the request's frame nor speak for us; name no value."""
    if len(value) > MOST_HEADERS:
        raise ValueError(f"holds {len(value)} headers: the most is {MOST_HEADERS}")
    for name, content in value.items():
        if problem := _header_problem(name, content):
            raise ValueError(f"holds {name!a:.140}, which {problem}")
    for name, times in Counter(name.lower() for name in value).items():
        if times > 1:
            raise ValueError(f"holds {name!r} in {times} spellings: write each name once")
    return value


def _header_problem(name: str, content: str) -> str | None:
    # Servers behind CGI and its heirs read "-" as "_", and some of them every other mark too.
    plain = _MARK.sub("-", name.lower())
    if not _TOKEN.fullmatch(name) or len(name) > LONGEST_HEADER_NAME:
        return f"is no name: write 1-{LONGEST_HEADER_NAME} letters, digits and marks of RFC 9110"
    if plain in RESERVED_HEADERS or plain.startswith(RESERVED_PREFIXES):
        return "this service or the network sets: choose another name"
    if not _VALUE.fullmatch(content) or len(content) > LONGEST_HEADER_VALUE:
        return (
            f"has a value that cannot be sent: write at most {LONGEST_HEADER_VALUE} characters of "
            "visible ASCII, with spaces and tabs only inside"
        )
    return None


class WebhookConfig(TypedDict, total=False):
    """What a WEBHOOK override may set."""

    url: Annotated[str, Check(written_url, URL_SCHEMA)]
    """Where the request goes: https, a host name of the public internet, port 443 or 8443.

    The values in its query are read back as `***`; sent again, `***` keeps the stored value.
    """
    method: Annotated[str, Check(written_method, {"enum": [*METHODS]})]
    """The request's method, POST where it is not set."""
    headers: Annotated[dict[str, str], Check(written_headers, HEADERS_SCHEMA)]
    """Headers to send along, such as an authorization of the receiver's own.

    Values are kept encrypted and read back as `***`; sent again, `***` keeps the stored value.
    """
    include_agent_info: bool
    """Whether the request names the agent that sent the message."""


class WebhookSecrets:
    """Hides header values and what a URL's query says: ``{"headers": {…}, "url": "…?…"}``."""

    def conceal(self, config: Config) -> tuple[Config, Config]:
        """Show names, hide values."""
        shown, secrets = dict(config), Config()
        if config.get("headers"):
            secrets["headers"] = dict(config["headers"])
            shown["headers"] = dict.fromkeys(config["headers"], PLACEHOLDER)
        front, mark, query = config.get("url", "").partition("?")
        if mark:
            secrets["url"] = config["url"]
            hidden = ((name, PLACEHOLDER if name or value else "") for name, value in _split(query))
            shown["url"] = f"{front}?{_joined(hidden)}"
        return shown, secrets

    def reveal(self, shown: Config, secrets: Config) -> Config:
        """Put the header values and the URL back."""
        return {**shown, **secrets}

    def keep(self, new: Config, shown: Config, secrets: Config) -> Config:
        """Keep a stored value only for its receiver: scheme, host and port must be the same."""
        field_errors: list[FieldError] = []
        same_receiver = _origin(new) == _origin(shown)

        def recall(value: str, stored: Sequence[str], pointer: str) -> str:
            if value != PLACEHOLDER:
                return value
            if stored and same_receiver:
                return stored[0]
            reason = "for the same scheme, host and port" if stored else "and there is none here"
            field_errors.append(
                FieldError(pointer, f"{PLACEHOLDER} keeps a stored value {reason}: send a value")
            )
            return value

        kept = dict(new)
        if "headers" in new:
            old = {name.lower(): [value] for name, value in secrets.get("headers", {}).items()}
            kept["headers"] = {
                name: recall(value, old.get(name.lower(), ()), f"/config/headers/{_token(name)}")
                for name, value in new["headers"].items()
            }
        front, mark, query = new.get("url", "").partition("?")
        if mark:
            values = defaultdict[str | None, list[str]](list)
            for name, value in _split(secrets.get("url", "").partition("?")[2]):
                values[name].append(value)
            pairs = []
            for name, value in _split(query):
                pairs.append((name, recall(value, values[name], "/config/url")))
                # A name may stand there several times: the second keeps the second.
                del values[name][:1]
            kept["url"] = f"{front}?{_joined(pairs)}"
            if len(kept["url"]) > LONGEST_URL:
                detail = f"with its stored values is longer than {LONGEST_URL} characters"
                field_errors.append(FieldError("/config/url", detail))
        if field_errors:
            raise InvalidInputError(*field_errors)
        return kept

    def issue(self, random: Callable[[int], bytes]) -> Config:
        """Make a signing secret in the form of Standard Webhooks."""
        key = base64.b64encode(random(32)).decode()
        return {"signing_secret": f"whsec_{key}"}

    def rotate(self, issued: Config, random: Callable[[int], bytes], now: float) -> Config:
        """Make another signing secret; both sign for a day, so that receivers can follow."""
        if "signing_secret" not in issued:
            return self.issue(random)
        return {
            **self.issue(random),
            "previous_signing_secret": issued["signing_secret"],
            "previous_valid_until": now + PREVIOUS_VALID,
        }


def _origin(config: Config) -> tuple[str, str, int] | None:
    # Without the query, which may be longer than a URL may be once its values read "***".
    return parse(config["url"].partition("?")[0]).origin if "url" in config else None


def _split(query: str) -> Iterator[tuple[str | None, str]]:
    """Yield names and values; a part without ``=`` is a value without a name."""
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        yield (name, value) if equals else (None, name)


def _joined(pairs: Iterable[tuple[str | None, str]]) -> str:
    return "&".join(value if name is None else f"{name}={value}" for name, value in pairs)


def _token(name: str) -> str:
    """Write a name as one part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def configured(environ: Mapping[str, str]) -> bool:
    """Say yes, once it is clear that what operators opened can be read."""
    reach(environ)
    return True


def address(
    config: Config, _recipient: Recipient, _user_id: str, _environ: Mapping[str, str]
) -> Address | None:
    """Find the URL."""
    return Address("url", config["url"]) if "url" in config else None


INTEGRATION = Integration(
    name="WEBHOOK",
    priority=3,
    retry_count=1,
    retry_delay_seconds=30,
    auto_enabled=False,
    configured=configured,
    address=address,
    address_key="url",
    config_type=WebhookConfig,
    required=("url",),
    secrets=WebhookSecrets(),
)
