"""Request bodies: both sides of each limit, pointers, strictness, and fingerprints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dispatcher.configuration.bodies import change_body, override_body, override_config
from dispatcher.errors import FieldError, InvalidInputError
from dispatcher.integrations import catalogue
from dispatcher.integrations.integration import Recipient
from dispatcher.messages.bodies import LARGEST_CONTENT, check_times, send_body
from dispatcher.strict_json import MalformedJsonError, read_json
from tests.catalogues import KNOWN_TYPES

NOW = 1_800_000_000.0
"""2027-01-15T08:00:00Z."""

KIB = 1024
UNSTORABLE = "must not hold control characters, lone surrogates, U+FFFE or U+FFFF"
NO_NULL = "must not be null; leave the field out instead"


def send(**fields):
    """Read a send body with these fields beside its content."""
    return send_body({"content": "hi", **fields}, {})


def field_errors(read, *arguments) -> tuple[FieldError, ...]:
    """Return what is wrong, nothing where nothing is."""
    try:
        read(*arguments)
    except InvalidInputError as error:
        return error.field_errors
    return ()


def pointers(read, *arguments) -> list[str]:
    """Return where something is wrong."""
    return [field_error.pointer for field_error in field_errors(read, *arguments)]


def sent(body) -> list[str]:
    """Return where a send body is wrong."""
    return pointers(send_body, body, {})


# A send -------------------------------------------------------------------------------------------


def test_the_least_send():
    """Only the content is required; the rest has its default."""
    body = send_body({"content": "Hello"}, {})

    assert body.model_dump() == {
        "request_id": None,
        "session_id": None,
        "agent_id": None,
        "category": None,
        "subject": None,
        "content": "Hello",
        "template_variables": {},
        "recipient": {
            "email": None,
            "phone_number": None,
            "slack_user_id": None,
            "slack_channel": None,
        },
        "integration_types": None,
        "mode": "all",
        "deliver_at": None,
        "expires_at": None,
    }
    assert (body.text(), body.headline(), body.addressed_to()) == ("Hello", None, Recipient())


def test_a_whole_send():
    """Every field of the contract, read into what the use cases work with."""
    body = send(
        request_id="r-1",
        session_id="s 1",
        agent_id="a\u00e9",
        category="builds-2",
        subject="For $who",
        content="Dear ${who}: $n",
        template_variables={"who": "Ada", "n": 5},
        recipient={
            "email": "ada@example.com",
            "phone_number": "+14155552671",
            "slack_user_id": "U024BE7LH",
            "slack_channel": "C024BE91L",
        },
        integration_types=["sms", "Email"],
        mode="first_success",
        deliver_at="2027-01-15T09:00:00+01:00",
        expires_at="2027-01-15T08:00:01.5Z",
    )

    assert body.category == "builds-2"
    assert (body.request_id, body.session_id, body.agent_id) == ("r-1", "s 1", "a\u00e9")
    assert (body.headline(), body.text()) == ("For Ada", "Dear Ada: 5")
    assert body.addressed_to() == Recipient(
        "ada@example.com", "+14155552671", "U024BE7LH", "C024BE91L"
    )
    assert (body.integration_types, body.mode) == (["SMS", "EMAIL"], "first_success")
    assert (body.deliver_at, body.expires_at) == (NOW, NOW + 1.5)


@pytest.mark.parametrize(
    ("field", "value", "pointer"),
    [
        ("request_id", "!", None),
        ("request_id", "~" * 256, None),
        ("request_id", "~" * 257, "/request_id"),
        ("request_id", "", "/request_id"),
        ("request_id", "a b", "/request_id"),
        ("request_id", "\u00e9", "/request_id"),
        ("request_id", 5, "/request_id"),
        *(
            case
            for label in ("session_id", "agent_id")
            for case in (
                (label, "\u00e9" * 256, None),
                (label, "a\tb", None),
                (label, "a" * 257, f"/{label}"),
                (label, "", f"/{label}"),
                (label, "a\nb", f"/{label}"),
                (label, "a\u2028b", f"/{label}"),
                (label, 1, f"/{label}"),
            )
        ),
        ("subject", "\u00e9" * 998, None),
        ("subject", "s" * 999, "/subject"),
        ("subject", "", "/subject"),
        *(
            ("subject", f"a{end}", "/subject")
            for end in ("\n", "\r", "\r\nBcc: x", "\x85b", "\u2028b", "\u2029b")
        ),
        ("content", "c" * 128 * KIB, None),
        ("content", "\u00e9" * 64 * KIB, None),
        ("content", "c" * (128 * KIB + 1), "/content"),
        ("content", "\u00e9" * 64 * KIB + "c", "/content"),
        ("content", "", "/content"),
        ("content", " \r\n\t", "/content"),
        ("content", "\u200b\ufeff", "/content"),
        ("content", "\x7f\x9b", "/content"),
        ("content", "\u3164\u2800\u00ad\ufe0f", "/content"),
        ("content", "\u200d.", None),
        ("content", "\u0301", None),
        ("content", "\U0001f600", None),
        ("content", 5, "/content"),
        ("content", ["hi"], "/content"),
        ("template_variables", {f"v{number}": number for number in range(64)}, None),
        ("template_variables", {f"v{n}": n for n in range(65)}, "/template_variables"),
        ("template_variables", {"a" * 64: ""}, None),
        ("template_variables", {"a" * 65: ""}, "/template_variables"),
        ("template_variables", {"1a": ""}, "/template_variables"),
        ("template_variables", {"": ""}, "/template_variables"),
        ("template_variables", {"a-b": ""}, "/template_variables"),
        ("template_variables", {"_A9": True}, None),
        ("template_variables", [], "/template_variables"),
        ("template_variables", {"a": [1]}, "/template_variables/a"),
        ("template_variables", {"a": {"__class__": 1}}, "/template_variables/a"),
        ("template_variables", {"a": float("inf")}, "/template_variables/a"),
        ("recipient", [], "/recipient"),
        ("recipient", {}, None),
        ("recipient", {"fax": "1"}, "/recipient/fax"),
        ("recipient", {"email": "ada"}, "/recipient/email"),
        ("recipient", {"email": "a@b.example, c@d.example"}, "/recipient/email"),
        ("recipient", {"phone_number": "4155552671"}, "/recipient/phone_number"),
        ("recipient", {"slack_user_id": "C024BE91L"}, "/recipient/slack_user_id"),
        ("recipient", {"slack_channel": "<!channel>"}, "/recipient/slack_channel"),
        ("integration_types", ["TEST"], None),
        ("integration_types", list(catalogue()), None),
        ("integration_types", [], "/integration_types"),
        ("integration_types", "TEST", "/integration_types"),
        ("integration_types", [*catalogue(), "TEST"], "/integration_types"),
        ("integration_types", ["TEST", "test"], "/integration_types"),
        ("integration_types", ["TEST", "FAX"], "/integration_types/1"),
        ("integration_types", ["\u017fMS"], "/integration_types/0"),
        ("integration_types", ["SMS "], "/integration_types/0"),
        ("integration_types", [None], "/integration_types/0"),
        ("mode", "all", None),
        ("mode", "first_success", None),
        ("mode", "ALL", "/mode"),
        ("mode", "", "/mode"),
        ("deliver_at", 5, "/deliver_at"),
        ("deliver_at", "tomorrow", "/deliver_at"),
        ("expires_at", True, "/expires_at"),
        ("forced", True, "/forced"),
        ("user_id", "grace", "/user_id"),
        ("__proto__", {}, "/__proto__"),
        ("a/b~c", 1, "/a~1b~0c"),
    ],
)
def test_each_field_of_a_send_has_its_bounds(field, value, pointer):
    """A value within its limits is accepted; one outside is rejected with one pointer."""
    body = {"content": "hi", field: value}

    assert sent(body) == ([] if pointer is None else [pointer])


def test_the_content_is_required():
    """And the sentence says so."""
    assert field_errors(send_body, {}, {}) == (FieldError("/content", "is required"),)


@pytest.mark.parametrize("body", [None, [], "x", 5, True, [{"content": "hi"}]])
def test_a_body_is_an_object(body):
    """Anything else has one field_error, of the whole."""
    assert sent(body) == [""]


def test_every_field_tells_its_flaw():
    """One response lists all invalid values, at most twenty."""
    body = {"mode": "x", "subject": 1, "extra": 1, "recipient": {"email": "x"}}

    assert sorted(sent(body)) == ["/content", "/extra", "/mode", "/recipient/email", "/subject"]
    assert len(sent({f"x{number}": 1 for number in range(50)})) == 20
    assert len(sent({f"x{number}": None for number in range(50)})) == 20


@pytest.mark.parametrize(
    ("body", "field_error"),
    [
        (
            {"content": "hi", "contents": "x"},
            FieldError(
                "/contents",
                "is not a known field; the known ones are request_id, session_id, agent_id, "
                "category, subject, content, template_variables, recipient, integration_types, "
                "mode, deliver_at, expires_at",
            ),
        ),
        (
            {"content": "hi", "recipient": {"fax": "x"}},
            FieldError(
                "/recipient/fax",
                "is not a known field; the known ones are email, phone_number, slack_user_id, "
                "slack_channel",
            ),
        ),
        (
            {"content": "hi", "template_variables": {"a": []}},
            FieldError("/template_variables/a", "must be text, a finite number, true or false"),
        ),
        ({"content": "hi", "recipient": 5}, FieldError("/recipient", "must be a JSON object")),
        ("hi", FieldError("", "must be a JSON object")),
        (
            {"content": "hi", "integration_types": ["FAX"]},
            FieldError("/integration_types/0", f"must be one of {KNOWN_TYPES}"),
        ),
        (
            {"content": "hi", "request_id": "a b"},
            FieldError("/request_id", "must be 1-256 visible ASCII characters"),
        ),
    ],
)
def test_a_flaw_says_what_to_do(body, field_error):
    """In a caller's words: no name of a class or of a library's type."""
    assert field_errors(send_body, body, {}) == (field_error,)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"content": None}, ["/content"]),
        ({"content": "x", "subject": None, "mode": None}, ["/subject", "/mode"]),
        ({"content": "x", "recipient": {"email": None}}, ["/recipient/email"]),
        ({"content": "x", "integration_types": ["TEST", None]}, ["/integration_types/1"]),
        ({"content": "x", "template_variables": {"a": None}}, ["/template_variables/a"]),
    ],
)
def test_null_is_refused_wherever_it_stands(body, expected):
    """A field is left out or has a value."""
    assert field_errors(send_body, body, {}) == tuple(FieldError(one, NO_NULL) for one in expected)


@pytest.mark.parametrize(
    "character", ["\x00", "\x08", "\x0b", "\x1b", "\x1f", "\ud800", "\ufffe", "\uffff"]
)
@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"content": "a%sb"}, "/content"),
        ({"content": "x", "subject": "%s"}, "/subject"),
        ({"content": "x", "template_variables": {"a": "%s"}}, "/template_variables/a"),
        ({"content": "x", "template_variables": {"%s": "a"}}, "/template_variables/?"),
        ({"content": "x", "integration_types": ["TEST", "%s"]}, "/integration_types/1"),
        ({"content": "x", "%s": 1}, "/?"),
    ],
)
def test_no_text_holds_what_cannot_be_stored(character, body, pointer):
    """Characters that cannot be stored are rejected in values and names, and never repeated."""
    text = json.dumps(body).replace("%s", json.dumps(character)[1:-1])

    assert field_errors(send_body, json.loads(text), {}) == (FieldError(pointer, UNSTORABLE),)


@pytest.mark.parametrize("character", ["\t", "\r", "\n", "\x7f", "\x85", "\ufffd", "\U0010ffff"])
def test_all_other_characters_are_content(character):
    """Text is data."""
    assert send(content=f"a{character}b").text() == f"a{character}b"


# Variables ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "variables", "pointer"),
    [
        ("$a" * 32 * KIB, {"a": "xxxx"}, None),
        ("$a" * 32 * KIB + ".", {"a": "xxxx"}, "/content"),
        ("$a" * 64 * KIB, {"a": "x"}, None),
        ("${name}" + "y" * (128 * KIB - 7), {"name": "1234567"}, None),
        ("${name}" + "y" * (128 * KIB - 7), {"name": "\u00e9\u00e9\u00e9\u00e9"}, "/content"),
        ("$a" * 65_536, {"a": "x" * 100_000}, "/content"),
        ("$b" * 65_536, {"a": "x" * 100_000}, None),
    ],
)
def test_the_content_is_bounded_after_its_variables_too(content, variables, pointer):
    """128 KiB as it will be sent, told without making it."""
    body = {"content": content, "template_variables": variables}

    assert sent(body) == ([] if pointer is None else [pointer])


@pytest.mark.parametrize(
    ("subject", "variables", "pointer"),
    [
        ("$a", {"a": "x" * 998}, None),
        ("$a", {"a": "\U0001f600" * 998}, None),
        ("$a", {"a": "x" * 999}, "/subject"),
        ("$a" * 499, {"a": "xxx"}, "/subject"),
        ("$a" * 499, {"a": "x" * 100_000}, "/subject"),
        ("Hello $a", {"a": "x\nBcc: y"}, "/subject"),
        ("Hello $a", {"a": "x\u2028"}, "/subject"),
        ("Hello $b", {"a": "x\n"}, None),
        ("Hello $a", {"a": "x\r"}, "/subject"),
        ("Hello $a", {"a": "\u0085"}, "/subject"),
        ("Hello ${a}", {"a": "tab\t"}, None),
        ("$a", {"a": ""}, "/subject"),
        ("$a$b", {"a": "", "b": ""}, "/subject"),
        ("$a", {"a": "\x00"}, "/template_variables/a"),
        ("$a", {"a": "\x1b[2J"}, "/template_variables/a"),
        ("$a$b", {"a": "\ud83d", "b": "x"}, "/template_variables/a"),
    ],
)
def test_the_subject_is_one_line_after_its_variables_too(subject, variables, pointer):
    """A variable cannot add a header to an email."""
    body = {"content": "x", "subject": subject, "template_variables": variables}

    assert sent(body) == ([] if pointer is None else [pointer])


BLANK = FieldError("/content", "must not be blank once its variables are filled in")


@pytest.mark.parametrize(
    ("content", "variables", "expected"),
    [
        ("$a", {"a": ""}, (BLANK,)),
        (" ${a}\n$b\t", {"a": " ", "b": "\n"}, (BLANK,)),
        ("$a", {"a": "\u3000"}, (BLANK,)),
        ("$a\u200b", {"a": "\x7f"}, (BLANK,)),
        ("$a", {"a": "x"}, ()),
        ("$a", {"a": 0}, ()),
        ("$a", {"a": False}, ()),
        ("$b", {"a": ""}, ()),
        ("$$", {}, ()),
        ("$a.", {"a": ""}, ()),
    ],
)
def test_content_that_becomes_blank_is_rejected(content, variables, expected):
    """The content as it would be sent must not be blank."""
    body = {"content": content, "template_variables": variables}

    assert field_errors(send_body, body, {}) == expected


@pytest.mark.parametrize("value", ["5", 5, 5.5, True, -1, 10**40, "\u00e9"])
def test_a_variable_keeps_its_type(value):
    """Nothing is coerced on the way in."""
    read = send(template_variables={"a": value}).template_variables["a"]

    assert (read, type(read)) == (value, type(value))


# Times --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2027-01-15T08:00:00Z", NOW),
        ("2027-01-15t08:00:00z", NOW),
        ("2027-01-15T08:00:00+00:00", NOW),
        ("2027-01-15T08:00:00-00:00", NOW),
        ("2027-01-15T09:30:00+01:30", NOW),
        ("2027-01-14T22:00:00-10:00", NOW),
        ("2027-01-15T08:00:00.5Z", NOW + 0.5),
        ("2027-01-15T08:00:00.1236Z", NOW + 0.124),
        ("2027-01-15T08:00:00.123456789Z", NOW + 0.123),
        (f"2027-01-15T08:00:00.{'9' * 1000}Z", NOW + 1),
        ("0001-01-01T00:00:00Z", -62_135_596_800.0),
        ("9999-12-31T23:59:59-23:59", 253_402_387_139.0),
        ("2028-02-29T00:00:00Z", 1_835_395_200.0),
    ],
)
def test_a_time_is_rfc_3339(text, seconds):
    """Any offset, any fraction; kept to the millisecond."""
    assert send(deliver_at=text).deliver_at == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2027-01-15",
        "2027-01-15T08:00Z",
        "2027-01-15T08:00:00",
        "2027-01-15 08:00:00Z",
        "20270115T080000Z",
        "2027-01-15T08:00:00+01",
        "2027-01-15T08:00:00+0100",
        "2027-01-15T08:00:00+24:00",
        "2027-01-15T08:00:00+01:60",
        "2027-01-15T08:00:00,5Z",
        "2027-01-15T08:00:00.Z",
        "2027-01-15T24:00:00Z",
        "2027-01-15T08:60:00Z",
        "2027-13-15T08:00:00Z",
        "2027-02-29T08:00:00Z",
        "0000-01-01T00:00:00Z",
        " 2027-01-15T08:00:00Z",
        "2027-01-15T08:00:00Z\n",
        "\u0662027-01-15T08:00:00Z",
        "1800000000",
    ],
)
def test_what_is_no_time_of_rfc_3339_is_refused(text):
    """An offset is not optional, and no other form is guessed at."""
    detail = "must be a time in RFC 3339 form with an offset, such as 2026-11-22T09:30:00Z"

    assert field_errors(send_body, {"content": "x", "expires_at": text}, {}) == (
        FieldError("/expires_at", detail),
    )


EXPIRED = FieldError("/expires_at", "must be in the future and after deliver_at")
TOO_FAR = FieldError("/deliver_at", "must be at most 30 days ahead")


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({}, ()),
        ({"deliver_at": "2001-01-01T00:00:00Z"}, ()),
        ({"deliver_at": "2027-02-14T08:00:00Z"}, ()),
        ({"deliver_at": "2027-02-14T08:00:00.001Z"}, (TOO_FAR,)),
        ({"expires_at": "2027-01-15T08:00:00.001Z"}, ()),
        ({"expires_at": "2027-01-15T08:00:00Z"}, (EXPIRED,)),
        ({"expires_at": "2001-01-01T00:00:00Z"}, (EXPIRED,)),
        ({"expires_at": "9999-12-31T23:59:59Z"}, ()),
        ({"deliver_at": "2027-01-16T08:00:00Z", "expires_at": "2027-01-16T08:00:00.001Z"}, ()),
        ({"deliver_at": "2027-01-16T08:00:00Z", "expires_at": "2027-01-16T08:00:00Z"}, (EXPIRED,)),
        ({"deliver_at": "2027-01-16T08:00:00Z", "expires_at": "2027-01-15T09:00:00Z"}, (EXPIRED,)),
        (
            {"deliver_at": "2028-01-16T08:00:00Z", "expires_at": "2027-01-15T09:00:00Z"},
            (TOO_FAR, EXPIRED),
        ),
    ],
)
def test_the_times_of_a_send_lie_in_order(times, expected):
    """``deliver_at`` at most 30 days ahead, past is now; ``expires_at`` later than both."""
    assert field_errors(check_times, send(**times), NOW) == expected


# Alike --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"request_id": "r-1"}),
        ({"request_id": "r-1"}, {"request_id": "r-2"}),
        ({}, {"mode": "all"}),
        ({}, {"recipient": {}}),
        ({}, {"template_variables": {}}),
        ({"integration_types": ["SMS"]}, {"integration_types": ["sms"]}),
        ({"integration_types": ["SMS", "TEST"]}, {"integration_types": ["TEST", "SMS"]}),
        ({"template_variables": {"a": 1, "b": 2}}, {"template_variables": {"b": 2, "a": 1}}),
        ({"deliver_at": "2027-01-15T08:00:00Z"}, {"deliver_at": "2027-01-15T09:00:00.000+01:00"}),
    ],
)
def test_the_same_message_has_the_same_fingerprint(one, other):
    """However it was written, and whatever its ``request_id``."""
    assert send(**one).fingerprint() == send(**other).fingerprint()


def test_another_message_has_another_fingerprint():
    """Every other field counts, and the type of a variable's value."""
    bodies = [
        {},
        {"content": "ho"},
        {"session_id": "s"},
        {"agent_id": "s"},
        {"subject": "s"},
        {"template_variables": {"a": "1"}},
        {"template_variables": {"a": 1}},
        {"template_variables": {"a": True}},
        {"template_variables": {"a": 1.0}},
        {"recipient": {"email": "a@example.com"}},
        {"recipient": {"slack_channel": "C024BE91L"}},
        {"integration_types": ["SMS"]},
        {"integration_types": ["SMS", "TEST"]},
        {"integration_types": list(catalogue())},
        {"mode": "first_success"},
        {"deliver_at": "2027-01-15T08:00:00Z"},
        {"expires_at": "2027-01-15T08:00:00Z"},
    ]

    assert len({send(**body).fingerprint() for body in bodies}) == len(bodies)


