"""The samples in ``events``: each is what AWS sends, and each works."""

from __future__ import annotations

import json

import pytest

from dispatcher import wiring
from dispatcher.configuration.suppressions import suppression_id
from dispatcher.edges.routes import PAGES, ROUTES
from tests.functions.service import EVENTS, sample
from tests.functions.test_documentation import SHOWN_AT

ROUTED = {route.function: route for route in (*ROUTES, *reversed(PAGES))}
"""A page's HEAD is the sample of its GET."""

FUNCTIONS = {path.parent.name for path in EVENTS.parent.glob("functions/*/app.py")}
STATUS = {
    "get_health": 200,
    "get_openapi": 200,
    "get_docs": 200,
    "get_integration_defaults": 200,
    "get_effective_configuration": 200,
    "reset_overrides": 200,
    "list_overrides": 200,
    "create_override": 201,
    "get_override": 200,
    "update_override": 200,
    "delete_override": 204,
    "list_suppressions": 200,
    "delete_suppression": 204,
    "list_categories": 200,
    "put_category": 201,
    "delete_category": 204,
    "get_preferences": 200,
    "update_preferences": 200,
    "delete_preferences": 204,
    "preview_message": 200,
    "send_message": 202,
    "list_deliveries": 200,
    "get_delivery": 200,
    "get_request": 200,
    "retry_delivery": 202,
    "recover_deliveries": 202,
    "cancel_delivery": 200,
    "test_integration": 202,
    "rotate_secret": 200,
    "list_messages": 200,
    "delete_message": 204,
    "get_console": 200,
    "get_overview": 200,
    "get_session": 200,
    "create_session": 201,
    "create_preferences_link": 201,
    "show_unsubscribe": 200,
    "unsubscribe": 200,
    "refuse_request": 405,
}
WITHOUT_JSON = {
    *("get_docs", "get_console", "delete_override", "delete_message"),
    *("delete_category", "delete_preferences", "delete_suppression"),
    *("show_unsubscribe", "unsubscribe"),
}


def test_every_function_has_a_sample_and_every_sample_a_function():
    """For ``sam local invoke``, and as documentation of each event."""
    samples = {path.stem for path in EVENTS.glob("*.json")}

    assert samples == FUNCTIONS
    assert set(STATUS) == set(ROUTED) | {"get_console", "refuse_request"}


@pytest.mark.parametrize("function", ROUTED)
def test_a_sample_is_of_its_functions_route(function):
    """Verb, path and parameters fit together as API Gateway would have them."""
    event = sample(function)

    route = ROUTED[function]
    path = route.path
    for name, value in (event["pathParameters"] or {}).items():
        path = path.replace(f"{{{name}}}", value)
    context = event["requestContext"]
    assert (event["httpMethod"], event["resource"]) == (route.method, route.path)
    assert (context["httpMethod"], context["resourcePath"]) == (route.method, route.path)
    assert event["path"] == path
    assert context["path"] == f"/{context['stage']}{path}"


def suppress(event):
    """Suppress an address of the event's user, and let the event name the suppression."""
    user_id, address = event["pathParameters"]["user_id"], "john.doe@company.com"
    fields = {"at": 1.0, "delivery_id": "d", "detail": "", "state": "bounced"}
    wiring.suppressions().add(user_id, "EMAIL", address, **fields)
    event["pathParameters"]["suppression_id"] = suppression_id("EMAIL", address)


@pytest.mark.parametrize("function", STATUS)
def test_a_sample_of_a_request_is_answered(service, time_machine, function):
    """The override that some speak of is there; a delivery has the ID that it has."""
    event = sample(function)
    if function == "recover_deliveries":
        time_machine.move_to(SHOWN_AT)
    if function != "create_override":
        service.invoke("create_override", sample("create_override"))
    if "delivery_id" in (event["pathParameters"] or {}):
        service.ask(
            "create_override",
            {"integration_type": "TEST", "retry_count": 0, "config": {"failure": "permanent"}},
        )
        _, sent = service.ask("send_message", {"content": "x", "integration_types": ["TEST"]})
        event["pathParameters"]["delivery_id"] = sent["deliveries"][0]["delivery_id"]
    if function == "delete_suppression":
        suppress(event)
    if function == "delete_category":
        service.invoke("put_category", sample("put_category"))
    if function == "get_request":
        service.invoke("send_message", sample("send_message"))
    if function == "retry_delivery":
        service.deliver()
    if function == "rotate_secret":
        body = {"integration_type": "WEBHOOK", "config": {"url": "https://hooks.example.com/"}}
        service.ask("create_override", body)
    if function == "delete_message":
        _, sent = service.ask("test_integration", integration_type="TEST")
        event["pathParameters"]["message_id"] = sent["deliveries"][0]["delivery_id"]
        service.deliver()

    response = service.invoke(function, event)

    assert response["statusCode"] == STATUS[function]
    assert set(response) == {"statusCode", "headers", "body", "isBase64Encoded"}
    assert all(isinstance(value, str) for value in response["headers"].values())
    is_json = "json" in response["headers"].get("Content-Type", "")
    assert isinstance(json.loads(response["body"]), dict) if is_json else function in WITHOUT_JSON


def test_the_sample_of_the_authorizer_is_let_in(service):
    """With a key whose fingerprint is in the secret, for the one user that it is meant for."""
    answer = service.invoke("authorize_request", sample("authorize_request"))

    assert answer == {
        "principalId": "key:ticketing",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "execute-api:Invoke",
                    "Resource": "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/prod/*",
                }
            ],
        },
        "context": {
            "caller": "key:ticketing",
            "user": "john.doe",
            "scopes": "dispatch:read dispatch:send",
        },
    }


@pytest.mark.parametrize("function", ["deliver_messages", "accept_events", "accept_feedback"])
def test_a_sample_of_messages_is_answered(service, function):
    """A doorbell whose row is missing is not a reason to come back."""
    answer = service.invoke(function, sample(function))

    assert answer == {"batchItemFailures": []}


def test_the_sample_of_the_clock_starts_a_sweep(service):
    """An empty batch needs no work."""
    counts = service.invoke("sweep_deliveries", sample("sweep_deliveries"))

    assert set(counts.values()) == {0}
