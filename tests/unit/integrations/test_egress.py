"""Which URLs the egress policy permits, and how they are read."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from dispatcher.configuration.bodies import override_config
from dispatcher.errors import BrokenSettingError, InvalidInputError
from dispatcher.integrations.egress import EgressPolicy, egress_policy, parse, permitted
from dispatcher.integrations.webhook import INTEGRATION
from tests.unit.integrations.corpus import accepted, cases


@pytest.mark.parametrize(("url", "expect"), cases("ssrf_url"))
def test_corpus_of_urls(url, expect):
    """A URL is accepted exactly where the policy of written URLs says so."""
    config = {"url": url}

    verdict = accepted(config)

    assert verdict == expect


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com",
        "HTTPS://Hooks.Example.COM/A?b=C",
        "https://hooks.example.com:443/",
        "https://hooks.example.com:8443/",
        "https://xn--bcher-kva.example/h",
        "https://a.co/" + "x" * (2048 - 13),
        "https://" + ".".join(["a" * 63] * 3 + ["b" * 57, "com"]) + "/",
        "https://example.com/?u=http://127.0.0.1/&a=%5B1%5D#"[:-1],
        "https://hooks.example.com/a/../b;c=1,2:@!$&'()*+~",
        "https://local.example.com/",
    ],
)
def test_accepts_public_names(url):
    """A public name on 443 or 8443 is accepted and stored as it was written."""
    config = {"url": url}

    stored = override_config(INTEGRATION, config, {})

    assert stored == {"url": url}


@pytest.mark.parametrize(
    "url",
    [
        "https://a.co/" + "x" * (2049 - 13),
        "https://hooks.example.com/\n",
        "https://hooks.example.com/#",
        "https://hooks.example.com/?a=%2",
        "https://hooks.example.com/[x]",
        "https://hooks.example.com:0443/",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:80/",
        "https://[127.0.0.1]/",
        "https://[]/",
        "https://[1::2::3]/",
        "https://example.0x7f/",
        "https://1.2.3.4/",
        "https://example.com.0/",
        "https://" + ".".join(["a" * 63] * 3 + ["b" * 58, "com"]) + "/",
        "https://" + "a" * 64 + ".com/",
        "https://a-.example.com/",
        "https://under_score.example.com/",
        "https://x.svc.cluster.local/",
        "https://a.INTERNAL/",
        "https://hook\u017f.example.com/",
        "http\u017f://hooks.example.com/",
        "https://\u212a.example.com/",
        "ftp://hooks.example.com/",
        "hooks.example.com",
        "",
    ],
)
def test_refuses_anything_else(url):
    """Ambiguous URLs and host names that are not public are rejected."""
    config = {"url": url}

    verdict = accepted(config)

    assert verdict == "reject_config"


def test_messages_hold_no_secret():
    """A refusal says what is wrong without repeating the query."""
    url = "https://user:pa55@hooks.example.com/?token=t0ken"  # pragma: allowlist secret
    config = {"url": url}

    with pytest.raises(InvalidInputError) as refused:
        override_config(INTEGRATION, config, {})

    (field_error,) = refused.value.field_errors
    assert (field_error.pointer, "t0ken" in field_error.detail, "pa55" in field_error.detail) == (
        "/config/url",
        False,
        False,
    )


OPENED = {"WEBHOOK_ALLOWED_CIDRS": "127.0.0.0/8, 10.0.0.0/8,fd00::/8", "STAGE": "local"}
HTTP = {"WEBHOOK_ALLOW_HTTP": "true"}


@pytest.mark.parametrize(
    ("url", "environ", "expect"),
    [
        ("https://127.0.0.1:9000/", OPENED, "allow"),
        ("https://[fd00::1]:9000/", OPENED, "allow"),
        ("https://localhost:9000/", OPENED, "allow"),
        ("https://receiver:1/", OPENED, "allow"),
        ("https://hooks.example.com:9000/", OPENED, "allow"),
        ("https://192.168.0.1/", OPENED, "reject_config"),
        ("https://[::ffff:127.0.0.1]/", OPENED, "reject_config"),
        ("https://93.184.216.34/", OPENED, "reject_config"),
        ("https://127.1/", OPENED, "reject_config"),
        ("https://0x7f000001/", OPENED, "reject_config"),
        ("https://2130706433/", OPENED, "reject_config"),
        ("https://localhost./", OPENED, "reject_config"),
        ("http://localhost:9000/", OPENED, "reject_config"),
        ("http://localhost:9000/", OPENED | HTTP, "allow"),
        ("http://127.0.0.1:9000/", OPENED | HTTP, "allow"),
        ("http://hooks.example.com/", HTTP, "allow"),
        ("http://hooks.example.com:8080/", HTTP, "allow"),
        ("http://hooks.example.com:443/", HTTP, "reject_config"),
        ("http://hooks.example.com:9000/", HTTP, "reject_config"),
        ("http://localhost/", HTTP, "reject_config"),
        ("http://127.0.0.1/", HTTP, "reject_config"),
        ("http://hooks.example.com/", {"WEBHOOK_ALLOW_HTTP": "false"}, "reject_config"),
        ("http://hooks.example.com/", {"WEBHOOK_ALLOW_HTTP": ""}, "reject_config"),
    ],
)
def test_operators_open_ranges_and_http(url, environ, expect):
    """Operators may open address ranges at any port, and plain http; nothing beyond follows."""
    config = {"url": url}

    verdict = accepted(config, environ)

    assert verdict == expect


def test_reads_what_operators_opened():
    """Both variables are optional; ranges are separated by commas."""
    environ = OPENED | HTTP

    opened, default = egress_policy(environ), egress_policy({"WEBHOOK_ALLOWED_CIDRS": " "})

    ranges = tuple(map(ip_network, ("127.0.0.0/8", "10.0.0.0/8", "fd00::/8")))
    assert (opened, default) == (EgressPolicy(ranges, http=True), EgressPolicy())


@pytest.mark.parametrize(
    "ranges",
    [
        *("0.0.0.0/0", "0.0.0.0/1,128.0.0.0/1", "10.0.0.0/7", "11.0.0.0/8,12.0.0.0/6"),
        *("::/0", "::/1", "fc00::/7", "fd00::/8", "2600::/15"),
        *("127.0.0.0/8", "127.0.0.1/32", "127.255.0.0/16", "0.0.0.0/8", "0.0.0.0/32"),
        *("169.254.0.0/16", "169.254.169.254/32", "169.254.170.0/24", "10.0.0.0/8,169.254.0.0/17"),
        *("::1/128", "::/128", "::/64", "fe80::/10", "fe80::/64", "febf::/16", "fd00:ec2::/32"),
        *("fd00:ec2::254/128", "fd00::/16", "::ffff:0:0/96", "::ffff:127.0.0.1/128"),
        *("::ffff:10.0.0.0/104", "::127.0.0.1/128", "64:ff9b::/96", "64:ff9b::a9fe:a9fe/128"),
        *("64:ff9b:1::/48", "2002::/16", "2002:7f00:1::/48", "2001::/32", "::ffff:0:7f00:1/128"),
    ],
)
@pytest.mark.parametrize("stage", ["prod", "dev", "", None])
def test_deployed_stacks_open_no_range_that_contains_themselves(stage, ranges):
    """Outside of ``local`` loopback, link-local, metadata and very wide ranges are refused."""
    environ = {"WEBHOOK_ALLOWED_CIDRS": ranges} | ({} if stage is None else {"STAGE": stage})

    with pytest.raises(BrokenSettingError, match=r"parameter WebhookAllowedCidrs") as broken:
        egress_policy(environ)

    assert broken.value.variable == "WEBHOOK_ALLOWED_CIDRS"
    assert egress_policy(environ | {"STAGE": "local"}).allowed == tuple(
        map(ip_network, ranges.split(","))
    )


@pytest.mark.parametrize(
    "ranges",
    [
        *("10.0.0.0/8", "10.20.0.0/16", "192.168.0.0/16,172.16.0.0/12", "100.64.0.0/10"),
        *("1.0.0.0/8", "203.0.113.7/32", "fd12:3456::/32", "fdab::/16", "2600:1f00::/24"),
    ],
)
def test_deployed_stacks_open_private_ranges(ranges):
    """An operator may open up to /8 of IPv4 and /16 of IPv6."""
    policy = egress_policy({"WEBHOOK_ALLOWED_CIDRS": ranges, "STAGE": "prod"})

    assert policy.allowed == tuple(map(ip_network, ranges.split(",")))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WEBHOOK_ALLOWED_CIDRS", "10.0.0.0/33"),
        ("WEBHOOK_ALLOWED_CIDRS", "10.0.0.1/8"),
        ("WEBHOOK_ALLOWED_CIDRS", "10.0.0.0/8,"),
        ("WEBHOOK_ALLOWED_CIDRS", "localhost"),
        ("WEBHOOK_ALLOW_HTTP", "yes"),
        ("WEBHOOK_ALLOW_HTTP", "True"),
    ],
)
def test_broken_settings_fail_closed(variable, value):
    """A setting that cannot be read opens nothing: it stops the function and is named."""
    environ = {variable: value}

    with pytest.raises(BrokenSettingError) as broken:
        accepted({"url": "https://hooks.example.com/"}, environ)

    assert broken.value.variable == variable


def test_parses_once_for_everybody():
    """The host is lower case, an IPv6 address canonical; the request line stays as written."""
    texts = ("HTTPS://Hooks.Example.com?A=%2f", "http://[FD00:0::1]:81//a")

    urls = [parse(text) for text in texts]

    assert [url[1:5] for url in urls] == [
        ("https", "hooks.example.com", 443, "/?A=%2f"),
        ("http", "fd00::1", 81, "//a"),
    ]


def test_default_ports_are_the_same_receiver():
    """An origin does not depend on case or on whether a default port is written."""
    texts = ("https://a.example.com", "https://A.example.com:443/x?y")

    origins = {permitted(text, EgressPolicy()).origin for text in texts}

    assert origins == {("https", "a.example.com", 443)}


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("ftp://x", "must begin with https://"),
        ("GOPHER://hooks.example.com/", "must begin with https://"),
        (
            "https://192.168.1.20/",
            (
                "names the address 192.168.1.20, which is not public: "
                "an operator can open its network with WebhookAllowedCidrs"
            ),
        ),
        ("https://8.8.8.8/", "names the address 8.8.8.8: write the receiver's host name"),
    ],
)
def test_a_refusal_says_what_helps(url, advice):
    """Not what leads to the next refusal."""
    with pytest.raises(ValueError, match=r"^(must|names) ") as refusal:
        permitted(url, EgressPolicy())

    assert str(refusal.value) == advice


@pytest.mark.parametrize("mistake", ["{id}", "a b", "[]", "|", "\\", "é"])
def test_a_long_query_with_a_mistake_is_refused_at_once(mistake):
    """One way to read each character: what does not fit costs no more time than what fits."""
    text = "https://hooks.example.com/x?token=" + "a?" * 900 + mistake

    with pytest.raises(ValueError, match="must be a URL such as"):
        parse(text)
