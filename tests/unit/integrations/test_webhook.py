"""What a WEBHOOK override may hold, and how its secrets are hidden and kept."""

from __future__ import annotations

import json
from ipaddress import ip_network
from pathlib import Path

import pytest

from dispatcher.configuration.bodies import override_config
from dispatcher.errors import BrokenSettingError, FieldError, InvalidInputError
from dispatcher.integrations.integration import Address, Recipient
from dispatcher.integrations.webhook import INTEGRATION, EgressPolicy, parse, permitted, reach

CASES = json.loads((Path(__file__).parents[2] / "data" / "bad_inputs.json").read_text())["cases"]
SECRETS = INTEGRATION.secrets


def cases(kind):
    """Return the corpus cases of one kind."""
    return [
        pytest.param(case["input"], case["expect"], id=case["id"])
        for case in CASES
        if case["kind"] == kind
    ]


def accepted(config, environ=None):
    """Name what becomes of a config that is written."""
    try:
        override_config(INTEGRATION, config, environ or {})
    except InvalidInputError:
        return "reject_config"
    return "allow"


@pytest.mark.parametrize(("url", "expect"), cases("ssrf_url"))
def test_corpus_of_urls(url, expect):
    """A URL is accepted exactly where the policy of written URLs says so."""
    config = {"url": url}

    verdict = accepted(config)

    assert verdict == expect


@pytest.mark.parametrize(("headers", "expect"), cases("webhook_headers"))
def test_corpus_of_headers(headers, expect):
    """Headers are accepted exactly where they neither break the frame nor speak for us."""
    config = {"headers": headers}

    verdict = accepted(config)

    assert verdict == expect


@pytest.mark.parametrize(("options", "expect"), cases("webhook_options"))
def test_corpus_of_options(options, expect):
    """Only the four keys exist, and only methods that carry a body."""
    config = dict(options)

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
    """What two parsers could read in two ways, and what is not public by its name, is refused."""
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


OPENED = {"WEBHOOK_ALLOWED_CIDRS": "127.0.0.0/8, 10.0.0.0/8,fd00::/8"}
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

    opened, default = reach(environ), reach({"WEBHOOK_ALLOWED_CIDRS": " "})

    ranges = tuple(map(ip_network, ("127.0.0.0/8", "10.0.0.0/8", "fd00::/8")))
    assert (opened, default) == (EgressPolicy(ranges, http=True), EgressPolicy())


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


@pytest.mark.parametrize(
    ("headers", "expect"),
    [
        ({f"X-{n}": "v" for n in range(32)}, "allow"),
        ({f"X-{n}": "v" for n in range(33)}, "reject_config"),
        ({"X-A": "1", "x-a": "2"}, "reject_config"),
        ({"X" * 128: "v"}, "allow"),
        ({"X" * 129: "v"}, "reject_config"),
        ({"X-A": "v" * 4096}, "allow"),
        ({"X-A": "v" * 4097}, "reject_config"),
        ({"X-A": " v"}, "reject_config"),
        ({"X-A": "v\t"}, "reject_config"),
        ({"X-A": " "}, "reject_config"),
        ({"X-A\n": "v"}, "reject_config"),
        ({"X-A": "v\n"}, "reject_config"),
        ({"X:A": "v"}, "reject_config"),
        ({"CONTENT-TYPE": "text/plain"}, "reject_config"),
        ({"Content_Length": "1"}, "reject_config"),
        ({"x_forwarded_host": "a"}, "reject_config"),
        ({"X-Rewrite-URL": "/"}, "reject_config"),
        ({"Lambda-Runtime-Aws-Request-Id": "1"}, "reject_config"),
        ({"Webhook-Id": "1"}, "reject_config"),
        ({"Metadata-Flavor": "Google"}, "reject_config"),
        ({"Trailer": "X"}, "reject_config"),
        ({"Proxy-Authorization": "x"}, "reject_config"),
        ({"Authorization": "Bearer x", "X-Custom_Key": "v"}, "allow"),
        ({"X-A": None}, "reject_config"),
        ({}, "allow"),
    ],
)
def test_headers(headers, expect):
    """Limits are exact, names count once in any case, and "_" does not disguise a reserved name."""
    config = {"headers": headers}

    verdict = accepted(config)

    assert verdict == expect


