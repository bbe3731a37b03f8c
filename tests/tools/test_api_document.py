"""The API's document: valid, complete, and equal to the code."""

from __future__ import annotations

import copy
import json
import re
from functools import partial

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from dispatcher import responses as package_responses
from dispatcher.access.bodies import PreferencesLinkBody, StartSessionBody
from dispatcher.configuration.bodies import change_body, override_body, override_config
from dispatcher.configuration.preference_bodies import category_of, preferences_change
from dispatcher.delivery.recover_body import recover_body
from dispatcher.edges import http
from dispatcher.edges.routes import ROUTES
from dispatcher.integrations import catalogue
from dispatcher.messages.bodies import preview_body, send_body
from dispatcher.validation import read
from tests.contract import DOCUMENT, field_errors, operation, resolved
from tests.documents import rows
from tools.api_document import samples
from tools.api_document.document import document
from tools.api_document.operations import OPERATIONS
from tools.api_document.schemas import REQUESTS

SCHEMAS = DOCUMENT["components"]["schemas"]
FUNCTIONS = [route.function for route in ROUTES]
READERS = {
    "send_message": send_body,
    "create_override": override_body,
    "update_override": change_body,
    "put_category": lambda body, environ: category_of("any", body, environ),
    "update_preferences": lambda body, environ: preferences_change(body, environ, now=0.0),
    "preview_message": preview_body,
    "recover_deliveries": partial(recover_body, now=0.0),
    "create_session": partial(read, StartSessionBody, nulls=False),
    "create_preferences_link": partial(read, PreferencesLinkBody, nulls=False),
}
BODIES = [(function, name) for function in FUNCTIONS for name in samples.requests(function)]


def example(function, name):
    """Return an example's body."""
    content = operation(function)["requestBody"]["content"]["application/json"]
    return content["examples"][name]["value"]


def test_a_service_that_has_run_before_makes_the_same_document():
    """The service closes the shape of a config when it first reads one."""
    assert override_config(catalogue()["TEST"], {"latency_ms": 1}, {}) == {"latency_ms": 1}

    assert document() == DOCUMENT


