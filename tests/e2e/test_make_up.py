"""`make up`, `status`, `logs` and `down`, as a person calls them, on a separate cloud."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess

import psutil
import pytest
import requests

from tools.local_cloud import LocalCloud, settle
from tools.paths import ROOT
from tools.processes import LOOPBACK, free_port

STRICT = {
    "WebhookAllowedCidrs": "",
    "WebhookAllowHttp": "false",
    "WebhookDefaultRetryCount": "7",
    "ConsoleEnabled": "false",
}


class Workshop:
    """A person at a terminal, with a separate home and ports."""

    def __init__(self, home):
        self.cloud = LocalCloud(home, api_port=free_port(), cloud_port=free_port())

    def make(self, command, **settings):
        """Call make, and wait until every process has closed its output, as `out=$(…)` does."""
        mine = {
            "CLOUD_HOME": str(self.cloud.home),
            "PORT": str(self.cloud.api_port),
            "CLOUD_PORT": str(self.cloud.cloud_port),
        }
        return subprocess.run(
            ["make", "--no-print-directory", command],
            cwd=ROOT,
            env=os.environ | mine | settings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )

    def require_up(self):
        """Call `make up`, unless the service has been up since an earlier test."""
        if not (self.cloud.cloud.process() and self.cloud.proxy.process()):
            made = self.make("up")
            assert made.returncode == 0, made.stdout + made.stderr


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """A workshop that is left tidy."""
    person = Workshop(tmp_path_factory.mktemp("workshop"))
    yield person
    person.cloud.forget()


def test_up_with_parameters_then_plain_is_back_at_the_local_profile(workshop):
    """An empty value arrives as the empty string, and no deployment leaves a parameter behind."""
    links = {"PublicUrl": workshop.cloud.api_url}
    strict = workshop.make("up", PARAMETERS=" ".join(f"{k}={v}" for k, v in STRICT.items()))
    assert strict.returncode == 0, strict.stdout + strict.stderr
    assert workshop.cloud.deployed_parameters() == settle(links | STRICT)
    assert strict.stdout.splitlines()[-1] == f"API      {workshop.cloud.api_url}"
    for path in ("/", "/console", "/p/token"):
        assert requests.get(f"{workshop.cloud.api_url}{path}", timeout=10).status_code == 404

    plain = workshop.make("up")
    assert plain.returncode == 0, plain.stdout + plain.stderr
    assert workshop.cloud.deployed_parameters() == settle(links)


def test_up_tells_where_everything_is(workshop):
    """The stack file names the addresses and every output, and the service responds there."""
    made = workshop.make("up")

    stack = json.loads(workshop.cloud.stack_file.read_text())
    assert made.returncode == 0, made.stdout + made.stderr
    assert stack["api_url"] == workshop.cloud.api_url
    assert stack["endpoint_url"] == workshop.cloud.endpoint_url
    assert stack.keys() >= {
        "ApiUrl",
        "DeliveryQueueUrl",
        "RetryQueueUrl",
        "DeadLetterQueueUrl",
        "ParkedQueueUrl",
        "IntakeQueueUrl",
        "OverridesTableName",
        "DeliveriesTableName",
        "ToolBusName",
        "KeyArn",
    }
    assert requests.get(f"{stack['api_url']}/health", timeout=10).status_code == 200


def test_up_ends_with_the_addresses_of_api_and_console(workshop):
    """At the ports in use; a browser gets a page at both, and `make status` prints them, too."""
    made = workshop.make("up")
    shown = workshop.make("status")

    lines = [f"API      {workshop.cloud.api_url}", f"Console  {workshop.cloud.api_url}/console"]
    assert made.stdout.splitlines()[-2:] == lines
    assert shown.stdout.splitlines()[-2:] == lines
    for line in lines:
        page = requests.get(line.split()[1], timeout=10)
        assert page.status_code == 200
        assert '<script type="importmap">' in page.text
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_up_again_changes_nothing(workshop):
    """The same processes go on, and nothing is deployed."""
    workshop.require_up()
    before = (workshop.cloud.cloud.process().pid, workshop.cloud.proxy.process().pid)

    again = workshop.make("up")

    assert (workshop.cloud.cloud.process().pid, workshop.cloud.proxy.process().pid) == before
    assert "deploy: nothing has changed" in again.stdout


def test_nothing_listens_beyond_this_machine(workshop):
    """Neither the cloud nor the proxy is open to the network."""
    workshop.require_up()

    for part in (workshop.cloud.cloud, workshop.cloud.proxy):
        listeners = [
            connection.laddr
            for connection in part.process().net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert {address.ip for address in listeners} == {LOOPBACK}
        assert len(listeners) == 1


def test_the_gateway_answers_as_the_template_says(workshop):
    """Steps that the local cloud's CloudFormation omits are done after each deployment."""
    workshop.require_up()

    too_large = requests.post(
        f"{workshop.cloud.api_url}/api/v1/users/u/deliveries", data=b" " * 10_500_000, timeout=10
    )
    tables = workshop.cloud.session.client("dynamodb")
    stack = json.loads(workshop.cloud.stack_file.read_text())
    expiry = tables.describe_time_to_live(TableName=stack["DeliveriesTableName"])

    assert too_large.status_code == 413
    assert expiry["TimeToLiveDescription"]["TimeToLiveStatus"] in {"ENABLED", "ENABLING"}


