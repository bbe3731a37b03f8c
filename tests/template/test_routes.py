"""Routes: one list, one folder and one event in the template for each."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from dispatcher.access.policy import ADMIN, ANY, PREFERENCES, READ, SEND, WRITE
from dispatcher.edges.routes import PAGES, ROUTES, allowed, scopes
from tests.template.rights import logical_id

ROOT = Path(__file__).parents[2]
FOLDERS = {path.parent.name for path in ROOT.glob("functions/*/app.py")}
BEHIND_QUEUES_AND_CLOCK = {
    *("accept_events", "accept_feedback", "deliver_messages", "sweep_deliveries"),
}
BEFORE_ROUTES = {"authorize_request"}
EVERY = (*ROUTES, *PAGES)
VERBS = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}


def api_events(properties):
    """Return the routes of a function."""
    events = properties.get("Events", {}).values()
    return [event["Properties"] for event in events if event["Type"] == "Api"]


def test_every_folder_is_a_function_and_every_function_a_folder(functions):
    """A function's logical ID is its folder's name in camel case; there is no other of either."""
    declared = {name: properties["CodeUri"] for name, properties in functions.items()}

    expected = {logical_id(folder): f"functions/{folder}" for folder in FOLDERS}

    assert declared == expected


def test_every_route_has_one_function_of_its_own(functions):
    """The template routes exactly what the list names, each to the folder that the list names."""
    answered = {route.function for route in EVERY}

    declared = [
        (event["Method"], event["Path"], folder)
        for folder in FOLDERS - {"refuse_request"}
        for event in api_events(functions[logical_id(folder)])
    ]

    assert sorted(declared) == sorted((one.method, one.path, one.function) for one in EVERY)
    assert FOLDERS - answered == BEHIND_QUEUES_AND_CLOCK | BEFORE_ROUTES | {"refuse_request"}


def test_the_authorizer_stands_before_every_route_but_the_open_ones(template, functions):
    """Of the methods of all functions, those of routes without a scope alone are left out."""
    open_routes = {(one.method, one.path) for one in EVERY if one.scopes is None}

    let_through = {
        (event["Method"], event["Path"]): event["Auth"]
        for properties in functions.values()
        for event in api_events(properties)
        if "Auth" in event
    }

    authorizer = template["Resources"]["Api"]["Properties"]["Auth"]
    assert let_through == {one: {"Authorizer": "NONE"} for one in open_routes}
    assert authorizer["DefaultAuthorizer"] in authorizer["Authorizers"]


def test_the_open_routes_are_these():
    """A new open route has to be named here."""
    open_routes = {one.path for one in EVERY if one.scopes is None}

    assert open_routes == {
        *("/health", "/openapi.json", "/docs", "/api/v1/session"),
        *("/", "/console", "/console/{proxy+}", "/p/{token}", "/u/{token}"),
    }


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.function)
def test_a_route_requires_a_scope_that_fits_its_method(route):
    """Reading routes accept the scope to read; routes that change something never do."""
    if route.method == "GET":
        # The overview is about all users.
        only = {None, ANY, *([(ADMIN,)] if route.function == "get_overview" else [])}
        assert route.scopes in only or READ in route.scopes
    else:
        assert route.scopes in {
            # Its credential is the link in its body.
            *([None] if route.function == "create_session" else []),
            *((WRITE,), (SEND,), (ADMIN,), (WRITE, PREFERENCES)),
            # A preview changes nothing; its body is too long for a GET.
            *([(READ, SEND, PREFERENCES)] if route.function == "preview_message" else []),
        }


def test_a_service_that_sends_can_follow_its_requests():
    """The scope to send gives access to one reading route, a single request."""
    readable = {
        one.function for one in ROUTES if one.method == "GET" and SEND in (one.scopes or ())
    }

    assert readable == {"get_request"}


def test_an_unlisted_route_is_nobodys():
    """A handler for it does not even load: there is no scope to fall back on."""
    with pytest.raises(ValueError, match="not enough values"):
        scopes("PATCH", "/health")


@pytest.mark.parametrize("route", EVERY, ids=lambda route: route.function)
def test_a_handler_answers_the_route_of_its_folder(route):
    """Decorator and list say the same, so what is generated from the handlers is true."""
    handler = import_module(f"functions.{route.function}.app").handler

    # A page's function serves several routes, and is named after the first.
    first = next(one for one in EVERY if one.function == route.function)
    assert (handler.method, handler.path) == (first.method, first.path)


def test_whatever_no_route_answers_is_refused_by_us(resources):
    """Unknown paths have every verb named, and on known paths AWS knows where the others go.

    A path is known to API Gateway from where any route goes on below it, such as /api: a resource
    without a method, for which a bearer token gets 403 ("signature") or 400 instead of 404.
    """
    api = resources["Api"]["Properties"]
    paths = api["DefinitionBody"]["paths"]

    refused = {
        (path, "ANY" if verb == "x-amazon-apigateway-any-method" else verb.upper())
        for path, item in paths.items()
        for verb in item
    }

    everywhere = {(path, verb) for path in ("/", "/{proxy+}") for verb in VERBS} - {("/", "GET")}
    known = {
        "/".join(segments[:length])
        for segments in (route.path.split("/") for route in EVERY)
        for length in range(2, len(segments) + 1)
    } - {"/"}
    assert known > {"/api", "/api/v1", "/api/v1/users", "/api/v1/users/{user_id}"}
    assert refused == everywhere | {(path, "ANY") for path in known}
    function = (
        "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/"
        "${RefuseRequestFunction.Arn}/invocations"
    )
    integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": {"Fn::Sub": function}}
    asked = {"x-amazon-apigateway-integration": integration, "responses": {}}
    assert [method for item in paths.values() for method in item.values()] == [asked] * len(refused)
    # SAM adds the routes of the functions' events only then.
    assert api["MergeDefinitions"] is True


def test_one_permission_lets_the_api_refuse(resources):
    """One statement covers all paths: one for each would outgrow the function's policy."""
    assert resources["RefuseRequestPermission"] == {
        "Type": "AWS::Lambda::Permission",
        "Properties": {
            "FunctionName": {"Ref": "RefuseRequestFunction"},
            "Action": "lambda:InvokeFunction",
            "Principal": "apigateway.amazonaws.com",
            "SourceArn": {
                "Fn::Sub": "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}"
                ":${Api}/*"
            },
        },
    }