def test_the_document_is_valid():
    """By the rules of OpenAPI 3.1."""
    assert DOCUMENT["openapi"] == "3.1.0"
    assert [error.message for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


def test_every_route_is_told_and_no_other():
    """One operation each, named by its function."""
    told = {
        (method.upper(), path, one["operationId"])
        for path, methods in DOCUMENT["paths"].items()
        for method, one in methods.items()
    }

    assert told == {(route.method, route.path, route.function) for route in ROUTES}
    assert set(OPERATIONS) == set(FUNCTIONS)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_an_operation_tells_all_that_a_reader_asks_for(function):
    """Each operation documents its purpose, parameters, responses and errors."""
    told = operation(function)
    [tag] = told["tags"]
    problems = {
        status: [*resolved(one)["content"]]
        for status, one in told["responses"].items()
        if status >= "400" and function != "get_health"
    }

    assert tag in {one["name"] for one in DOCUMENT["tags"]}
    assert re.fullmatch(r"[A-Z].{3,70}[^.]", told["summary"])
    assert re.fullmatch(r"[A-Z].*\.", told["description"])
    assert all(one["description"].endswith(".") for one in told["parameters"])
    assert set(map(str, problems.values())) <= {"['application/problem+json']"}
    assert {"429", "500", "503"} <= set(told["responses"])
    for status, one in told["responses"].items():
        assert re.fullmatch(r"[A-Z].*\.", resolved(one)["description"]), status


@pytest.mark.parametrize("function", FUNCTIONS)
def test_only_what_describes_the_service_is_open_to_all(function):
    """Elsewhere a token or a key is asked for, each with the scope that it must have."""
    told = operation(function)
    # A link's token is the credential of the session that it starts.
    open_to_all = function in {"get_health", "get_openapi", "get_docs", "create_session"}

    assert (told["security"] == []) is open_to_all
    assert ("401" in told["responses"]) is not open_to_all
    for choice in told["security"]:
        [(scheme, scopes)] = choice.items()
        assert scheme in DOCUMENT["components"]["securitySchemes"]
        if function == "get_session":
            assert scopes == []
        else:
            assert re.fullmatch(r"dispatch:(read|write|send|admin|preferences)", *scopes)


def test_one_of_several_scopes_is_enough():
    """Each scope is a separate alternative, because all scopes of one alternative are required."""
    assert operation("get_request")["security"] == [
        {"bearerAuth": ["dispatch:read"]},
        {"apiKey": ["dispatch:read"]},
        {"bearerAuth": ["dispatch:send"]},
        {"apiKey": ["dispatch:send"]},
    ]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_answer_has_an_example_that_is_one(function):
    """An example holds to the schema beside it, problems too."""
    for status, one in operation(function)["responses"].items():
        for content in resolved(one).get("content", {}).values():
            examples = [one["value"] for one in content.get("examples", {}).values()]
            examples += [content["example"]] if "example" in content else []
            assert examples, status
            assert [field_errors(content["schema"], one) for one in examples] == [[]] * len(
                examples
            )


@pytest.mark.parametrize(("function", "name"), BODIES)
def test_every_example_of_a_body_is_one(function, name):
    """By its schema, and by the code that reads bodies."""
    body = example(function, name)
    schema = operation(function)["requestBody"]["content"]["application/json"]["schema"]

    READERS[function](body, {})

    assert field_errors(schema, body) == []


def test_every_body_has_examples():
    """One at least, and for a new override one of each integration."""
    with_body = {function for function in FUNCTIONS if "requestBody" in operation(function)}
    kinds = [body["integration_type"] for body in map(example_of_new, new_overrides())]

    assert with_body == {function for function, _ in BODIES} == set(READERS)
    assert sorted(kinds) == sorted(catalogue())


def new_overrides():
    """Return the names of the examples of a new override."""
    return [name for function, name in BODIES if function == "create_override"]


def example_of_new(name):
    """Return an example of a new override."""
    return example("create_override", name)


def described(schema, where):
    """Yield the places of properties without a description."""
    for name, one in schema.get("properties", {}).items():
        if set(one) != {"required"} and set(one) != {"const"} and "description" not in one:
            yield f"{where}/{name}"


def test_every_field_is_described():
    """Where it stands: the text comes from the line below the field."""
    told = DOCUMENT["components"]["schemas"]
    missing = [place for name, one in told.items() for place in described(one, name)]

    assert missing == []
    assert [name for name, one in told.items() if "description" not in one] == []


def test_every_component_is_used():
    """Only the schemas of configs have no reference: the texts of ``config`` name them."""
    text = json.dumps(DOCUMENT)
    unused = {
        name
        for kind in ("schemas", "responses", "headers")
        for name in DOCUMENT["components"][kind]
        if f'"#/components/{kind}/{name}"' not in text
    }

    assert unused == {one.config_type.__name__ for one in catalogue().values()}
    for body in ("CreateOverrideRequest", "UpdateOverrideRequest"):
        description = SCHEMAS[body]["properties"]["config"]["description"]
        assert set(re.findall(r"`(\w+Config)`", description)) == unused
        assert " WEBHOOK requires `url` while it is enabled." in description


# For generated clients ----------------------------------------------------------------------------


def test_requests_and_responses_have_the_names_that_clients_get():
    """The class names of a generated client are part of the contract."""
    bodies = {
        function: operation(function)["requestBody"]["content"]["application/json"]["schema"]
        for function in READERS
    }

    assert bodies == {
        "send_message": {"$ref": "#/components/schemas/SendMessageRequest"},
        "create_override": {"$ref": "#/components/schemas/CreateOverrideRequest"},
        "update_override": {"$ref": "#/components/schemas/UpdateOverrideRequest"},
        "put_category": {"$ref": "#/components/schemas/PutCategoryRequest"},
        "update_preferences": {"$ref": "#/components/schemas/UpdatePreferencesRequest"},
        "preview_message": {"$ref": "#/components/schemas/PreviewRequest"},
        "recover_deliveries": {"$ref": "#/components/schemas/RecoverRequest"},
        "create_session": {"$ref": "#/components/schemas/StartSessionRequest"},
        "create_preferences_link": {"$ref": "#/components/schemas/PreferencesLinkRequest"},
    }
    assert SCHEMAS["SendMessageRequest"]["properties"]["recipient"]["$ref"].endswith("/Recipient")
    accepted = operation("send_message")["responses"]["202"]["content"]["application/json"]
    assert accepted["schema"]["$ref"].endswith("/SendMessageResponse")


DELIVERY = (
    "delivery_id request_id session_id subject user_id integration_type status priority attempts "
    "max_attempts created_at first_attempt_at last_attempt_at delivered_at next_attempt_at "
    "error_code error_message metadata"
)
SETTINGS = "enabled priority retry_count retry_delay_seconds config"


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("HealthResponse", "status service version timestamp integrations"),
        ("IntegrationHealth", "configured enabled_by_default healthy detail"),
        ("DefaultsResponse", "default_integrations"),
        ("IntegrationSettings", SETTINGS),
        (
            "EffectiveConfigurationResponse",
            (
                "user_id user_overrides effective_configs disabled_integrations "
                "using_integration_defaults"
            ),
        ),
        ("ResetResponse", "user_id removed using_integration_defaults"),
        ("ListOverridesResponse", "user_id integrations"),
        ("OverrideResponse", "integration_type created_at updated_at"),
        ("RotatedSecretResponse", "signing_secret previous_valid_until"),
        ("SendMessageResponse", "request_id user_id deliveries skipped"),
        ("AcceptedDelivery", "delivery_id integration_type priority status"),
        ("SkippedIntegration", "integration_type reason"),
        ("ListDeliveriesResponse", "user_id deliveries limit offset next_cursor"),
        ("DeliveryResponse", DELIVERY),
        ("DeliveryDetailResponse", f"{DELIVERY} attempt_log"),
        ("RetryResponse", "delivery_id round status"),
        (
            "RequestResponse",
            (
                "request_id user_id session_id agent_id subject created_at deliver_at expires_at "
                "mode deliveries skipped"
            ),
        ),
        ("ProblemResponse", "type title status detail instance"),
        ("InvalidField", "pointer detail"),
    ],
)
def test_the_named_fields_of_a_response_are_always_present(name, fields):
    """These are the fields of the contract; a client may rely on each, null if unknown."""
    assert set(fields.split()) <= set(SCHEMAS[name]["required"])


