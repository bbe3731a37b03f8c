"""Requests beyond the corpus: more of the same kinds, as others will try them."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dispatcher.edges.routes import ROUTES
from dispatcher.identifiers import USER_ID
from tests.functions.service import OPERATOR, asked_by, running
from tests.functions.service import sample as written

SEND, CREATE, CHANGE = "send_message", "create_override", "update_override"
shared_service = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def service(session):
    """One service for all: nothing that is refused may leave anything behind."""
    with running(session) as service:
        yield service


def sample(function):
    """Return the sample event, sent by a caller who may access any user."""
    event = written(function)
    return asked_by(OPERATOR, event) if "requestContext" in event else event


def refused(service, function, **changes):
    """Send the sample event with changes; return the status of a refusal that left nothing."""
    response = service.invoke(function, {**sample(function), **changes})
    body = json.loads(response["body"])
    assert response["headers"]["Content-Type"] == "application/problem+json"
    assert body["status"] == response["statusCode"]
    # Nothing was called, so nothing written; a send looks for its replay before it reads the clock.
    assert service.called in ([], [("dynamodb:GetItem", "DeliveriesTable")])
    return response["statusCode"]


DEEP = 100_000
NUMBERS = ["1e400", "-1e400", "1" * 5000, "1.0", "1e2", "+1", "01", "0x1", "1_0", "\u0663", "-1",
           "1e-1", "9" * 20, "1.", ".5", "Infinity", "-Infinity", "NaN", '"1"', "true", "[1]",
           "{}"]  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("field", ["priority", "retry_count", "retry_delay_seconds"])
def test_numbers_that_are_none(service, field, number):
    """Only a whole number in its range is one, written as JSON writes it."""
    body = f'{{"integration_type": "TEST", "{field}": {number}}}'

    status = refused(service, CREATE, body=body)

    assert status in {400, 422}


@pytest.mark.parametrize(
    "body",
    [
        "[" * DEEP,
        '{"content":' * DEEP,
        "[" * 33 + "]" * 33,
        '{"content": "x", "template_variables": ' + '{"a":' * 40 + "1" + "}" * 41,
        '\ufeff{"content": "x"}',
        '{"content": "x"}\x00',
        '{"content": "x"} {"content": "y"}',
        '{"content": "x",}',
        "{'content': 'x'}",
        '{"content": "x", "content": "y"}',
        '{"content": "x", "recipient": {"email": "a@b.co", "email": "c@d.co"}}',
        '{"content": "x", "\\u0063ontent": "y"}',
        '{"content": "\\ud800"}',
        '{"content": "\\udc00\\ud800"}',
        '{"\\ud800": "x", "content": "y"}',
        '{"content": "a\\u0000b"}',
        '{"content": "a\\u001bb"}',
        '{"content": "a\\ufffeb"}',
        '{"content": "a\x01b"}',
        '{"content": "a\nb"}',
        '{"content": "x", "subject": "a\\u2028b"}',
        '{"content": "x", "subject": "a\\u0085b"}',
        '{"content": "x", "request_id": "a b"}',
        '{"content": "x", "request_id": ""}',
        '{"content": "x", "request_id": "' + "r" * 257 + '"}',
        '{"content": "x", "request_id": "a\\u0000"}',
        '{"content": "x", "__proto__": {}}',
        '{"content": "x", "user_id": "other"}',
        '{"content": "x", "Content": "y"}',
        '{"content": ["x"]}',
        '{"content": {"$gen": 1}}',
        '{"content": "\\u3000\\u00a0"}',
        '{"content": "x", "integration_types": []}',
        '{"content": "x", "integration_types": ["TEST", "test"]}',
        '{"content": "x", "integration_types": ["te\\u017ft"]}',
        '{"content": "x", "integration_types": "TEST"}',
        '{"content": "x", "mode": "ALL"}',
        '{"content": "x", "deliver_at": 1}',
        '{"content": "x", "deliver_at": "2026-13-01T00:00:00Z"}',
        '{"content": "x", "deliver_at": "2026-02-30T00:00:00Z"}',
        '{"content": "x", "deliver_at": "9999-12-31T23:59:59-23:59"}',
        '{"content": "x", "deliver_at": "٢٠٢٦-01-01T00:00:00Z"}',
        '{"content": "x", "expires_at": "2000-01-01T00:00:00Z"}',
        '{"content": "$a$a", "template_variables": {"a": "' + "x" * 70_000 + '"}}',
        '{"content": "' + "$a" * 60_000 + '", "template_variables": {"a": "xxxxxxxx"}}',
        '{"content": "x", "template_variables": {"a-b": 1}}',
        '{"content": "x", "template_variables": {"a": [1]}}',
        '{"content": "x", "template_variables": {"a": 1e400}}',
        '{"content": "x", "recipient": {"email": "a@b.co\\nBcc: c@d.co"}}',
        '{"content": "x", "recipient": {"email": "a@b.co,c@d.co"}}',
        '{"content": "x", "recipient": {"phone_number": "+١٤١٥٥٥٥٢٦٧١"}}',
        '{"content": "x", "recipient": {"slack_user_id": "<!channel>"}}',
        '"x"', "1", "true", "null", "[]", "", " ", "\x00", "content=x&a=b",
        '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
        "--b\r\nContent-Disposition: form-data; name=content\r\n\r\nx\r\n--b--",
    ],
)  # fmt: skip
def test_bodies_that_are_none(service, body):
    """Not JSON, not ours, or with a character that cannot be kept: refused, and nothing stored."""
    status = refused(service, SEND, body=body)

    assert status in {400, 413, 422}


GOOD = '{"content": "x"}'


@pytest.mark.parametrize(
    "data",
    [
        GOOD.encode("utf-16"),
        GOOD.encode("utf-16-le"),
        GOOD.encode("utf-32"),
        GOOD.encode("utf-8-sig"),
        b'{"content": "\xff"}',
        b'{"content": "\xc0\xaf"}',
        b'{"content": "\xc0\x80"}',
        b'{"content": "\xe0\x80\xaf"}',
        b'{"content": "\xed\xa0\x80"}',
        b'{"content": "\xf4\x90\x80\x80"}',
        b'{"content": "\xe2\x82"}',
        b"\x1f\x8b\x08\x00" + b"\x00" * 20,
        b"\x00" * 100,
        b'{"content": "' + b"x" * 262_144 + b'"}',
    ],
)
def test_bytes_that_are_no_text(service, data):
    """UTF-8 in its one right form is all that is read, at most 256 KiB of it."""
    body = base64.b64encode(data).decode()

    status = refused(service, SEND, body=body, isBase64Encoded=True)

    assert status in {400, 413}


@pytest.mark.parametrize("body", ["!", "e30", "e3 0=", "\u0661", "=" * 8, "e30=e30="])
def test_base64_that_is_none(service, body):
    """An invalid base64 body is the client's error, not a fault."""
    status = refused(service, SEND, body=body, isBase64Encoded=True)

    assert status in {400, 422}


