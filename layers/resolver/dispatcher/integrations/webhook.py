"""WEBHOOK: a signed HTTP request to a URL that the user chooses.

The service sends the headers that a user chose. Like the URL (``egress``), they are checked when
they are stored, and by the same functions when they are used.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Annotated

from typing_extensions import TypedDict

from dispatcher.integrations.egress import URL_SCHEMA, check_url, egress_policy
from dispatcher.integrations.integration import Address, Check, Config, Integration, Recipient
from dispatcher.integrations.rules import whole
from dispatcher.integrations.webhook_secrets import WebhookSecrets

if TYPE_CHECKING:
    from collections.abc import Mapping

METHODS = ("POST", "PUT", "PATCH")
MOST_HEADERS = 32
LONGEST_HEADER_NAME = 128
LONGEST_HEADER_VALUE = 4096

RESERVED_HEADERS = frozenset({
    "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade",
    "host", "accept-encoding", "expect", "user-agent", "cookie", "forwarded",
})  # fmt: skip
RESERVED_PREFIXES = (
    "proxy-", "content-", "x-forwarded-", "x-original-", "x-rewrite-", "x-http-method",
    "x-amz-", "x-amzn-", "x-aws-", "metadata", "lambda-", "webhook-",
)  # fmt: skip

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MARK = re.compile(r"[^a-z0-9]")
_VALUE = re.compile(r"(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?")

HEADERS_SCHEMA = {
    "maxProperties": MOST_HEADERS,
    "propertyNames": {**whole(_TOKEN.pattern), "maxLength": LONGEST_HEADER_NAME},
    "additionalProperties": {
        "type": "string",
        **whole(_VALUE.pattern),
        "maxLength": LONGEST_HEADER_VALUE,
    },
}


def check_method(value: str, _environ: Mapping[str, str]) -> str:
    """Return the method in upper case, if it permits a body."""
    method = value.upper()
    # isascii: upper() maps a few foreign letters onto ASCII ones.
    if not value.isascii() or method not in METHODS:
        raise ValueError(f"must be one of {', '.join(METHODS)}")
    return method


def check_headers(value: dict[str, str], _environ: Mapping[str, str]) -> dict[str, str]:
    """Accept headers that change neither the request's framing nor our own headers.

    Errors contain no value.
    """
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
    # Servers with a CGI interface read "-" as "_", and some of them every other mark too.
    plain = _MARK.sub("-", name.lower())
    if not _TOKEN.fullmatch(name) or len(name) > LONGEST_HEADER_NAME:
        return f"is not a name: write 1-{LONGEST_HEADER_NAME} letters, digits and marks of RFC 9110"
    if plain in RESERVED_HEADERS or plain.startswith(RESERVED_PREFIXES):
        return "this service or the network sets: choose another name"
    if not _VALUE.fullmatch(content) or len(content) > LONGEST_HEADER_VALUE:
        return (
            f"has a value that cannot be sent: write at most {LONGEST_HEADER_VALUE} characters of "
            "visible ASCII, with spaces and tabs only inside"
        )
    return None


class WebhookConfig(TypedDict, total=False):
    """Settings of a WEBHOOK override."""

    url: Annotated[str, Check(check_url, URL_SCHEMA)]
    """The receiver's URL: https, a host name of the public internet, port 443 or 8443.

    The values in its query are read back as `***`; sent again, `***` keeps the stored value.
    """
    method: Annotated[str, Check(check_method, {"enum": [*METHODS]})]
    """The request's method; POST by default."""
    headers: Annotated[dict[str, str], Check(check_headers, HEADERS_SCHEMA)]
    """Headers to add, such as the authorization that the receiver expects.

    Values are kept encrypted and read back as `***`; sent again, `***` keeps the stored value.
    """
    include_agent_info: bool
    """Whether the request names the agent that sent the message."""


def configured(environ: Mapping[str, str]) -> bool:
    """Return true, after a check that the operator's settings are valid."""
    egress_policy(environ)
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
