"""Requests of a web page on the same machine to the local cloud: none succeeds."""

from __future__ import annotations

import http.client
import json
import sys
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tools.local_cloud import CREDENTIALS, REGION, LocalCloud
from tools.processes import LOOPBACK, free_port
from tools.sam_local import containers_door

HERE = ("localhost", LOOPBACK)
KEYS = Credentials(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])

FORM = {"Content-Type": "text/plain;charset=UTF-8", "Origin": "https://evil.example.com"}
"""Of a form, or of `fetch` in the mode `no-cors`: a browser sends it without asking first."""

PICTURE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
LINK = {
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}
OPENED = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
"""Of a link in an email, which a redirect may have led here."""
NEIGHBOUR = {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"}
"""A page of another service on this machine."""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    """A separate local cloud: a page that got through could delete everything."""
    cloud = LocalCloud(
        tmp_path_factory.mktemp("cloud"), api_port=free_port(), cloud_port=free_port()
    )
    cloud.start()
    yield cloud
    cloud.forget()


@pytest.fixture
def ask(cloud):
    """Return a function that sends bytes as they are, and returns the response with its body."""

    def ask(method, path, headers, body=None, at=LOOPBACK):
        line = http.client.HTTPConnection(at, cloud.cloud_port, timeout=10)
        line.request(method, path, body=body, headers=headers)
        answer = line.getresponse()
        answer.body = answer.read()
        line.close()
        return answer

    return ask


@pytest.fixture
def untouched(cloud):
    """Fail if a queue came or went while the test ran."""
    sqs = cloud.session.client("sqs")
    sqs.create_queue(QueueName="page-bait")
    before = sqs.list_queues()["QueueUrls"]
    yield
    assert sqs.list_queues()["QueueUrls"] == before


def create_queue(host, method="GET"):
    """Return an AWS call that needs no header: all of it is in the address."""
    query = "Action=CreateQueue&QueueName=from-a-page&Version=2012-11-05"
    request = AWSRequest(method, f"http://{host}/?{query}", headers={"Host": host})
    SigV4QueryAuth(KEYS, "sqs", REGION).add_auth(request)
    return request.url.removeprefix(f"http://{host}")


def signed_call(host):
    """Return headers and body of a call that creates a queue, signed in its header."""
    body = json.dumps({"QueueName": "from-a-page"})
    kind = {
        "Host": host,
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": "AmazonSQS.CreateQueue",
    }
    request = AWSRequest("POST", f"http://{host}/", data=body, headers=kind)
    SigV4Auth(KEYS, "sqs", REGION).add_auth(request)
    return dict(request.headers), body


def refused(answer):
    """Return whether a page learns nothing from the response but the reason."""
    told = json.loads(answer.body)
    return (
        answer.status == 403
        and told["__type"] == "AccessDeniedException"
        and not any(name.lower().startswith("access-control-") for name in answer.headers)
    )


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("page", [FORM, NEIGHBOUR, {**FORM, "Origin": "null"}], ids=str)
@pytest.mark.parametrize("path", ["/_ministack/reset", "signed"])
@pytest.mark.usefixtures("untouched")
def test_a_simple_post_changes_nothing(cloud, ask, name, page, path):
    """Neither a request that needs no key, nor one that is signed with the well-known key."""
    host = f"{name}:{cloud.cloud_port}"
    path = create_queue(host, "POST") if path == "signed" else path

    answer = ask("POST", path, {"Host": host, **page}, body="")

    assert refused(answer)


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("page", [PICTURE, LINK, OPENED, NEIGHBOUR], ids=str)
@pytest.mark.usefixtures("untouched")
def test_a_picture_or_a_link_changes_nothing(cloud, ask, name, page):
    """A GET is an AWS call, too, and a browser sends it without an Origin."""
    host = f"{name}:{cloud.cloud_port}"

    answer = ask("GET", create_queue(host), {"Host": host, **page})

    assert refused(answer)


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("path", ["/", "/_ministack/sqs/messages", "/_aws/execute-api/x/local/"])
def test_a_page_may_not_ask_whether_it_may(cloud, ask, name, path):
    """So no browser sends what a page must not send unasked: a header of AWS, say."""
    asked = {
        "Host": f"{name}:{cloud.cloud_port}",
        "Origin": "https://evil.example.com",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,x-amz-target",
    }

    answer = ask("OPTIONS", path, asked)

    assert refused(answer)


@pytest.mark.parametrize("name", ["evil.example.com", "localhost.example.com", "127.0.0.1.nip.io"])
@pytest.mark.usefixtures("untouched")
def test_a_name_that_was_moved_here_is_not_answered(cloud, ask, name):
    """To a browser the page is then of one origin with us, and may send and read anything."""
    host = f"{name}:{cloud.cloud_port}"
    headers, body = signed_call(host)

    answers = [
        ask("POST", "/", headers, body),
        ask("POST", "/_ministack/reset", {"Host": host}),
        ask("GET", "/_ministack/sqs/messages", {"Host": host}),
    ]

    assert all(map(refused, answers))


@pytest.mark.parametrize("name", ["0.0.0.0", "127.0.0.2", "172.17.0.1"])
@pytest.mark.usefixtures("untouched")
def test_an_address_that_browsers_do_not_trust_takes_no_call_without_a_header(cloud, ask, name):
    """There a browser does not tell where a GET comes from."""
    host = f"{name}:{cloud.cloud_port}"

    answers = [
        ask("GET", create_queue(host), {"Host": host}),
        ask("GET", "/_ministack/sqs/messages", {"Host": host}),
    ]

    assert all(map(refused, answers))


def test_a_page_may_not_open_a_web_socket(cloud, ask):
    """Browsers do not ask before they open one to elsewhere, and every page may read it."""
    opening = {
        # Under this name the local cloud speaks MQTT.
        "Host": f"a1b2c3d4-ats.iot.us-east-1.localhost:{cloud.cloud_port}",
        "Origin": "https://evil.example.com",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol": "mqtt",
    }

    answer = ask("GET", "/mqtt", opening)

    assert answer.status == 403


@pytest.mark.parametrize("name", [*HERE, "172.17.0.1", "host.docker.internal"])
def test_programs_are_answered(cloud, ask, name):
    """On this machine, and in containers, which call it by another address."""
    headers, body = signed_call(f"{name}:{cloud.cloud_port}")

    answer = ask("POST", "/", headers, body)

    assert answer.status == 200
    made = json.loads(answer.body)["QueueUrl"]
    assert urlsplit(made).path.endswith("/from-a-page")
    cloud.session.client("sqs").delete_queue(QueueUrl=made)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all of 127.0.0.0/8 is not loopback")
@pytest.mark.usefixtures("untouched")
def test_the_door_for_containers_is_no_way_around(cloud, ask, monkeypatch):
    """A request that is signed in a header passes it, and no request that a page can send."""
    monkeypatch.setenv("SAM_LOCAL_HOST_IP", "127.0.0.2")
    door = containers_door(cloud)
    host = urlsplit(door).netloc

    programs = cloud.session.client("sqs", endpoint_url=door).list_queues()["QueueUrls"]
    pages = [
        ask("GET", create_queue(host), {"Host": host}, at="127.0.0.2"),
        ask("POST", "/_ministack/reset", {"Host": host, **FORM}, at="127.0.0.2"),
        ask("GET", "/_ministack/sqs/messages", {"Host": host}, at="127.0.0.2"),
        ask("OPTIONS", "/", {"Host": host, **FORM}, at="127.0.0.2"),
    ]

    assert programs
    assert all(map(refused, pages))
    assert not ask("GET", "/_ministack/ready", {"Host": "evil.example.com"}, at="127.0.0.2").body
