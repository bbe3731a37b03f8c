"""Bounces and receivers that are down on the deployed stack, and the way back from both.

The emails go to a mail server on loopback: the local cloud permits SES to no function, because it
checks the permission to send on the resource `*`. Tests put the report of SES into the queue.
"""

from __future__ import annotations

import json
import time

import pytest

from dispatcher.responses import rfc3339
from tests.e2e.api_session import ApiSession
from tests.e2e.system import System, answered, until
from tests.fake_servers.smtp_server import FakeSmtpServer
from tests.feedback import event
from tools.after_deploy import physical_ids
from tools.local_cloud import STACK, LocalCloud
from tools.processes import free_port
from tools.receiver import Receiver

ADDRESS = "ada@example.com"
TYPES = {"integration_types": ["EMAIL", "TEST"], "mode": "first_success"}


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    """The deployed service on a separate cloud, whose emails go to a server that accepts all."""
    cloud = LocalCloud(
        tmp_path_factory.mktemp("reports"), api_port=free_port(), cloud_port=free_port()
    )
    cloud.start()
    with FakeSmtpServer() as mail_server:
        stack = cloud.deploy(
            {
                "CliDefaultEnabled": "false",
                "EmailSender": "news@example.com",
                "SmtpHost": mail_server.host,
                "SmtpPort": str(mail_server.port),
                "SmtpTls": "none",
                # The first failure pauses a receiver for a minute.
                "PauseRules": "1/0/60/60/600",
            }
        )
        with ApiSession(stack["api_url"]) as api:
            yield System(stack, api, cloud.session, physical_ids(cloud.session, STACK))
    cloud.forget()


@pytest.fixture
def send(system, user):
    """Return a function that sends by email, else as a test message."""
    return lambda: system.send(user, recipient={"email": ADDRESS}, **TYPES)


def test_an_email_that_bounces_suppresses_its_address_until_it_is_cleared(system, user, send):
    """The bounce corrects the delivery, TEST delivers, and the address is used again at the end."""
    first, second = (one["delivery_id"] for one in send()["deliveries"])
    assert system.ended(user, first)["status"] == "success"
    url = system.stack["FeedbackQueueUrl"]
    report = event("bounce_permanent", user, first, stack=STACK, address=ADDRESS)

    system.sqs.send_message(QueueUrl=url, MessageBody=json.dumps(report))

    until(lambda: system.delivery(user, first)["status"] == "failed")
    assert system.delivery(user, first)["error_code"] == "bounced"
    until(lambda: system.delivery(user, second)["status"] == "success")
    path = f"/api/v1/users/{user}/suppressions"
    [suppression] = answered(system.api.get(path), 200)["suppressions"]
    assert (suppression["state"], suppression["delivery_id"]) == ("bounced", first)
    assert system.effective(user)["using_integration_defaults"] is True
    skipped = {one["integration_type"]: one["reason"] for one in send()["skipped"]}
    assert skipped == {"EMAIL": "address_bounced"}
    cleared = system.api.delete(f"{path}/{suppression['suppression_id']}")
    assert cleared.status_code == 204
    assert system.override_row(user) is None
    again = send()["deliveries"][0]
    assert again["integration_type"] == "EMAIL"
    assert system.ended(user, again["delivery_id"])["status"] == "success"


def test_the_end_of_a_pause_releases_its_messages_and_a_recovery_the_failed_ones(system, user):
    """IAM permits PUT, DELETE and a reset to release what is held, and the recovery."""
    path = f"/api/v1/users/{user}"
    over = {"integration_types": ["WEBHOOK"]}
    since = rfc3339(time.time() - 60)

    def held(receiver):
        """Let a message fail, which pauses the receiver; return it, and one that is held."""
        receiver.default = 503
        failed = system.sent(user, **over)
        assert system.ended(user, failed)["error_code"] == "http_503"
        shown = answered(system.api.get(f"{path}/integrations/WEBHOOK"), 200)
        assert shown["health"]["state"] == "paused"
        [held] = system.send(user, **over)["deliveries"]
        assert held["held"]["reason"] == "paused"
        receiver.default = 204
        return failed, held["delivery_id"]

    with Receiver() as receiver:
        hook = {"enabled": True, "retry_count": 0, "config": {"url": receiver.url}}
        system.override(user, "WEBHOOK", **hook)
        failed, waits = held(receiver)
        answered(system.api.put(f"{path}/integrations/WEBHOOK", json={"enabled": True}), 200)
        assert system.ended(user, waits)["status"] == "success"

        recovered = system.api.post(f"{path}/deliveries/recover", json={"since": since})
        assert answered(recovered, 202)["opened"] == [failed]
        assert system.ended(user, failed)["status"] == "success"

        _, waits = held(receiver)
        assert system.api.delete(f"{path}/integrations/WEBHOOK").status_code == 204
        assert system.ended(user, waits)["error_code"] == "disabled_by_default"

        system.override(user, "WEBHOOK", **hook)
        _, waits = held(receiver)
        answered(system.api.post(f"{path}/integration-defaults/reset"), 200)
        assert system.ended(user, waits)["error_code"] == "disabled_by_default"
        assert system.override_row(user) is None
