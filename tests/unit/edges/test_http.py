"""The HTTP edge: what a caller sends, what comes back, and what the log says about it."""

from __future__ import annotations

import base64
import json
import uuid
from urllib.parse import urljoin

import pytest

from dispatcher import wiring
from dispatcher.edges import http
from dispatcher.errors import (
    BrokenSettingError,
    ConditionFailed,
    ConflictError,
    FieldError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from dispatcher.messages.acceptance import Accepted
from dispatcher.strict_json import LARGEST_BODY
from tests.catalogues import KNOWN_TYPES
from tests.fakes import MemoryEventLog

REQUEST_ID = "5f0c1d2e-3a4b-4c5d-8e6f-1a2b3c4d5e60"
PATH = "/api/v1/users/{user_id}/deliveries"
OPERATOR = {"caller": "key:operator", "user": "", "scopes": "dispatch:admin"}
EVERY_ANSWER = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@pytest.fixture
def event_log(monkeypatch):
    """The log of the edge."""
    kept = MemoryEventLog()
    monkeypatch.setattr(wiring, "event_log", lambda: kept)
    return kept


CONTEXT = object()


def event(**parts):
    """Return an event of API Gateway as small as it comes."""
    return {
        "httpMethod": "POST",
        "resource": PATH,
        "pathParameters": None,
        "multiValueQueryStringParameters": None,
        "multiValueHeaders": None,
        "requestContext": {"requestId": REQUEST_ID, "authorizer": OPERATOR},
        "body": None,
        "isBase64Encoded": False,
        **parts,
    }


def ask(respond, **parts):
    """Send an event through the edge to a handler."""
    return http.route("POST", PATH)(respond)(event(**parts), CONTEXT)


def read(part, **parts):
    """Read one part of a request, as a handler would."""
    return getattr(http.Request(event(**parts)), part)


def raising(error):
    """Return a handler that fails."""

    def respond(_request):
        raise error

    return respond


def problem(response):
    """Return status and body of a response that tells a problem."""
    assert response["headers"]["Content-Type"] == "application/problem+json"
    return response["statusCode"], json.loads(response["body"])


# Responses


def test_a_response_is_one_line_of_json_that_is_not_cached(event_log):
    """The body is compact UTF-8 without escapes, and ends with a newline."""
    response = ask(lambda _: http.Response(201, {"name": "Zoë", "n": [1, None]}, {"Location": "x"}))

    assert response == {
        "statusCode": 201,
        "headers": {**EVERY_ANSWER, "Content-Type": "application/json", "Location": "x"},
        "body": '{"name":"Zoë","n":[1,null]}\n',
        "isBase64Encoded": False,
    }


def test_an_answer_without_a_body_has_no_type_either(event_log):
    """A 204 is empty."""
    response = ask(lambda _: http.Response(204))

    assert response == {
        "statusCode": 204,
        "headers": EVERY_ANSWER,
        "body": "",
        "isBase64Encoded": False,
    }


def test_an_unhealthy_answer_says_when_to_ask_again(event_log):
    """Every 503 does, whether it is a problem or a report."""
    response = ask(lambda _: http.Response(503, {"status": "unhealthy"}))

    assert response["headers"]["Retry-After"] == "5"


def test_a_handler_knows_its_route():
    """Tests and generated documents ask the handler itself."""
    handler = http.route("GET", "/health")(raising(AssertionError))

    assert (handler.method, handler.path) == ("GET", "/health")


# Errors


@pytest.mark.parametrize(
    ("error", "name", "told", "headers"),
    [
        (
            NotFoundError("There is no such delivery."),
            "not-found",
            {"title": "Not found", "status": 404, "detail": "There is no such delivery."},
            {},
        ),
        (
            http.MethodNotAllowedError(["GET", "POST"]),
            "method-not-allowed",
            {
                "title": "Method not allowed",
                "status": 405,
                "detail": "This path supports GET, POST.",
            },
            {"Allow": "GET, POST"},
        ),
        (
            ConflictError("It is there."),
            "conflict",
            {"title": "Conflict", "status": 409, "detail": "It is there."},
            {},
        ),
        (
            BrokenSettingError("STAGE", "is not set"),
            "broken-setting",
            {"title": "Broken setting", "status": 503, "detail": "STAGE is not set"},
            {"Retry-After": "5"},
        ),
        (
            UnavailableError("Query failed: ThrottlingException"),
            "unavailable",
            {
                "title": "Service unavailable",
                "status": 503,
                "detail": "A dependency of the service did not respond.",
            },
            {"Retry-After": "5"},
        ),
    ],
)
def test_an_error_is_told_as_a_problem(event_log, error, name, told, headers):
    """RFC 9457, all five members; where to look is the instance that the log names."""
    response = ask(raising(error))

    assert response == {
        "statusCode": told["status"],
        "headers": {**EVERY_ANSWER, "Content-Type": "application/problem+json", **headers},
        "body": response["body"],
        "isBase64Encoded": False,
    }
    assert json.loads(response["body"]) == {
        "type": f"urn:integration-dispatcher:problem:{name}",
        **told,
        "instance": f"urn:uuid:{REQUEST_ID}",
    }


def test_a_wrong_input_is_told_flaw_by_flaw(event_log):
    """Each with a pointer, so that a form can show it where it belongs."""
    field_errors = [
        FieldError("/retry_count", "must be at most 20"),
        FieldError("/config/url", "is required"),
    ]

    response = ask(raising(InvalidInputError(*field_errors)))

    assert problem(response) == (
        422,
        {
            "type": "urn:integration-dispatcher:problem:invalid-input",
            "title": "Invalid input",
            "status": 422,
            "detail": "The request has 2 invalid fields; see `errors`.",
            "instance": f"urn:uuid:{REQUEST_ID}",
            "errors": [
                {"pointer": "/retry_count", "detail": "must be at most 20"},
                {"pointer": "/config/url", "detail": "is required"},
            ],
        },
    )


@pytest.mark.parametrize(
    "error", [ValueError("token=s3cret"), KeyError("s3cret"), ConditionFailed({0: {"x": "s3cret"}})]
)
def test_an_unknown_error_shows_nothing_of_itself(event_log, error):
    """Neither caller nor log sees a message that we did not write; the log says where it was."""
    response = ask(raising(error))

    status, body = problem(response)
    assert status == 500
    assert body["type"] == "urn:integration-dispatcher:problem:internal-error"
    assert body["detail"] == "The service has an internal error; search its log for this instance."
    assert "s3cret" not in json.dumps([response, event_log.lines])
    [(_, line)] = event_log.lines
    assert line["error"] == type(error).__name__


def test_a_crash_is_not_answered():
    """An exception that ends the process is not caught, so the next call begins with a new one."""
    with pytest.raises(SystemExit):
        ask(raising(SystemExit()))


def test_a_request_without_an_id_gets_one(event_log):
    """A problem always has an instance."""
    response = ask(raising(NotFoundError("no")), requestContext={"authorizer": OPERATOR})

    _, body = problem(response)
    assert uuid.UUID(body["instance"].removeprefix("urn:uuid:"))


# The log


def test_a_request_is_one_line_in_the_log(event_log):
    """A request is logged with caller, route, status and duration, without body and headers."""
    ask(
        lambda request: http.Response(200, {"seen": request.body}),
        pathParameters={"user_id": "john.doe"},
        multiValueHeaders={"Authorization": ["Bearer s3cret"]},
        body='{"password":"s3cret"}',
    )

    [(name, line)] = event_log.lines
    assert name == "request.handled"
    assert line.pop("duration_ms") >= 0
    assert line == {
        "method": "POST",
        "route": PATH,
        "caller": "key:operator",
        "status": 200,
        "user_id": "john.doe",
        "delivery_id": None,
        "request_id": None,
    }
    assert event_log.invocation == (CONTEXT, {"api_request_id": REQUEST_ID})


def test_the_line_names_the_delivery_and_the_request_that_it_is_about(event_log):
    """The log line contains both IDs, so a search by either finds all lines of a message."""
    delivery_id = "01930b6e-7a1c-7000-8000-000000000001"
    ask(
        lambda _: http.Response(202, {"request_id": "r-1"}),
        pathParameters={"user_id": "john.doe", "delivery_id": delivery_id},
    )

    [(_, line)] = event_log.lines
    assert (line["delivery_id"], line["request_id"]) == (delivery_id, "r-1")


def test_the_line_names_the_request_of_the_path(event_log):
    """Also if the request is not found."""
    ask(
        raising(NotFoundError("no")),
        pathParameters={"user_id": "john.doe", "request_id": "a%2Fb"},
    )

    [(_, line)] = event_log.lines
    assert line["request_id"] == "a/b"


def test_a_fault_behind_us_is_named_in_the_log(event_log):
    """A 503 names no dependency to the caller, but the log does."""
    ask(raising(UnavailableError("Query failed: ThrottlingException")))

    [(_, line)] = event_log.lines
    assert line["error"] == "UnavailableError"
    assert line["reason"] == "Query failed: ThrottlingException"


def test_a_fault_of_ours_is_located_in_the_log(event_log):
    """File, line and function of every call on the way, innermost last."""
    ask(raising(ValueError("s3cret")))

    [(_, line)] = event_log.lines
    assert line["where"][-1].startswith("test_http.py:")
    assert line["where"][-1].endswith("raising.<locals>.respond")


def test_a_callers_mistake_is_no_more_than_named_in_the_log(event_log):
    """A pointer may hold a name from the body."""
    ask(raising(InvalidInputError(FieldError("/s3cret", "is not a known field"))))

    [(_, line)] = event_log.lines
    assert line["error"] == "InvalidInputError"
    assert "s3cret" not in str(line)


def test_a_user_id_that_breaks_the_rules_is_not_logged(event_log):
    """A line break in it would forge lines of the log."""
    ask(lambda _: http.Response(200), pathParameters={"user_id": "a%0d%0alevel=ERROR"})

    [(_, line)] = event_log.lines
    assert line["user_id"] is None


# Path


@pytest.mark.parametrize(
    ("given", "user_id"),
    [
        ("john.doe", "john.doe"),
        ("a%40b.com", "a@b.com"),
        ("a@b.com", "a@b.com"),
        ("a+b", "a+b"),
        ("a%2Bb", "a+b"),
        ("x" * 128, "x" * 128),
    ],
)
def test_a_user_id_is_decoded_once(given, user_id):
    """API Gateway passes it on encoded, `sam local` decoded; a plus is a plus in a path."""
    assert read("user_id", pathParameters={"user_id": given}) == user_id


@pytest.mark.parametrize(
    "given",
    [
        *("", "%20", "a%20b", "*", "u1%23", "..", "a%2Fb", "a%252Fb", "a%2540b", "-a", "x" * 129),
        *("a%0d%0ab", "a%0a", "a\n", "%ff", "u1%C2%A0", "%C3%A9", "%00", "a%ED%A0%80"),
    ],
)
def test_a_user_id_that_nobody_has_is_invalid(given):
    """The pattern holds for the whole of it, a trailing line break included."""
    with pytest.raises(InvalidInputError) as caught:
        read("user_id", pathParameters={"user_id": given})

    rule = "must be 1-128 letters, digits or . _ @ + | : -, the first a letter or digit"
    assert caught.value.field_errors == (FieldError("/user_id", rule),)


@pytest.mark.parametrize(
    ("given", "request_id"),
    [
        ("ticket-4711", "ticket-4711"),
        ("a%2Fb%3Fc%23d", "a/b?c#d"),
        ("a%252Fb", "a%2Fb"),
        ("100%25", "100%"),
        ("%2E%2E", ".."),
        ("a+b", "a+b"),
        ("x" * 256, "x" * 256),
        ("%2F" * 256, "/" * 256),
    ],
)
def test_a_request_id_is_decoded_once(given, request_id):
    """A request ID may contain any visible ASCII character, percent signs and slashes included."""
    assert read("request_id", pathParameters={"request_id": given}) == request_id


@pytest.mark.parametrize("given", ["", "a%20b", "a%0A", "a\n", "%C3%A9", "%ff", "%00", "x" * 257])
def test_a_request_id_that_no_request_can_have_is_not_found(given):
    """The pattern holds for the whole value."""
    with pytest.raises(NotFoundError, match=r"^There is no such request\.$"):
        read("request_id", pathParameters={"request_id": given})


@pytest.mark.parametrize(
    ("request_id", "location"),
    [
        ("ticket-4711", "requests/ticket-4711"),
        ("a/b?c#d", "requests/a%2Fb%3Fc%23d"),
        ("a%2Fb", "requests/a%252Fb"),
        (".", "requests/%2E"),
        ("..", "requests/%2E%2E"),
        ("...", "requests/..."),
    ],
)
def test_the_location_of_a_send_is_its_request(event_log, request_id, location):
    """The ID is one encoded segment, which reference resolution does not remove."""
    accepted = Accepted({"request_id": request_id}, replayed=False)

    response = ask(lambda _: http.accepted(accepted, requests="requests"))

    assert response["headers"]["Location"] == location
    sent_to = "http://localhost/api/v1/users/ada/deliveries"
    assert urljoin(sent_to, location) == f"http://localhost/api/v1/users/ada/{location}"
    encoded = location.removeprefix("requests/")
    assert read("request_id", pathParameters={"request_id": encoded}) == request_id


@pytest.mark.parametrize("given", ["email", "EMAIL", "Email"])
def test_an_integration_is_named_in_any_case(given):
    """And is in upper case from there on."""
    assert read("integration_type", pathParameters={"integration_type": given}) == "EMAIL"


@pytest.mark.parametrize("given", ["", "FAX", "EMAIL ", "SLAC\u212a", "\ufb00", None])
def test_an_unknown_integration_is_not_found(given):
    """Letters that only become ASCII in upper case do not count."""
    with pytest.raises(NotFoundError, match=KNOWN_TYPES):
        read("integration_type", pathParameters={"integration_type": given})


def test_a_delivery_id_is_a_uuid_in_its_one_form():
    """As we write it: lower case, with hyphens."""
    delivery_id = "019aae2c-8f00-7000-8a5b-3c1d2e4f5a6b"

    assert read("delivery_id", pathParameters={"delivery_id": delivery_id}) == delivery_id


@pytest.mark.parametrize(
    "given",
    ["", "x", "019AAE2C-8F00-7000-8A5B-3C1D2E4F5A6B", "019aae2c8f0070008a5b3c1d2e4f5a6b"],
)
def test_a_delivery_id_in_another_form_is_not_found(given):
    """Nothing is called so, and the table need not be asked."""
    with pytest.raises(NotFoundError):
        read("delivery_id", pathParameters={"delivery_id": given})


@pytest.mark.parametrize(
    ("resource", "proxy", "path"),
    [
        ("/{proxy+}", "api/v1/x", "/api/v1/x"),
        ("/", None, "/"),
        ("/api/v1/users/{user_id}/deliveries", None, "/api/v1/users/{user_id}/deliveries"),
    ],
)
def test_a_path_is_told_by_its_template_where_it_has_one(resource, proxy, path):
    """Behind a prefix of a custom domain or a stage, both are still the same."""
    assert read("path", resource=resource, pathParameters={"proxy": proxy}) == path


# Query and headers


@pytest.mark.parametrize("given", [None, {}])
def test_no_query_is_an_empty_one(given):
    """API Gateway says null for none."""
    assert read("query", multiValueQueryStringParameters=given) == {}


def test_a_parameter_may_be_given_once():
    """Which of two would count differs between AWS and others."""
    given = {"limit": ["1", "2"], "offset": ["0"], "status": ["a", "a"], "a/b~c": ["", ""]}

    with pytest.raises(InvalidInputError) as caught:
        read("query", multiValueQueryStringParameters=given)

    assert caught.value.field_errors == (
        FieldError("/limit", "must be given once"),
        FieldError("/status", "must be given once"),
        FieldError("/a~1b~0c", "must be given once"),
    )


def test_a_header_is_found_in_any_case():
    """HTTP/2 and the local cloud write names in lower case."""
    request = http.Request(event(multiValueHeaders={"IDEMPOTENCY-key": ["k-1"]}))

    assert request.header("Idempotency-Key") == "k-1"
    assert request.header("Other") is None


def test_a_header_may_be_repeated_but_not_contradict_itself():
    """Two keys cannot both name one request."""
    same = http.Request(event(multiValueHeaders={"K": ["a", "a"], "k": ["a"]}))
    two = http.Request(event(multiValueHeaders={"K": ["a"], "k": ["b"]}))

    assert same.header("k") == "a"
    with pytest.raises(InvalidInputError, match="the header k must be given once"):
        two.header("k")


# Body


def test_a_body_is_a_json_object():
    """Its values are the use case's matter."""
    assert read("body", body='{"a": [1, "é", null]}') == {"a": [1, "é", None]}


def test_a_body_may_come_in_base64():
    """API Gateway does so for what it takes for binary."""
    encoded = base64.b64encode('{"a": "é"}'.encode()).decode()

    assert read("body", body=encoded, isBase64Encoded=True) == {"a": "é"}


@pytest.mark.parametrize(
    "body",
    [
        *(None, "", " ", "{", "{'a': 1}", "{} {}", "\ufeff{}", '{"a": NaN}', '{"a": Infinity}'),
        *('{"a": 1, "a": 2}', '{"a": {"b": 1, "b": 1}}', '{"a": 01}', '{"a": "\t"}'),
        "[" * 20_000 + "]" * 20_000,
        '{"a":' + "[" * 32 + "]" * 32 + "}",
        '{"a": ' + "9" * 5000 + "}",
        '{"a": "\ud800"}',
    ],
    ids=lambda body: repr(body)[:16],
)
def test_a_body_that_is_no_json_is_unreadable(body):
    """Nor is what only Python reads, or what two readers understand differently."""
    with pytest.raises(http.UnreadableBodyError, match=r"^The body "):
        read("body", body=body)


@pytest.mark.parametrize("encoded", ["!!!!", "é", "YQ", base64.b64encode(b'{"a": "\xff\xfe"}')])
def test_a_body_that_is_no_text_is_unreadable(encoded):
    """Neither broken base64 nor bytes that are no UTF-8."""
    text = encoded.decode() if isinstance(encoded, bytes) else encoded

    with pytest.raises(http.UnreadableBodyError, match=r"^The body is not UTF-8\.$"):
        read("body", body=text, isBase64Encoded=True)


@pytest.mark.parametrize("body", ["null", "1", '"x"', "[]", "[{}]", "true"])
def test_a_body_that_is_json_but_no_object_is_invalid(body):
    """It can be read, so it is not a 400."""
    with pytest.raises(InvalidInputError) as caught:
        read("body", body=body)

    assert caught.value.field_errors == (FieldError("", "must be a JSON object"),)


def test_a_body_nests_as_deep_as_a_row_does():
    """32 levels, the object itself counted."""
    deepest = '{"a":' + "[" * 31 + "]" * 31 + "}"

    assert "a" in read("body", body=deepest)


def test_a_body_has_a_limit_in_bytes():
    """A character of two bytes counts twice, and base64 is measured decoded."""
    full = '{"a":"' + "é" * ((LARGEST_BODY - 8) // 2) + '"}'
    encoded = base64.b64encode(full.encode()).decode()

    assert read("body", body=full) == read("body", body=encoded, isBase64Encoded=True)
    with pytest.raises(http.BodyTooLargeError, match="at most 262144 bytes"):
        read("body", body=full + " ")


def test_unreadable_and_too_large_have_answers_of_their_own(event_log):
    """400 and 413."""
    unreadable = ask(lambda request: http.Response(200, request.body), body="{")
    too_large = ask(lambda request: http.Response(200, request.body), body=" " * 300_000)

    assert problem(unreadable)[1]["title"] == "The body is not JSON"
    assert unreadable["statusCode"] == 400
    assert problem(too_large)[1]["title"] == "Body too large"
    assert too_large["statusCode"] == 413