def choices(value):
    """Yield every choice of schemas, however deep it is."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict):
        yield from (value[name] for name in ("anyOf", "oneOf") if name in value)
    for part in parts:
        yield from choices(part)


def test_no_schema_is_a_choice_of_schemas():
    """A generated client has one class for each object; null is the only alternative of a field."""
    assert [name for name, one in SCHEMAS.items() if {"anyOf", "oneOf", "allOf"} & set(one)] == []
    assert {json.dumps(choice[1:]) for choice in choices(SCHEMAS)} == {'[{"type": "null"}]'}


def parts(value):
    """Yield every object of the document, however deep it is."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value:
        if isinstance(part, dict | list):
            yield from parts(part)


def schemas_in_use():
    """Yield every schema of the document, those of parameters and fields too."""
    for one in parts(DOCUMENT):
        if isinstance(one.get("schema"), dict):
            yield one["schema"]
    for one in parts(SCHEMAS):
        yield one
        yield from (field for field in one.get("properties", {}).values())


def test_no_schema_has_a_default():
    """Generated clients would send it with every request, or require the field because of it."""
    assert [one for one in schemas_in_use() if "default" in one] == []


def test_no_schema_uses_keywords_that_generators_disagree_about():
    """Null is a type, as in OpenAPI 3.1, and no schema is put together from others."""
    keywords = {"nullable", "discriminator", "allOf", "oneOf", "not", "if", "patternProperties"}
    kinds = [one["type"] for one in schemas_in_use() if isinstance(one.get("type"), list)]
    scalars = SCHEMAS["SendMessageRequest"]["properties"]["template_variables"]

    assert [one for one in schemas_in_use() if keywords & set(one)] == []
    # In the body of a send, and in that of a preview.
    assert [kind for kind in kinds if len(kind) != 2 or kind[1] != "null"] == [
        scalars["additionalProperties"]["type"]
    ] * 2