IDS = [
    "%00", "a%00", "%0A", "a%0d%0a", "%2e%2e", "..", ".", "-a", "@a", "%20a", "a%20", "a%2Fb",
    "a/b", "a%5cb", "%252e", "a%25", "a%zz", "%", "a" * 129, "", "%c0%ae", "%ff", "%ed%a0%80",
    "%E2%80%8B", "%EF%BC%A1", "\u00e9", "%C3%A9", "a%23", "a?b", "a;b", "a,b", "a*b", "a'b",
    'a"b', "a<b",
    "$(id)", "%F0%9F%98%80", "a%09b", "{user_id}", "a%7f", "a b", "\ud800", "a\u202eb", "a%26b",
    "a=b", "~root",
]  # fmt: skip


@pytest.mark.parametrize(
    "route", [one for one in ROUTES if "{user_id}" in one.path], ids=lambda one: one.function
)
def test_user_ids_that_are_none(service, route):
    """No route reads anything for a user who cannot exist."""
    named = sample(route.function)["pathParameters"]

    statuses = {
        user_id: refused(service, route.function, pathParameters={**named, "user_id": user_id})
        for user_id in IDS
    }

    assert statuses == dict.fromkeys(IDS, 422)


@shared_service
@given(st.text(max_size=140))
@example("a%40b")
def test_any_text_as_user_id(service, text):
    """Encoded as AWS hands it over, a user ID is of its pattern or refused before any read."""
    event = sample("list_overrides")
    encoded = quote(text, safe="", errors="surrogatepass")

    response = service.invoke("list_overrides", {**event, "pathParameters": {"user_id": encoded}})

    fits = USER_ID.fullmatch(text) is not None
    assert response["statusCode"] == (200 if fits else 422)
    assert json.loads(response["body"]).get("user_id") == (text if fits else None)


PAGES = ["+5", "-1", "1_0", "\u0663", "1e2", " 5", "5 ", "5\n", "", "0x5", "5.0", "201", "0",
         "9" * 99, "00000000005", "five", "null", "\uff15", "\u2085", "5;DROP",
         "\x00"]  # fmt: skip


@pytest.mark.parametrize("value", PAGES)
@pytest.mark.parametrize("function", ["list_deliveries", "list_messages"])
def test_limits_that_are_none(service, function, value):
    """A limit is digits from 1 to 200."""
    status = refused(service, function, multiValueQueryStringParameters={"limit": [value]})

    assert status == 422


@pytest.mark.parametrize("value", [*PAGES[:10], "10001", "\u0663"])
def test_offsets_that_are_none(service, value):
    """An offset is digits from 0 to 10,000."""
    status = refused(
        service, "list_deliveries", multiValueQueryStringParameters={"offset": [value]}
    )

    assert status == 422