def test_all_routes_belong_to_the_one_api(functions):
    """No event makes a second API of SAM beside ours."""
    apis = [
        event.get("RestApiId")
        for properties in functions.values()
        for event in api_events(properties)
    ]

    assert apis == [{"Ref": "Api"}] * len(apis)


@pytest.mark.parametrize(
    ("path", "verbs"),
    [
        ("/health", ("GET",)),
        ("/api/v1/users/john.doe/integrations", ("GET", "POST")),
        ("/api/v1/users/{user_id}/integrations/{integration_type}", ("DELETE", "GET", "PUT")),
        ("/api/v1/users/john.doe/integrations/", ()),
        ("/api/v1/users//integrations", ()),
        ("/console", ("GET",)),
        ("/console/assets/1/app/main.js", ("GET",)),
        ("/console/", ()),
        ("/p/token", ("GET",)),
        ("/p", ()),
        ("/u/x", ("GET", "HEAD", "POST")),
        ("/u", ()),
        ("/api", ()),
        ("/api/v1", ()),
        ("/api/v1/users", ()),
        ("/api/v1/users/john.doe", ()),
        ("/api/v1/users/john.doe/requests", ()),
        ("/", ("GET",)),
    ],
)
def test_a_path_knows_its_verbs(path, verbs):
    """A parameter stands for one segment that is not empty."""
    known = allowed(path)

    assert known == verbs