@pytest.mark.parametrize(
    ("body", "digest"),
    [
        ({}, "d710af77f08a261f9db380eae9a0d4e56b91327d359e9c0c768c009cb849c6e6"),
        (
            {
                "session_id": "s-1",
                "template_variables": {"who": "Ada", "n": 5},
                "recipient": {"email": "ada@example.com"},
                "integration_types": ["TEST", "CLI"],
                "expires_at": "2027-01-15T08:00:00Z",
            },
            "5dbc9687f8b9ad582b88298b5cca13bdc9aeb441cb98f7562d7add4fb848be63",
        ),
    ],
)
def test_a_fingerprint_holds_across_versions(body, digest):
    """A field that a later version adds leaves the fingerprints of other bodies as they are.

    Otherwise a request that is repeated after a deployment would get 422.
    """
    fingerprint = send(**body).fingerprint()

    assert (len(fingerprint), fingerprint.hex()) == (32, digest)


# An override --------------------------------------------------------------------------------------


def test_a_new_override():
    """The type in any case; without ``enabled`` true is stored."""
    body = override_body({"integration_type": "email", "retry_count": 0}, {})

    assert body.integration_type == "EMAIL"
    assert body.settings() == {"enabled": True, "retry_count": 0}


def test_a_new_override_may_be_disabled():
    """The caller's ``enabled`` wins."""
    body = override_body({"integration_type": "SMS", "enabled": False, "config": {}}, {})

    assert body.settings() == {"enabled": False, "config": {}}


