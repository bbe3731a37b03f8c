"""Marked secrets go through the deployed service, and are found nowhere but encrypted."""

from __future__ import annotations

import base64
import json
import uuid

import pytest

from tests.canary import Canary
from tests.e2e.system import answered, until

QUEUES = ("Delivery", "Retry", "DeadLetter", "Intake", "Parked")
HEADER = Canary("header", f'cAnArY-header "{uuid.uuid4()}\\0c<d>&+/=end')
QUERY = Canary("query", f"cAnArY~query!{uuid.uuid4()}%2F0c$d+e=end")
CONTENT = Canary("content", f'cAnArY content "{uuid.uuid4()}\\0c<d>&+/=end')
ADDRESS = Canary("address", f"canary.{uuid.uuid4()}@example.com")


def found(canaries, thing):
    """Name the canaries that are in a thing."""
    return [one.name for one in canaries if one.is_in(thing)]


def signing(answer):
    """Make a canary of an issued secret: its text, and the key within."""
    text = answer["signing_secret"].removeprefix("whsec_")
    return Canary("signing", text, base64.b64decode(text))


@pytest.fixture
def tool(aws, stack):
    """A tool that listens on the tool bus: the URL of its queue."""
    sqs, events = aws.client("sqs"), aws.client("events")
    url = sqs.create_queue(QueueName=f"tool-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    rule = {"Name": "canary", "EventBusName": stack["ToolBusName"]}
    pattern = json.dumps({"detail-type": ["integration.message"]})
    events.put_rule(**rule, EventPattern=pattern)
    target = {"Id": "1", "Arn": arn["QueueArn"]}
    events.put_targets(Rule="canary", EventBusName=stack["ToolBusName"], Targets=[target])
    yield url
    events.remove_targets(Rule="canary", EventBusName=stack["ToolBusName"], Ids=["1"])
    events.delete_rule(**rule)


def rows(table):
    """Return all rows of a table."""
    page = table.scan(ConsistentRead=True)
    found_rows = page["Items"]
    while "LastEvaluatedKey" in page:
        page = table.scan(ConsistentRead=True, ExclusiveStartKey=page["LastEvaluatedKey"])
        found_rows += page["Items"]
    return found_rows


def all_logs(aws):
    """Yield all lines of all log groups, by group."""
    logs = aws.client("logs")
    for page in logs.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            name = group["logGroupName"]
            pages = logs.get_paginator("filter_log_events").paginate(logGroupName=name)
            yield name, "".join(event["message"] for one in pages for event in one["events"])


def test_no_secret_is_anywhere(  # noqa: PLR0915 - one narrator, searched once at its end
    system, aws, cloud, receiver, user, tool
):
    """Created, changed, refused, sent, failed, redriven, parked: then everything is searched."""
    answers = []
    api, path = system.api, f"/api/v1/users/{user}"

    def ask(method, rest, status, body=None):
        response = api.request(method, path + rest, json=body)
        assert response.status_code == status, response.text
        answers.append((response.text, dict(response.headers)))
        return response.json() if response.content else None

    # Each status is that of one attempt; the receiver repeats the secrets with it.
    repeated = {"X-Said": HEADER.text, "Location": f"/?{QUERY.text}", "Retry-After": "soon"}
    receiver.script = [
        (204, {}),
        (500, repeated),
        (302, repeated),
        (500, repeated),
        (200, repeated),
    ]
    url = f"{receiver.url}?token={QUERY.text}"
    config = {"url": url, "headers": {"X-Api-Key": HEADER.text}}
    override = {"integration_type": "WEBHOOK", "retry_count": 0, "config": config}
    made = answered(api.post(f"{path}/integrations", json=override), 201)
    assert made["config"]["headers"] == {"X-Api-Key": "***"}
    secrets = [HEADER, QUERY, signing(made)]

    shown = ask("GET", "/integrations/WEBHOOK", 200)["config"]
    ask("GET", "/integrations", 200)
    ask("GET", "/integration-defaults", 200)
    ask("PUT", "/integrations/WEBHOOK", 200, {"config": {**shown, "method": "PUT"}})
    secrets.append(signing(answered(api.post(f"{path}/integrations/WEBHOOK/rotate-secret"), 200)))
    elsewhere = {**shown, "url": "https://elsewhere.example.com/?token=***"}
    ask("PUT", "/integrations/WEBHOOK", 422, {"config": elsewhere})
    ask("PUT", "/integrations/WEBHOOK", 422, {"config": {**config, "method": HEADER.text}})
    ask("PUT", "/integrations/WEBHOOK", 422, {"config": {**config, "url": url + "#"}})
    ask("POST", "/integrations", 409, override)

    message = {
        "content": f"$greeting {CONTENT.text}",
        "template_variables": {"greeting": CONTENT.text},
        "recipient": {"email": ADDRESS.text},
    }
    ended = []
    for types in (["WEBHOOK", "TEST", "CLI", "TOOL"], ["WEBHOOK"], ["WEBHOOK"]):
        ask("POST", "/integrations/TOOL/test", 202)
        sent = ask("POST", "/deliveries", 202, {**message, "integration_types": types})
        ended += [system.ended(user, one["delivery_id"]) for one in sent["deliveries"]]
    failed = next(one for one in ended if one["error_code"] == "http_500")
    ask("POST", f"/deliveries/{failed['delivery_id']}/retry", 202)
    until(lambda: len(receiver.arrivals) == 4)
    again = until(lambda: _failed(system, user, failed["delivery_id"], rounds=2))
    system.ring("Delivery", {"v": 2, "kind": "redrive", "user_id": user,
                             "delivery_id": again["delivery_id"], "round": 3})  # fmt: skip
    until(lambda: len(receiver.arrivals) == 5)
    ask("GET", f"/deliveries/{failed['delivery_id']}", 200)
    ask("GET", "/deliveries", 200)
    system.ring("Delivery", f'not a doorbell: "{ADDRESS.text}"')
    system.ring("Intake", {"user_id": "?", "content": CONTENT.text})
    until(lambda: found([CONTENT], system.messages("Parked")))
    until(lambda: found([ADDRESS], system.messages("Parked")))
    until(lambda: system.messages_at(tool))

    # The secrets did travel to their receiver, and the search finds them there.
    seen = [(one.method, one.path, one.headers["x-api-key"]) for one in receiver.arrivals]
    assert seen == [("PUT", f"/hook?token={QUERY.text}", HEADER.text)] * 5
    tables = {"overrides": rows(system.overrides), "deliveries": rows(system.deliveries)}
    queues = {queue: system.messages(queue) for queue in QUEUES} | {
        "tool": system.messages_at(tool)
    }
    logs = dict(all_logs(aws))
    files = {str(file): file.read_bytes() for file in cloud.home.rglob("*.log")}
    assert found([CONTENT, ADDRESS], tables) == ["content", "address"]
    assert any("delivery.attempted" in text for text in logs.values())
    assert files
    for where in (answers, tables, queues, logs, files, ended):
        assert found(secrets, where) == []
    for where in (
        logs,
        files,
        {name: queues[name] for name in ("Delivery", "Retry", "DeadLetter")},
    ):
        assert found([CONTENT, ADDRESS], where) == []


def _failed(system, user, delivery_id, rounds):
    """Return a delivery that has failed in so many rounds."""
    shown = system.delivery(user, delivery_id)
    over = shown["status"] == "failed" and shown["attempt_log"][-1]["round"] == rounds
    return shown if over else None
