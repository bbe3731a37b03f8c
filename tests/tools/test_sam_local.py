"""The template that `sam local` works from."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler

import pytest
import yaml

from tests.declared import template
from tools.failure import ToolFailure
from tools.loopback import LoopbackServer
from tools.parameters import folders
from tools.paths import BUILD, ROOT
from tools.sam_local import derived, everything_answers, is_answer, require_engine

PARAMETERS = {"Stage": "local", "Runtime": "python3.12"}


@pytest.fixture(scope="module")
def settled():
    """Derive from the source: what the build changes in it are the folders of the code."""
    environments = {logical_id: {"WHO": logical_id} for logical_id in folders()}
    source = yaml.safe_load(json.dumps(template()))
    return derived(source, parameters=PARAMETERS, environments=environments)


def test_each_function_goes_by_the_name_of_its_folder(settled):
    """So that a function and its sample event have one name; no two functions share it."""
    names = {
        resource["Properties"]["FunctionName"]
        for resource in settled["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    }

    assert names == {path.stem for path in (ROOT / "events").glob("*.json")}


def test_references_are_settled_and_code_is_found_from_anywhere(settled):
    """`sam local` would put a resource's own name where we need an address."""
    sender = settled["Resources"]["SendMessageFunction"]["Properties"]

    assert sender["Environment"] == {"Variables": {"WHO": "SendMessageFunction"}}
    assert sender["CodeUri"] == str(BUILD / "functions/send_message")
    assert settled["Parameters"]["Runtime"]["Default"] == "python3.12"
    assert "Environment" not in settled["Globals"]["Function"]


def test_containers_get_folders():
    """A layer's folder is beside the zip file that the built template names."""
    layer = {"Type": "AWS::Serverless::LayerVersion", "Properties": {"ContentUri": "SomeLayer.zip"}}
    built = yaml.safe_load(json.dumps(template() | {"Resources": {"SomeLayer": layer}}))

    found = derived(built, parameters={}, environments={})

    assert found["Resources"]["SomeLayer"]["Properties"]["ContentUri"] == str(BUILD / "SomeLayer")


def test_nothing_is_ignored_that_is_not_there(settled):
    """SAM refuses a template in which a function ignores globals that are gone."""
    ignoring = [name for name, one in settled["Resources"].items() if "IgnoreGlobals" in one]

    assert ignoring == []


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ('{"statusCode": 404, "body": "{}"}', True),
        ('{"batchItemFailures": []}', True),
        ('{"principalId": "anyone"}', True),
        ('{"errorMessage": "Unauthorized", "errorType": "UnauthorizedError"}', True),
        ('{"errorMessage": "boom", "errorType": "ValueError"}', False),
        ('{"statusCode": 503, "body": "{}"}', False),
        ('{"batchItemFailures": [{"itemIdentifier": "1"}]}', False),
        ("Error: no template", False),
        ("", False),
    ],
)
def test_what_counts_as_an_answer(text, good):
    """An error of the service is not a refusal; an exception of the authorizer is."""
    assert is_answer(text) is good


def test_a_named_verb_has_no_rival(settled):
    """SAM's own server would pass all requests to a route with ANY."""
    resources = settled["Resources"]
    methods = {
        (event["Properties"]["Path"], event["Properties"]["Method"])
        for resource in resources.values()
        if resource["Type"] == "AWS::Serverless::Function"
        for event in resource["Properties"].get("Events", {}).values()
        if event["Type"] == "Api"
    }
    methods |= {
        (path, verb.upper())
        for path, verbs in resources["Api"]["Properties"]["DefinitionBody"]["paths"].items()
        for verb in verbs
    }

    assert ("/health", "GET") in methods
    assert ("/{proxy+}", "DELETE") in methods
    assert {method for _, method in methods} <= {
        *("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
    }


def test_a_missing_container_engine_is_the_first_thing_that_is_said(monkeypatch):
    """Nothing is deployed here, and the function is unknown, but the engine comes first."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")

    with pytest.raises(ToolFailure) as failure:
        everything_answers(["no_such_function"])

    assert str(failure.value) == (
        "make sam-local needs a container engine, such as Docker or Finch: "
        "DOCKER_HOST=unix:///nowhere.sock does not respond. Start one, or name it: "
        "make sam-local DOCKER_HOST=unix:///var/run/docker.sock"
    )


class Engine(BaseHTTPRequestHandler):
    """Responds as Docker's API does to a client that looks whether it is there."""

    def do_GET(self):
        """Return the version, or a ping's response."""
        body = b'{"ApiVersion": "1.47"}' if self.path.endswith("/version") else b"OK"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Log nothing."""


def test_a_container_engine_that_responds_is_found(monkeypatch):
    """SAM's own way to find the engine is used, so DOCKER_HOST counts."""
    server = LoopbackServer(Engine)
    server.start()
    monkeypatch.setenv("DOCKER_HOST", server.origin.replace("http:", "tcp:"))

    try:
        require_engine()
    finally:
        server.stop()