def test_operations_and_schemas_have_names_that_every_language_accepts():
    """Generators make modules, methods and classes of them: no two may become the same."""
    operations = [one["operationId"] for one in parts(DOCUMENT["paths"]) if "operationId" in one]

    assert len(operations) == len(ROUTES)
    for names, form in ((operations, r"[a-z]+(_[a-z]+)*"), (SCHEMAS, r"([A-Z][a-z]+)+")):
        assert [name for name in names if not re.fullmatch(form, name)] == []
        assert len({name.replace("_", "").lower() for name in names}) == len(names)


def test_bodies_are_closed_where_they_are_sent_and_open_where_they_are_read():
    """The service rejects unknown fields; a client has to accept the fields of a later edition."""
    configs = {one.config_type.__name__ for one in catalogue().values()}
    sent = {*REQUESTS.values(), "PreviewRequest"} | configs
    closed = {name for name, one in SCHEMAS.items() if one.get("additionalProperties") is False}

    assert closed == sent


def test_times_and_uuids_have_their_format():
    """Generated clients read them as times and UUIDs, in whichever body they are."""
    fields = [
        (name, field)
        for schema in SCHEMAS.values()
        for name, field in schema.get("properties", {}).items()
    ]
    times = {name for name, field in fields if field.get("format") == "date-time"}
    uuids = {name for name, field in fields if field.get("format") == "uuid"}

    assert times == {
        name for name, _ in fields if re.search("(^|_)(at|until)$|^(timestamp|since)$", name)
    }
    assert uuids == {"delivery_id", "message_id"}
    for name, field in fields:
        assert name not in times or field["format"] == "date-time", name
        assert name not in uuids or field["format"] == "uuid", name


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("IntegrationType", [*catalogue()]),
        ("DeliveryStatus", ["pending", "success", "failed", "skipped"]),
        ("HoldReason", ["muted", "paused", "quiet_hours"]),
        (
            "SkipReason",
            [
                "disabled_by_default",
                "not_configured",
                "disabled_by_user",
                "disabled_by_receiver",
                "disabled_after_failures",
                "no_address",
                "category_disabled_by_user",
                "category_disabled_by_default",
                "expires_while_held",
                "address_bounced",
                "address_complained",
                "opted_out",
            ],
        ),
    ],
)
def test_a_response_may_have_values_that_a_client_does_not_know(name, values):
    """Shared types of responses are open strings whose descriptions list the known values."""
    schema = SCHEMAS[name]

    assert set(schema) == {"type", "description"}
    assert schema["type"] == "string"
    assert re.findall(r"`(\w+)`", schema["description"].partition("Known values:")[2]) == values


def test_every_error_code_of_the_runbook_is_listed():
    """The runbook's table is the one list of error codes."""
    codes = re.findall(
        r"`(\w+)`", " ".join(cells[0] for cells in rows("docs/operations.md", "Error codes"))
    )

    listed = SCHEMAS["ErrorCode"]["description"].partition("Known values:")[2]
    assert re.findall(r"`(\w+)`", listed) == codes


