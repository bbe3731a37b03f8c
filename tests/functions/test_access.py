"""Every route checks the caller's rights first, and reads nothing for an unauthorized caller."""

from __future__ import annotations

import json
import re
from urllib.parse import unquote

import pytest

from dispatcher.access.policy import ADMIN, ANY, EVERY_USER, SCOPES, Caller
from dispatcher.edges.routes import ROUTES
from tests.functions.service import asked_by, sample

CLOSED = [route for route in ROUTES if route.scopes is not None]
SCOPED = [route for route in CLOSED if route.scopes != ANY]
PERSONAL = [route for route in CLOSED if "{user_id}" in route.path]
EVERYTHING = SCOPES - {ADMIN}


def outsiders(route):
    """Return by name who may not, though each lacks but one thing."""
    callers = {
        "nobody": Caller.of({}),
        "without scopes": Caller("token:john.doe", "john.doe", frozenset()),
        "with other scopes": Caller("token:john.doe", "john.doe", EVERYTHING - set(route.scopes)),
        "service with other scopes": Caller("key:x", EVERY_USER, EVERYTHING - set(route.scopes)),
    }
    if route in PERSONAL:
        callers |= {
            "another user": Caller("token:jane.doe", "jane.doe", EVERYTHING),
            "in another case": Caller("token:John.doe", "John.doe", EVERYTHING),
            "nobody's key": Caller("key:x", "", EVERYTHING),
        }
    return callers


@pytest.mark.parametrize("route", SCOPED, ids=lambda route: route.function)
def test_who_may_not_is_refused_before_anything_is_read(service, route):
    """403 without a single AWS call: the response reveals nothing about the data."""
    seen = {}
    for name, caller in outsiders(route).items():
        response = service.invoke(route.function, asked_by(caller, sample(route.function)))
        seen[name] = (response["statusCode"], list(service.called))

    assert seen == {name: (403, []) for name in outsiders(route)}


@pytest.mark.parametrize("route", CLOSED, ids=lambda route: route.function)
def test_a_route_without_the_authorizer_is_closed(service, route):
    """A function that is added to a path without the authorizer allows no call."""
    event = sample(route.function)
    del event["requestContext"]["authorizer"]

    response = service.invoke(route.function, event)

    assert (response["statusCode"], service.called) == (403, [])


@pytest.mark.parametrize("route", CLOSED, ids=lambda route: route.function)
def test_who_may_is_let_in(service, route):
    """Oneself, a service for every user, and an administrator: none of them gets a 403."""
    own = unquote((sample(route.function)["pathParameters"] or {}).get("user_id", ""))
    callers = [Caller("key:x", "", frozenset({ADMIN}))]
    for scope in route.scopes:
        callers.append(Caller(f"token:{own}", own, frozenset({scope})))
        callers.append(Caller("key:x", EVERY_USER, frozenset({scope})))

    statuses = [
        service.invoke(route.function, asked_by(caller, sample(route.function)))["statusCode"]
        for caller in callers
    ]

    assert not {401, 403, 500, 503} & set(statuses)


@pytest.mark.parametrize("given", ["jane%2Edoe", "jane%2edoe", "j%61ne.doe", "jane.doe"])
def test_the_check_and_the_handler_see_one_user(service, given):
    """However a path is encoded: who is checked is who is read."""
    jane = Caller("token:jane.doe", "jane.doe", EVERYTHING)
    john = Caller("token:john.doe", "john.doe", EVERYTHING)

    status, body = service.ask("list_overrides", user_id=given, caller=jane)
    refused, _ = service.ask("list_overrides", user_id=given, caller=john)

    assert (status, body) == (200, {"user_id": "jane.doe", "integrations": []})
    assert refused == 403


@pytest.mark.parametrize("given", ["john.doe%00", "john.doe%2F..", "john%252Edoe", "%6Aohn.doe%20"])
def test_a_user_that_is_only_nearly_the_callers_own_is_anothers(service, given):
    """Refused by the check, before the rules of a user's name are applied."""
    john = Caller("token:john.doe", "john.doe", EVERYTHING)

    status, _ = service.ask("list_overrides", user_id=given, caller=john)

    assert (status, service.called) == (403, [])


def test_a_foreign_delivery_looks_like_none(service):
    """Under their own name users find only their own: the responses differ only in the ID."""
    jane = Caller("token:jane.doe", "jane.doe", EVERYTHING)
    _, sent = service.ask("send_message", user_id="john.doe")
    real, none = sent["deliveries"][0]["delivery_id"], "019aae2c-8f00-7000-8a5b-3c1d2e4f5a01"

    for function in ("get_delivery", "retry_delivery", "cancel_delivery", "delete_message"):
        name = "message_id" if function == "delete_message" else "delivery_id"
        answers = [
            service.response(function, user_id="jane.doe", caller=jane, **{name: one})
            for one in (real, none)
        ]
        told = [json.loads(re.sub(f"{real}|{none}", "ID", answer["body"])) for answer in answers]
        assert told[0] == told[1], function
        assert told[0]["status"] == 404


@pytest.mark.parametrize(
    ("function", "parameter"), [("list_deliveries", "cursor"), ("list_messages", "after")]
)
def test_another_users_cursor_shows_nothing_of_theirs(service, function, parameter):
    """A cursor is a place in time: it reads the caller's own rows from there on."""
    mailbox = {"integration_type": ["TEST"]} if function == "list_messages" else {}
    for number in range(3):
        service.ask("send_message", {"content": "x", "request_id": f"r{number}"}, user_id="jane")
    service.deliver()
    _, page = service.ask(function, user_id="jane", query={"limit": ["1"], **mailbox})
    stolen = {parameter: [page["next_cursor"]], **mailbox}

    items = "deliveries" if function == "list_deliveries" else "messages"
    _, own = service.ask(function, user_id="jane", query=stolen)
    status, body = service.ask(function, user_id="john.doe", query=stolen)

    assert (status, len(own[items]), body[items], body["next_cursor"]) == (200, 2, [], None)


def test_an_unknown_path_is_told_to_every_caller(service):
    """The existing routes are public, so an unknown route needs no protection."""
    nobody = Caller("token:", "", frozenset())

    status, _ = service.ask("refuse_request", caller=nobody)

    assert status == 405
