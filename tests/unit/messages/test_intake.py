"""Messages that arrive as events: three shapes, one identity each, and what is malformed."""

from __future__ import annotations

import hashlib
import json

import pytest

from dispatcher.delivery.doorbells import Doorbell
from dispatcher.errors import BrokenSettingError, InvalidInputError, UnavailableError
from dispatcher.messages.intake import read_event
from dispatcher.strict_json import LARGEST_BODY, MalformedJsonError
from tests.fakes import Faulty
from tests.world import USER, World

COMPACT = {"separators": (",", ":")}
SEND = {"user_id": USER, "content": "Hello"}
BRIDGE = {
    "version": "0",
    "id": "e-1",
    "detail-type": "agent.response-ready",
    "source": "agent",
    "account": "123456789012",
    "time": "2027-01-15T08:00:00Z",
    "region": "eu-central-1",
    "resources": [],
    "detail": SEND,
}
CLOUD = {
    "specversion": "1.0",
    "type": "agent.response-ready",
    "source": "/agents/a",
    "id": "c-1",
    "time": "2027-01-15T08:00:00Z",
    "data": SEND,
}


def cloud_identity(source: str, name: str) -> str:
    """Return the identity of a CloudEvent."""
    return "ce-" + hashlib.sha256(f"{source}\n{name}".encode()).hexdigest()


C1 = cloud_identity("/agents/a", "c-1")


@pytest.mark.parametrize(
    ("event", "identity"),
    [
        (SEND, "m-1"),
        ({**SEND, "request_id": "r-1"}, "r-1"),
        (BRIDGE, "e-1"),
        ({**BRIDGE, "detail": {**SEND, "request_id": "r-1"}}, "r-1"),
        ({name: value for name, value in BRIDGE.items() if name != "id"}, "m-1"),
        ({**BRIDGE, "id": ""}, "m-1"),
        ({**BRIDGE, "id": 5}, "m-1"),
        (CLOUD, C1),
        ({**CLOUD, "data": {**SEND, "request_id": "r-1"}}, "r-1"),
        ({**CLOUD, "id": "c-2"}, cloud_identity("/agents/a", "c-2")),
        ({**CLOUD, "source": "/agents/b"}, cloud_identity("/agents/b", "c-1")),
        ({**CLOUD, "id": "\u00e9" * 300}, cloud_identity("/agents/a", "\u00e9" * 300)),
        ({**BRIDGE, "detail": CLOUD}, C1),
        ({**BRIDGE, "detail": {**CLOUD, "data": {**SEND, "request_id": "r-1"}}}, "r-1"),
        ({name: value for name, value in CLOUD.items() if name != "id"}, "m-1"),
        ({name: value for name, value in CLOUD.items() if name != "source"}, "m-1"),
        ({**CLOUD, "id": ""}, "m-1"),
        ({**BRIDGE, "detail": {**CLOUD, "source": None}}, "e-1"),
    ],
)
def test_an_event_is_named_by_what_is_closest_to_its_message(event, identity):
    """``request_id``, else CloudEvents source and ID, else EventBridge's ID, else the queue's."""
    user_id, send = read_event(json.dumps(event), "m-1")

    assert (user_id, send) == (USER, {"content": "Hello", "request_id": identity})


def test_an_event_is_accepted_like_a_request(world):
    """An event leads to the same rows and the same ring; nothing is parked."""
    body = {**BRIDGE, "detail": {**SEND, "integration_types": ["TEST"], "session_id": "s-1"}}

    world.intake.take(json.dumps(body), "m-1")

    request = world.table.request(USER, "e-1")
    row = world.table.message(USER, request.message_id)
    assert (row.session_id, [delivery.type for delivery in row.deliveries]) == ("s-1", ["TEST"])
    doorbell = Doorbell(USER, request.message_id, "e-1", world.clock.now())
    assert world.doorbells.rung == [("delivery", doorbell, 0)]
    assert world.doorbells.parked == []