def test_all_functions_share_one_copy_of_a_layer(workshop):
    """A process gets links to a layer's files: to unpack thousands took most of its start."""
    workshop.require_up()
    for path in ("/health", "/api/v1/integration-defaults"):
        assert requests.get(f"{workshop.cloud.api_url}{path}", timeout=10).status_code == 200

    links = [*workshop.cloud._scratch.glob("ministack-lambda-*/layer_0/python")]
    assert len(links) >= 2
    assert len({link.resolve() for link in links}) == 1


def test_status_shows_what_runs(workshop):
    """Processes, addresses and the state of the stack."""
    workshop.require_up()

    shown = workshop.make("status").stdout

    assert f"process {workshop.cloud.cloud.process().pid}" in shown
    assert f"process {workshop.cloud.proxy.process().pid}" in shown
    assert workshop.cloud.endpoint_url in shown
    assert "_COMPLETE" in shown


def test_logs_show_what_the_functions_tell(workshop):
    """One readable line for each event; lines without the word are left out."""
    workshop.require_up()
    health = re.compile(r"\d\d:\d\d:\d\d get_health request\.handled .*route=/health .*")

    shown = workshop.make("logs", FOLLOW="0")
    picked = workshop.make("logs", FOLLOW="0", GREP="GET_health")

    assert (shown.returncode, shown.stderr) == (0, "")
    assert any(health.fullmatch(line) for line in shown.stdout.splitlines())
    assert "REPORT" not in shown.stdout
    assert picked.stdout
    assert all(health.fullmatch(line) for line in picked.stdout.splitlines())


def test_logs_show_everything_if_asked(workshop):
    """As it was written: the functions, Lambda, the local cloud and the proxy."""
    workshop.require_up()

    shown = workshop.make("logs", FOLLOW="0", ALL="1").stdout

    assert {"cloud", "proxy", "get_health"} <= {line.split(" | ")[0] for line in shown.splitlines()}
    assert '"route":"/health"' in shown
    assert "get_health | REPORT " in shown


def test_down_keeps_the_data(workshop):
    """Stored data is there after the next `make up`."""
    workshop.require_up()
    user = f"{workshop.cloud.api_url}/api/v1/users/keeper"
    created = requests.post(
        f"{user}/integrations", json={"integration_type": "TEST", "priority": 3}, timeout=10
    )
    assert created.status_code == 201, created.text

    down = workshop.make("down")
    stopped = workshop.make("status").stdout
    workshop.make("up")

    assert down.stdout == "stopped: service, cloud\n"
    assert stopped == "service  stopped\ncloud    stopped\n"
    kept = requests.get(f"{user}/integrations/TEST", timeout=10)
    assert kept.json()["priority"] == 3


@pytest.mark.parametrize("variable", ["PORT", "CLOUD_PORT"])
def test_a_service_that_runs_is_not_moved(workshop, variable):
    """It goes on where it is; an empty one elsewhere would be taken for it."""
    workshop.require_up()
    before = (workshop.cloud.cloud.process().pid, workshop.cloud.proxy.process().pid)

    refused = workshop.make("up", **{variable: str(free_port())})

    assert refused.returncode != 0
    assert "To move it: make down first; each CLOUD_PORT has data of its own." in refused.stderr
    assert refused.stdout == ""
    assert (workshop.cloud.cloud.process().pid, workshop.cloud.proxy.process().pid) == before


@pytest.mark.parametrize("variable", ["PORT", "CLOUD_PORT"])
def test_a_port_that_somebody_holds_stops_make_up(workshop, variable):
    """A clear message; the holder goes on, and nothing is started."""
    workshop.make("down")

    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        refused = workshop.make("up", **{variable: str(port)})

    assert refused.returncode != 0
    assert f"error: Port {port} is in use by " in refused.stderr
    assert workshop.cloud.cloud.process() is None


def test_a_wrong_parameter_is_told_before_anything_happens(workshop):
    """Nothing is started, built or deployed."""
    refused = workshop.make("up", PARAMETERS="WebhookAlowHttp=true")

    assert refused.returncode != 0
    assert "no parameter WebhookAlowHttp. Did you mean WebhookAllowHttp?" in refused.stderr
    assert refused.stdout == ""