SETTINGS = [
    ("enabled", True, True),
    ("enabled", False, True),
    ("enabled", 1, False),
    ("enabled", "true", False),
    ("priority", 1, True),
    ("priority", 100, True),
    ("priority", 0, False),
    ("priority", 101, False),
    ("priority", "1", False),
    ("priority", 1.0, False),
    ("priority", True, False),
    ("priority", 10**39, False),
    ("retry_count", 0, True),
    ("retry_count", 20, True),
    ("retry_count", -1, False),
    ("retry_count", 21, False),
    ("retry_count", "3", False),
    ("retry_delay_seconds", 1, True),
    ("retry_delay_seconds", 86_400, True),
    ("retry_delay_seconds", 0, False),
    ("retry_delay_seconds", 86_401, False),
    ("retry_delay_seconds", 1.5, False),
    ("config", {}, True),
    ("config", [], False),
    ("config", "x", False),
    ("created_at", "2027-01-15T08:00:00Z", False),
]


@pytest.mark.parametrize(("field", "value", "good"), SETTINGS)
def test_each_setting_has_its_range(field, value, good):
    """The same in a new override as in a change."""
    expected = [] if good else [f"/{field}"]

    assert pointers(override_body, {"integration_type": "TEST", field: value}, {}) == expected
    assert pointers(change_body, {field: value}, {}) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, ["/integration_type"]),
        ({"integration_type": "FAX"}, ["/integration_type"]),
        ({"integration_type": "EMAIL "}, ["/integration_type"]),
        ({"integration_type": ["EMAIL"]}, ["/integration_type"]),
        ({"integration_type": None}, ["/integration_type"]),
        ({"integration_type": "TEST", "enabled": None}, ["/enabled"]),
        ({"integration_type": "TEST", "config": {"failure": None}}, ["/config/failure"]),
        ({"integration_type": "TEST", "config": None, "priority": None}, ["/config", "/priority"]),
        ("EMAIL", [""]),
    ],
)
def test_a_new_override_names_its_type_and_no_null(body, expected):
    """Null has no meaning where nothing is to be given back."""
    assert pointers(override_body, body, {}) == expected


