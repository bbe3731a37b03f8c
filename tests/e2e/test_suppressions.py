"""Reports of a provider on the deployed stack: a bounce, its suppression, and the way back.

The emails go to a mail server on loopback: the local cloud permits SES to no function, because it
checks the permission to send on the resource `*`. Tests put the report of SES into the queue.
"""

from __future__ import annotations

import json

import pytest

from tests.e2e.api_session import ApiSession
from tests.e2e.system import System, answered, until
from tests.fake_servers.smtp_server import FakeSmtpServer
from tests.feedback import event
from tools.after_deploy import physical_ids
from tools.local_cloud import STACK, LocalCloud
from tools.processes import free_port

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