@pytest.mark.parametrize("function", ["list_deliveries", "list_messages"])
@shared_service
@given(value=st.one_of(st.text(max_size=60), st.binary(max_size=60).map(base64.urlsafe_b64encode)))
@example(value="A" * 100_000)
@example(value=base64.urlsafe_b64encode(bytes(24)).decode())
def test_cursors_that_are_none(service, function, value):
    """A token or cursor that the service did not issue to this user is invalid."""
    name = {"list_deliveries": "cursor", "list_messages": "after"}[function]
    text = value.decode() if isinstance(value, bytes) else value

    status = refused(service, function, multiValueQueryStringParameters={name: [text]})

    assert status == 422


@pytest.mark.parametrize(
    "query",
    [
        {"limit": ["1", "2"]},
        {"limit": ["1"], "cursor": ["x"], "offset": ["1"]},
        {"limit[]": ["1"]},
        {"LIMIT": ["1"]},
        {"user_id": ["other"]},
        {"status": ["PENDING"]},
        {"status": [""]},
        {"integration_type": ["te\u017ft"]},
        {"request_id": ["\ud800"]},
        {"request_id": ["a" * 300]},
        {"": ["1"]},
        {"\ud800": ["1"]},
    ],
)
def test_queries_that_are_none(service, query):
    """Unknown, doubled or foreign parameters are refused, whatever they hold."""
    status = refused(service, "list_deliveries", multiValueQueryStringParameters=query)

    assert status == 422


@pytest.mark.parametrize(
    "headers",
    [
        {"Idempotency-Key": ["a", "b"]},
        {"Idempotency-Key": ["a"], "idempotency-key": ["b"]},
        {"Idempotency-Key": [""]},
        {"Idempotency-Key": ["a b"]},
        {"Idempotency-Key": ["\u00e9"]},
        {"Idempotency-Key": ["k" * 257]},
        {"Idempotency-Key": ["\ud800"]},
    ],
)
def test_idempotency_keys_that_are_none(service, headers):
    """A key is given once, and is a request ID."""
    status = refused(service, SEND, multiValueHeaders=headers, body=GOOD)

    assert status == 422


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": ["text/plain"]},
        {"Content-Type": ["application/x-www-form-urlencoded"]},
        {"Content-Encoding": ["gzip"]},
        {"X-HTTP-Method-Override": ["DELETE"]},
        {"Host": ["169.254.169.254"], "X-Forwarded-Host": ["evil.example"]},
        {"Accept": ["*/*" * 1000]},
        {"Cookie": ["a=b"], "Transfer-Encoding": ["chunked"]},
    ],
)
@pytest.mark.parametrize("function", ["list_overrides", "get_effective_configuration", SEND])
def test_headers_that_mean_nothing_here(service, function, headers):
    """A route responds as it does without them: no other method, no other host, no fault."""
    event = {**sample(function), "body": GOOD if function == SEND else "GET with a body"}

    plain = service.invoke(function, event)
    dressed = service.invoke(
        function, {**event, "multiValueHeaders": {**event["multiValueHeaders"], **headers}}
    )

    assert plain["statusCode"] == dressed["statusCode"] in {200, 202}
    assert "evil.example" not in json.dumps(dressed)


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=9)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from([
    "content", "subject", "request_id", "recipient", "mode", "deliver_at", "template_variables",
    "integration_types", "integration_type", "enabled", "priority", "config", "session_id",
])  # fmt: skip


@pytest.mark.parametrize("function", [SEND, CREATE, CHANGE])
@shared_service
@given(body=st.one_of(JSON, st.dictionaries(FIELDS, JSON, max_size=5)))
def test_any_json_is_answered(service, function, body):
    """No JSON body causes a fault: it is accepted by its rules, or refused by them."""
    event = {**sample(function), "body": json.dumps(body)}

    response = service.invoke(function, event)

    assert response["statusCode"] in {200, 201, 202, 400, 404, 409, 422}


@shared_service
@given(st.binary(max_size=80))
def test_any_bytes_are_answered(service, data):
    """So with bytes of any kind."""
    body = base64.b64encode(data).decode()

    response = service.invoke(SEND, {**sample(SEND), "body": body, "isBase64Encoded": True})

    assert response["statusCode"] in {400, 422}


@pytest.mark.parametrize("function", ["accept_events", "deliver_messages"])
@shared_service
@given(body=st.one_of(st.text(max_size=60), JSON.map(json.dumps)))
@example(body="[" * DEEP)
@example(body='{"v":1,"kind":"request","user_id":"a","request_id":' + "9" * 5000 + "}")
@example(body='{"v":1,"kind":"delivery","user_id":"a","delivery_id":"b","due_at":1e400}')
@example(body='{"v":true,"kind":"request","user_id":"a","request_id":"r"}')
def test_any_message_is_parked_or_acknowledged(service, function, body):
    """A foreign message in a queue never comes back forever."""
    event = sample(function)
    [record, *_] = event["Records"]

    answer = service.invoke(function, {"Records": [{**record, "messageId": "m", "body": body}]})

    assert answer == {"batchItemFailures": []}