@pytest.mark.parametrize(
    ("config", "stored"),
    [
        ({"method": "post"}, {"method": "POST"}),
        ({"method": "Put"}, {"method": "PUT"}),
        ({"method": "PATCH"}, {"method": "PATCH"}),
        ({"include_agent_info": False}, {"include_agent_info": False}),
    ],
)
def test_stores_normal_forms(config, stored):
    """Methods are stored in upper case."""
    given = dict(config)

    result = override_config(INTEGRATION, given, {})

    assert result == stored


@pytest.mark.parametrize(
    "config", [{"include_agent_info": "true"}, {"include_agent_info": 1}, {"method": 1}]
)
def test_values_are_strict(config):
    """Nothing is converted."""
    given = dict(config)

    verdict = accepted(given)

    assert verdict == "reject_config"


@pytest.mark.parametrize(
    ("config", "expect"),
    [({"url": "https://a.example.com/"}, Address("url", "https://a.example.com/")), ({}, None)],
)
def test_address(config, expect):
    """The address is the override's URL and nothing that a caller sends along."""
    recipient = Recipient(email="a@example.com")

    found = INTEGRATION.address(config, recipient, "user", {})

    assert found == expect


def test_default_row():
    """WEBHOOK is never enabled by default, always configured, and needs a URL."""
    one = INTEGRATION

    row = (one.priority, one.retry_count, one.retry_delay_seconds, one.auto_enabled, one.required)

    assert (*row, one.configured({}), one.config) == (3, 1, 30, False, ("url",), True, {})


@pytest.mark.parametrize(
    ("config", "shown", "secrets"),
    [
        ({}, {}, {}),
        ({"url": "https://a.example.com/x"}, {"url": "https://a.example.com/x"}, {}),
        ({"method": "PUT", "headers": {}}, {"method": "PUT", "headers": {}}, {}),
        (
            {"url": "https://a.example.com/?t=1&u=&flag&t=2", "headers": {"A": "b", "C": ""}},
            {
                "url": "https://a.example.com/?t=***&u=***&***&t=***",
                "headers": {"A": "***", "C": "***"},
            },
            {
                "url": "https://a.example.com/?t=1&u=&flag&t=2",
                "headers": {"A": "b", "C": ""},
            },
        ),
        (
            {"url": "https://a.example.com/?&=&"},
            {"url": "https://a.example.com/?&=&"},
            {"url": "https://a.example.com/?&=&"},
        ),
    ],
)
def test_conceals_and_reveals(config, shown, secrets):
    """Names are shown, values are secrets, and revealing is the inverse of concealing."""
    given = dict(config)

    concealed = SECRETS.conceal(given)

    assert (concealed, SECRETS.reveal(*concealed)) == ((shown, secrets), config)


STORED = {
    "url": "https://a.example.com/x?t=1&flag&t=2",
    "headers": {"Authorization": "Bearer b", "X~/Y": "v"},
}


@pytest.mark.parametrize(
    ("new", "kept"),
    [
        (
            {"url": "https://A.example.com:443/y?t=***&n=5", "headers": {"authorization": "***"}},
            {
                "url": "https://A.example.com:443/y?t=1&n=5",
                "headers": {"authorization": "Bearer b"},
            },
        ),
        (
            {"url": "https://a.example.com/x?t=9&t=***&***"},
            {"url": "https://a.example.com/x?t=9&t=2&flag"},
        ),
        (
            {"url": "https://b.example.com/x?t=7", "headers": {"Authorization": "Bearer c"}},
            {"url": "https://b.example.com/x?t=7", "headers": {"Authorization": "Bearer c"}},
        ),
        (
            {"url": "https://a.example.com/x", "headers": {"X": "a *** b"}},
            {"url": "https://a.example.com/x", "headers": {"X": "a *** b"}},
        ),
        ({}, {}),
    ],
)
def test_keeps_secrets_for_the_same_receiver(new, kept):
    """A placeholder keeps the value of its name and place while scheme, host and port stay."""
    shown, secrets = SECRETS.conceal(STORED)

    result = SECRETS.keep(new, shown, secrets)

    assert result == kept


