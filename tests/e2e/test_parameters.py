"""Effects of an operator's parameters, on a separate cloud."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import requests

from tests.e2e.api_session import ApiSession
from tests.e2e.system import answered, until
from tools.local_cloud import LocalCloud, settle
from tools.parameters import parse
from tools.processes import free_port

STRICT = (
    "WebhookAllowedCidrs= WebhookAllowHttp=false WebhookDefaultEnabled=true "
    "TestDefaultPriority=2 TestDefaultRetryCount=0 EmailDefaultRetryDelaySeconds=90 "
    "SmsEnabled=true SmsAllowedCountries=US,GB SlackBotTokenSecret=slack/bot-token "
    "SlackApiUrl=http://127.0.0.1:9/api/"
)
USER = "/api/v1/users/ada"
COLD_START = 3.0
"""Seconds more that a function takes at first, on a machine that does much besides."""
URLS = [
    case
    for case in json.loads((Path(__file__).parents[1] / "data" / "bad_inputs.json").read_text())[
        "cases"
    ]
    if case["kind"] == "ssrf_url"
]


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """Return a separate cloud, deployed with other parameters than the local profile's."""
    cloud = LocalCloud(
        tmp_path_factory.mktemp("strict"), api_port=free_port(), cloud_port=free_port()
    )
    cloud.start()
    # Before the first call of /health, whose result is cached for a minute.
    secrets = cloud.session.client("secretsmanager")
    secrets.create_secret(Name="slack/bot-token", SecretString="xoxb-secret")
    cloud.deploy(parse(STRICT))
    yield cloud
    cloud.forget()


@pytest.fixture(scope="module")
def service(strict):
    """Return a session that talks to that cloud's API."""
    with ApiSession(strict.api_url) as session:
        yield session


def register(service, url):
    """Create a webhook override with a URL; remove it again, and return the response."""
    body = {"integration_type": "WEBHOOK", "config": {"url": url}}
    response = service.post(f"{USER}/integrations", json=body)
    if response.status_code == 201:
        answered(service.delete(f"{USER}/integrations/WEBHOOK"), 204)
    return response


def text_of(given):
    """Return a URL of the collection, written out."""
    match given:
        case {"$gen": [prefix, unit, count, suffix]}:
            return prefix + unit * count + suffix
        case text:
            return text


def test_defaults_are_the_operators(service):
    """The parameters of the defaults replace the built-in values, and nothing else."""
    defaults = answered(service.get("/api/v1/integration-defaults"), 200)["default_integrations"]

    assert list(defaults) == ["SLACK", "EMAIL", "TEST", "WEBHOOK", "SMS", "CLI", "TOOL"]
    assert defaults["TEST"] == {
        "enabled": True,
        "priority": 2,
        "retry_count": 0,
        "retry_delay_seconds": 10,
        "config": {},
    }
    assert defaults["WEBHOOK"]["enabled"] is True
    assert (defaults["EMAIL"]["priority"], defaults["EMAIL"]["retry_delay_seconds"]) == (2, 90)


def test_changed_default_reaches_who_did_not_override_it(service):
    """A user's override holds only what the user set: the other fields are the operator's."""
    answered(service.post(f"{USER}/integrations", json={"integration_type": "TEST"}), 201)

    effective = answered(service.get(f"{USER}/integration-defaults"), 200)

    answered(service.delete(f"{USER}/integrations/TEST"), 204)
    assert effective["user_overrides"] == {"TEST": {"enabled": True}}
    assert effective["effective_configs"]["TEST"]["retry_count"] == 0


def test_enabled_without_an_address(service):
    """A webhook that the operator enabled for all has no address for a user without a url."""
    accepted = answered(service.post(f"{USER}/deliveries", json={"content": "Hello"}), 202)

    told = {one["integration_type"]: one["reason"] for one in accepted["skipped"]}
    assert "WEBHOOK" not in {one["integration_type"] for one in accepted["deliveries"]}
    assert told["WEBHOOK"] == "no_address"


def test_sms_goes_where_operators_allow(strict, service):
    """The worker may publish once SMS is on; a number of another country is refused."""
    config = {"phone_number": "+442071838750"}
    body = {"integration_type": "SMS", "config": config}
    answered(service.post(f"{USER}/integrations", json=body), 201)

    answered(service.post(f"{USER}/integrations/SMS/test"), 202)

    def phone():
        outbox = f"{strict.endpoint_url}/_ministack/sns/sms-messages"
        return requests.get(outbox, params={"phoneNumber": "+442071838750"}, timeout=5).text

    until(lambda: "This is a test" in phone())
    abroad = {"config": {"phone_number": "+14165550123"}}
    refused = answered(service.put(f"{USER}/integrations/SMS", json=abroad), 422)
    assert [one["pointer"] for one in refused["errors"]] == ["/config/phone_number"]
    answered(service.delete(f"{USER}/integrations/SMS"), 204)


def test_a_dead_peer_degrades_the_service(service):
    """No server listens at Slack's address; /health has read the token, and soon says so."""
    began = time.monotonic()

    health = answered(service.get("/health"), 200)

    assert time.monotonic() - began < 3 + COLD_START
    assert (health["status"], health["integrations"]["SLACK"]["healthy"]) == ("degraded", False)
    assert health["integrations"]["SLACK"]["detail"] == "Slack did not respond"
    assert [word for word in ("bot-token", "xoxb") if word in json.dumps(health)] == []


def test_a_mailbox_is_read_and_emptied(service):
    """A read message is acknowledged, and removed."""
    answered(service.post(f"{USER}/integrations/CLI/test"), 202)

    [message, *_] = until(lambda: answered(service.get(f"{USER}/messages"), 200)["messages"])

    answered(service.delete(f"{USER}/messages/{message['message_id']}"), 204)
    answered(service.delete(f"{USER}/messages/{message['message_id']}"), 404)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/hook", "https://127.0.0.1:9/hook"])
def test_loopback_is_refused(service, url):
    """Without the local profile no user can make the service call this machine."""
    refused = answered(register(service, url), 422)

    assert [one["pointer"] for one in refused["errors"]] == ["/config/url"]


def test_every_url_of_the_collection(service):
    """Every URL that could trick a server is refused at the url; the good ones are accepted."""
    told = {}
    for case in URLS:
        response = register(service, text_of(case["input"]))
        pointers = {one["pointer"] for one in response.json().get("errors", [])}
        told[case["id"]] = (
            "allow" if response.status_code == 201 else (response.status_code, pointers)
        )

    refused = (422, {"/config/url"})
    assert told == {case["id"]: "allow" if case["expect"] == "allow" else refused for case in URLS}


def test_plain_deployment_is_back_at_the_local_profile(strict, service):
    """A plain deployment leaves no parameter behind: values and behavior are the profile's."""
    before = strict.deployed_parameters()

    strict.deploy()

    links = {"PublicUrl": strict.api_url}
    assert before == settle(links | parse(STRICT))
    assert strict.deployed_parameters() == settle(links)
    defaults = answered(service.get("/api/v1/integration-defaults"), 200)["default_integrations"]
    assert (defaults["TEST"]["priority"], defaults["WEBHOOK"]["enabled"]) == (5, False)
    answered(register(service, "http://127.0.0.1:9/hook"), 201)