@pytest.mark.parametrize("event", [SEND, BRIDGE, CLOUD])
def test_an_event_that_comes_twice_is_accepted_once(world, event):
    """Queues and buses deliver at least once."""
    for _ in range(2):
        world.intake.take(json.dumps(event), "m-1")

    assert (len(world.table.rows), len(world.doorbells.rung)) == (2, 1)
    assert world.doorbells.parked == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "is not valid JSON"),
        ("{", "is not valid JSON"),
        ('{"user_id": "a", "user_id": "b"}', "contains a key twice in one object"),
        ("[]", "must be a JSON object"),
        ({**BRIDGE, "detail": "x"}, "/detail: must be a JSON object"),
        ({**CLOUD, "data": []}, "/data: must be a JSON object"),
        ({**BRIDGE, "detail": {**CLOUD, "data": None}}, "/data: must be a JSON object"),
        ({"content": "x"}, "/user_id: is required"),
        ({**SEND, "user_id": None}, "/user_id: must be 1-128 "),
        ({**SEND, "user_id": "../x"}, "/user_id: must be 1-128 "),
        ({**SEND, "user_id": ["ada"]}, "/user_id: must be 1-128 "),
        ({"user_id": USER}, "/content: is required"),
        ({**SEND, "content": None}, "/content: must not be null"),
        ({**SEND, "request_id": None}, "/request_id: must not be null"),
        ({**SEND, "request_id": "a b"}, "/request_id: must be 1-256 visible ASCII"),
        ({**SEND, "colour": 1}, "/colour: is not a known field"),
        ({**BRIDGE, "detail": {**SEND, "mode": "x"}}, "/mode: "),
        ({**CLOUD, "specversion": "0.3"}, "/user_id: is required"),
        ({**BRIDGE, "id": "e" * 300}, "/request_id: must be 1-256 visible ASCII"),
        ({**SEND, "expires_at": "2001-01-01T00:00:00Z"}, "/expires_at: must be in the future"),
        ({**SEND, "template_variables": {"a": "x" * LARGEST_BODY}}, "must be at most 262144 bytes"),
        (f'{{"user_id": "ada", "content": "{"é" * (LARGEST_BODY // 2)}"}}', "must be at most "),
    ],
    ids=lambda value: str(value)[:80],
)
def test_a_malformed_event_is_parked_with_its_reason(world, body, reason):
    """For a person; it is never dropped, nor tried forever."""
    text = body if isinstance(body, str) else json.dumps(body)

    world.intake.take(text, "m-1")

    ((parked, why, source),) = world.doorbells.parked
    assert (parked, source) == (text, "IntakeQueue")
    assert why.startswith(reason)
    ((event, fields),) = world.event_log.lines
    assert event == "event.parked"
    assert fields["message_id"] == "m-1"
    assert fields["error"] in {"MalformedJsonError", "InvalidInputError"}, "names, no quotes"
    assert (world.table.rows, world.doorbells.rung) == ({}, [])


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("{", {}),
        ([], {}),
        ({**BRIDGE, "detail": "x"}, {"identity": "e-1"}),
        ({**BRIDGE, "detail": {"content": "x"}}, {"identity": "e-1"}),
        (
            {**BRIDGE, "detail": {"user_id": USER, "request_id": "r-1"}},
            {"identity": "e-1", "request_id": "r-1", "user_id": USER},
        ),
        ({**CLOUD, "data": {"user_id": USER}}, {"identity": "c-1", "user_id": USER}),
        (
            {**BRIDGE, "detail": {**CLOUD, "data": {"request_id": "r-1"}}},
            {"identity": "e-1", "request_id": "r-1"},
        ),
        ({"user_id": USER}, {"user_id": USER}),
        ({"id": "a b", "request_id": "a\nb", "user_id": "../x"}, {}),
        ({"id": 5, "request_id": None, "user_id": ["ada"]}, {}),
    ],
)
def test_a_parked_event_is_found_in_the_log_by_its_names(world, body, names):
    """The readable ones; a malformed value may be anything, and is not logged."""
    world.intake.take(body if isinstance(body, str) else json.dumps(body), "m-1")

    ((_, fields),) = world.event_log.lines
    assert {name: fields[name] for name in fields.keys() - {"error", "message_id"}} == names


def test_another_message_under_a_used_name_is_parked(world):
    """The first one stays."""
    world.intake.take(json.dumps({**SEND, "request_id": "r-1"}), "m-1")

    world.intake.take(json.dumps({**SEND, "request_id": "r-1", "content": "Other"}), "m-2")

    assert world.table.request(USER, "r-1").content == "Hello"
    assert len(world.doorbells.parked) == 1


@pytest.mark.parametrize("call", ["put_request", "create"])
def test_an_event_comes_back_if_the_service_is_at_fault(call):
    """A table that cannot be reached, or an invalid setting, parks nothing."""
    faulty = World(wrap=lambda port: Faulty(port, lambda _: "throttled", call))
    broken = World(INTEGRATION_DEFAULTS_SMS_ENABLED="maybe")

    with pytest.raises(UnavailableError):
        faulty.intake.take(json.dumps(SEND), "m-1")
    with pytest.raises(BrokenSettingError):
        broken.intake.take(json.dumps(SEND), "m-1")

    assert (faulty.doorbells.parked, broken.doorbells.parked) == ([], [])


def test_an_event_that_comes_back_is_completed():
    """The worker of the first attempt died between the two puts: the event gets its message."""
    fates = ["throttled"]
    world = World(wrap=lambda port: Faulty(port, lambda _: fates.pop() if fates else "", "create"))
    with pytest.raises(UnavailableError):
        world.intake.take(json.dumps(BRIDGE), "m-1")

    world.intake.take(json.dumps(BRIDGE), "m-2")

    message_id = world.table.request(USER, "e-1").message_id
    doorbell = Doorbell(USER, message_id, "e-1", world.clock.now())
    assert world.table.message(USER, message_id) is not None
    assert (world.doorbells.rung, world.doorbells.parked) == ([("delivery", doorbell, 0)], [])


@pytest.mark.parametrize("envelope", [{}, CLOUD, BRIDGE])
def test_an_event_has_the_limit_of_a_body_without_its_envelope(world, envelope):
    """The envelope of an event does not count, and white space does not either."""
    filled = LARGEST_BODY - len(json.dumps({**SEND, "template_variables": {"a": ""}}, **COMPACT))
    send = {**SEND, "template_variables": {"a": "x" * filled}}
    event = {**envelope, **({"data": send} if envelope is CLOUD else {"detail": send})}

    world.intake.take(json.dumps(event if envelope else send, indent=1), "m-1")

    assert world.doorbells.parked == []


def test_reading_says_what_is_wrong():
    """As JSON, or by a pointer."""
    with pytest.raises(MalformedJsonError):
        read_event("NaN", "m-1")
    with pytest.raises(InvalidInputError):
        read_event("5", "m-1")