def test_responses_have_no_enumerations():
    """A new value of a response is no change that breaks clients; of a request it is."""
    responses = {shape for shape in vars(package_responses) if shape in SCHEMAS}
    closed = [name for name in responses if '"enum"' in json.dumps(SCHEMAS[name])]

    assert "DeliveryResponse" in responses
    assert closed == []
    assert SCHEMAS["CreateOverrideRequest"]["properties"]["integration_type"]["enum"] == [
        *catalogue()
    ]
    parameters = {one["name"]: one["schema"] for one in operation("list_deliveries")["parameters"]}
    assert parameters["status"]["enum"] == ["pending", "success", "failed", "skipped"]
    assert parameters["integration_type"]["enum"] == [*catalogue()]


def test_every_problem_is_told():
    """The document contains every problem of the edge except 405, which no operation returns."""
    named = {
        one["value"]["type"].rpartition(":")[2]: one["value"]["status"]
        for response in DOCUMENT["components"]["responses"].values()
        for one in response["content"]["application/problem+json"]["examples"].values()
    }
    ours = {one.name: one.status for one in http.PROBLEMS.values() if one.status != 405}

    assert {name: named[name] for name in ours} == ours
    assert {"unauthorized", "forbidden", "too-many-requests"} <= set(named)


@pytest.mark.parametrize(
    ("function", "body"),
    [
        ("send_message", {"content": " \n"}),
        ("send_message", {"content": "a\u0000b"}),
        ("send_message", {"content": "x", "subject": "two\nlines"}),
        ("send_message", {"content": "x", "session_id": None}),
        ("send_message", {"content": "x", "template_variables": {"1st": "x"}}),
        ("send_message", {"content": "x", "integration_types": []}),
        ("send_message", {"content": "x", "integration_types": ["TEST", "TEST"]}),
        ("send_message", {"content": "x", "request_id": "with space"}),
        ("send_message", {"content": "x", "deliver_at": 5}),
        ("send_message", {"content": "x", "recipient": {"phone_number": "0041"}}),
        ("create_override", {"integration_type": "FAX"}),
        ("create_override", {"integration_type": "TEST", "priority": 0}),
        ("create_override", {"integration_type": "TEST", "enabled": None}),
        ("create_override", {"integration_type": "TEST", "retry_count": "3"}),
        ("update_override", {}),
        ("update_override", {"retry_delay_seconds": 86_401}),
    ],
)
def test_what_the_code_refuses_the_document_refuses(function, body):
    """So that who generates a client from it finds out early."""
    schema = operation(function)["requestBody"]["content"]["application/json"]["schema"]

    with pytest.raises(http.InvalidInputError):
        READERS[function](copy.deepcopy(body), {})

    assert field_errors(schema, body) != []


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("SLACK", {"channel_id": "general"}),
        ("EMAIL", {"format": "markdown"}),
        ("EMAIL", {"email": "john.doe@company.com"}),
        ("WEBHOOK", {"url": "ftp://hooks.example.com/"}),
        ("WEBHOOK", {"url": "https://hooks.example.com/", "headers": {"a b": "x"}}),
        ("SMS", {"sender_id": "123"}),
        ("TEST", {"fail_attempts": 26}),
        ("TOOL", {"tool_id": ""}),
    ],
)
def test_what_an_integration_refuses_the_document_refuses(name, config):
    """Each kind of rule once."""
    schema = {"$ref": f"#/components/schemas/{catalogue()[name].config_type.__name__}"}

    with pytest.raises(http.InvalidInputError):
        override_config(catalogue()[name], config, {})

    assert field_errors(schema, config) != []


@pytest.mark.parametrize(
    "name", [name for function, name in BODIES if function == "create_override"]
)
def test_the_config_of_an_example_fits_its_integration(name):
    """By the schema that the description names, and by the code that reads configs."""
    body = example("create_override", name)
    integration = catalogue()[body["integration_type"]]
    config = body.get("config", {})

    override_config(integration, config, {})

    schema = {"$ref": f"#/components/schemas/{integration.config_type.__name__}"}
    assert field_errors(schema, config) == []


def test_addresses_hold_behind_any_prefix():
    """The server is where the document is."""
    assert [one["url"] for one in DOCUMENT["servers"]] == ["."]