ELSEWHERE = "*** keeps a stored value for the same scheme, host and port: send a value"
NOTHING = "*** keeps a stored value and there is none here: send a value"


@pytest.mark.parametrize(
    ("new", "field_errors"),
    [
        (
            {"url": "https://b.example.com/?t=***", "headers": {"Authorization": "***"}},
            (
                FieldError("/config/headers/Authorization", ELSEWHERE),
                FieldError("/config/url", ELSEWHERE),
            ),
        ),
        (
            {"url": "https://a.example.com:8443/", "headers": {"X~/Y": "***"}},
            (FieldError("/config/headers/X~0~1Y", ELSEWHERE),),
        ),
        (
            {"url": "http://a.example.com:443/", "headers": {"X~/Y": "***"}},
            (FieldError("/config/headers/X~0~1Y", ELSEWHERE),),
        ),
        ({"headers": {"X~/Y": "***"}}, (FieldError("/config/headers/X~0~1Y", ELSEWHERE),)),
        (
            {"url": "https://a.example.com/?u=***", "headers": {"X": "***"}},
            (FieldError("/config/headers/X", NOTHING), FieldError("/config/url", NOTHING)),
        ),
        (
            {"url": "https://a.example.com/?t=***&t=***&t=***"},
            (FieldError("/config/url", NOTHING),),
        ),
    ],
)
def test_never_sends_a_secret_elsewhere(new, field_errors):
    """A placeholder with another receiver, or with nothing stored, is refused by its pointer."""
    shown, secrets = SECRETS.conceal(STORED)

    with pytest.raises(InvalidInputError) as refused:
        SECRETS.keep(new, shown, secrets)

    assert refused.value.field_errors == field_errors


def test_a_creation_has_nothing_to_keep():
    """A new override cannot hold the placeholder as a value."""
    new = {"headers": {"A": "***"}, "url": "https://a.example.com/?t=***"}

    with pytest.raises(InvalidInputError) as refused:
        SECRETS.keep(new, {}, {})

    assert refused.value.field_errors == (
        FieldError("/config/headers/A", NOTHING),
        FieldError("/config/url", NOTHING),
    )


def test_a_long_query_can_still_be_replaced():
    """Masked values may make a URL longer than a URL may be; its receiver stays known."""
    long = "https://a.example.com/?" + "&".join(["a=1"] * 500)
    shown, secrets = SECRETS.conceal({"url": long})

    kept = SECRETS.keep({"url": "https://a.example.com/?a=***"}, shown, secrets)

    assert (len(shown["url"]) > 2048, kept) == (True, {"url": "https://a.example.com/?a=1"})


def test_kept_values_count_for_the_length():
    """A URL that its stored values make too long is refused when it is written."""
    shown, secrets = SECRETS.conceal({"url": "https://a.example.com/?a=" + "x" * 1000})
    new = {"url": "https://a.example.com/" + "y" * 1100 + "?a=***"}

    with pytest.raises(InvalidInputError) as refused:
        SECRETS.keep(new, shown, secrets)

    detail = "with its stored values is longer than 2048 characters"
    assert refused.value.field_errors == (FieldError("/config/url", detail),)


def test_issues_a_signing_secret():
    """A signing secret is 32 random bytes in the form of Standard Webhooks."""
    random = bytes

    issued = SECRETS.issue(random)

    assert issued == {"signing_secret": "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}


@pytest.mark.parametrize("mistake", ["{id}", "a b", "[]", "|", "\\", "é"])
def test_a_long_query_with_a_mistake_is_refused_at_once(mistake):
    """One way to read each character: what does not fit costs no more time than what fits."""
    text = "https://hooks.example.com/x?token=" + "a?" * 900 + mistake

    with pytest.raises(ValueError, match="must be a URL such as"):
        parse(text)


def test_ranges_that_cannot_be_read_break_the_setting_before_any_delivery():
    """Whether WEBHOOK is configured is asked before every claim, and by /health."""
    with pytest.raises(BrokenSettingError, match="WEBHOOK_ALLOWED_CIDRS"):
        INTEGRATION.configured({"WEBHOOK_ALLOWED_CIDRS": "10.1.2.3/8"})

    assert INTEGRATION.configured({"WEBHOOK_ALLOWED_CIDRS": "10.0.0.0/8"}) is True