def test_a_change_gives_a_field_back_with_null():
    """A change contains exactly the fields of the body, nulls included."""
    change = change_body({"enabled": None, "config": None, "priority": 3}, {})

    assert change.given() == {"enabled": None, "priority": 3, "config": None}


@pytest.mark.parametrize("body", [{}, {"integration_type": "TEST"}, None, []])
def test_a_change_changes_something(body):
    """An empty change is rejected, and so is a type in the body, because the path has it."""
    assert len(field_errors(change_body, body, {})) == 1


def test_an_empty_change_says_what_it_may_name():
    """The sentence lists the settings."""
    detail = "must name at least one of enabled, priority, retry_count, retry_delay_seconds, config"

    assert field_errors(change_body, {}, {}) == (FieldError("", detail),)


# Config -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "expected"), [(16 * KIB, "/config/tool_id"), (16 * KIB + 1, "/config")]
)
@pytest.mark.parametrize("letter", ["x", "\u00e9"])
def test_a_config_has_at_most_16_kib(size, expected, letter):
    """Counted as JSON in UTF-8; below the bound the key's own rule speaks."""
    room = size - len('{"tool_id":""}')
    text = letter * (room // len(letter.encode())) + "x" * (room % len(letter.encode()))

    assert pointers(override_config, catalogue()["TOOL"], {"tool_id": text}, {}) == [expected]


def test_unknown_keys_of_a_config_are_refused():
    """With the keys that there are."""
    detail = "is not a known field; the known ones are fail_attempts, failure, latency_ms"

    assert field_errors(override_config, catalogue()["TEST"], {"fail": 1}, {}) == (
        FieldError("/config/fail", detail),
    )


# Findings of reviewers ----------------------------------------------------------------------------

BAD = json.loads((Path(__file__).parents[2] / "data" / "bad_inputs.json").read_text())
TAKERS = {
    "/api/v1/users/u1/integrations": ("POST", override_body),
    "/api/v1/users/u1/deliveries": ("POST", send_body),
    "/api/v1/users/u1/integrations/WEBHOOK": ("PUT", change_body),
}
AT_THE_EDGE = {"api_request-015", "api_request-021"}
"""Bodies that are not UTF-8 or too long are rejected before they are parsed."""


def text_of(body) -> str:
    """Write out a body of the collection."""
    match body:
        case {"$gen": [prefix, unit, count, suffix]}:
            return prefix + unit * count + suffix
        case {"$gen_runs": runs}:
            return "".join(unit * count for unit, count in runs)
    return body


def bodies():
    """Yield the cases that are refused for what their body says."""
    for case in BAD["cases"]:
        told = case["input"]
        if (
            case["kind"] == "api_request"
            and "422" in case["expect"]
            and case["id"] not in AT_THE_EDGE
            and TAKERS.get(told["path"], ("",))[0] == told["method"]
        ):
            yield pytest.param(told["path"], text_of(told["body"]), id=case["id"])


@pytest.mark.parametrize(("path", "text"), list(bodies()))
def test_every_bad_body_is_refused(path, text):
    """As no JSON, or with a pointer."""
    reader = TAKERS[path][1]

    with pytest.raises((MalformedJsonError, InvalidInputError)):
        read_whole(reader, text)


def read_whole(reader, text: str) -> None:
    """Read a body as the use cases do, its config and its required keys included."""
    body = reader(read_json(text), {})
    if reader is send_body:
        return
    name = getattr(body, "integration_type", "WEBHOOK")
    config = override_config(catalogue()[name], body.config or {}, {})
    missing = [
        FieldError(f"/config/{key}", "") for key in catalogue()[name].required if key not in config
    ]
    if missing:
        raise InvalidInputError(*missing)


def test_the_collection_is_there():
    """A path that moved must not make the cases above vanish."""
    assert len(list(bodies())) >= 40


@pytest.mark.parametrize(
    ("content", "variables", "pointer"),
    [
        ("$a", {"a": "x" * LARGEST_CONTENT}, None),
        ("$a$b", {"a": "x" * LARGEST_CONTENT, "b": ""}, None),
        ("$a.", {"a": "x" * LARGEST_CONTENT}, "/content"),
        ("$a" * 5000, {"a": "x" * 100_000}, "/content"),
        ("$a", {"a": "ä" * (LARGEST_CONTENT // 2 + 1)}, "/content"),
        ("$a", {"a": ""}, "/content"),
        (" $a\n${b}", {"a": " \t", "b": "\r\n"}, "/content"),
        ("$a", {"a": "\u2003\u00a0"}, "/content"),
        ("$a", {"a": "\x00"}, "/template_variables/a"),
        ("$a.", {"a": "\x7f"}, None),
        ("$a", {"a": "\x7f"}, "/content"),
        ("$a", {"a": "\ufffe"}, "/template_variables/a"),
        ("$a$b", {"a": "\ud83d", "b": "x"}, "/template_variables/a"),
        ("$$", {}, None),
        ("$a", {"a": "$a"}, None),
        ("$a", {"a": False}, None),
    ],
)
def test_the_rules_of_content_hold_after_its_variables_too(content, variables, pointer):
    """Blank and overlong content is refused, and what SQS or UTF-8 cannot carry never gets in."""
    body = {"content": content, "template_variables": variables}

    assert sent(body) == ([] if pointer is None else [pointer])
