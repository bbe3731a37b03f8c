"""The resource that tells CloudFormation that a parameter has changed."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

EVENT = {
    "RequestType": "Create",
    "StackId": "arn:aws:cloudformation:eu-central-1:123456789012:stack/dispatcher/1",
    "RequestId": "r-1",
    "LogicalResourceId": "ParametersHash",
    "ResourceProperties": {"Values": ["dev", "INFO", ""]},
}


@pytest.fixture
def told(resources):
    """Return a function that hands an event to the resource's function, and returns its answer."""
    code = resources["ParametersFunction"]["Properties"]["Code"]["ZipFile"]
    module = {}
    exec(compile(code, "index.py", "exec"), module)

    def told(**event):
        with HTTPServer(("127.0.0.1", 0), Answers) as server:
            server.answers = []
            serving = threading.Thread(target=server.handle_request)
            serving.start()
            url = f"http://127.0.0.1:{server.server_port}/answer?signature=x"
            module["handler"](EVENT | event | {"ResponseURL": url}, None)
            serving.join()
        [(content_type, answer)] = server.answers
        assert content_type == ""  # CloudFormation's URL is signed for none
        return answer

    return told


class Answers(BaseHTTPRequestHandler):
    """Takes what is put, as CloudFormation's bucket does."""

    def do_PUT(self):
        """Remember what came."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.answers.append((self.headers["Content-Type"], json.loads(body)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Keep the output of tests clean."""


def test_every_parameter_is_hashed(template, resources):
    """One that is left out could change without effect."""
    values = resources["ParametersHash"]["Properties"]["Values"]

    assert values == [{"Ref": name} for name in template["Parameters"]]


def test_the_same_values_have_the_same_hash_and_others_another(told):
    """Also where a value has moved from one parameter to the next."""
    first = told()
    again = told(RequestType="Update", PhysicalResourceId="ParametersHash")
    moved = told(ResourceProperties={"Values": ["dev", "", "INFO"]})

    assert first == again
    assert first == {
        "StackId": EVENT["StackId"],
        "RequestId": "r-1",
        "LogicalResourceId": "ParametersHash",
        "PhysicalResourceId": "ParametersHash",
        "Status": "SUCCESS",
        "Data": {"Hash": first["Data"]["Hash"]},
    }
    assert len(first["Data"]["Hash"]) == 10
    assert moved["Data"] != first["Data"]


def test_cloudformation_gets_an_answer_in_any_case(told):
    """Without one a deployment, or a deletion, would hang."""
    deleted = told(RequestType="Delete", PhysicalResourceId="ParametersHash")
    failed = told(ResourceProperties={})

    assert deleted["Status"] == "SUCCESS"
    assert (failed["Status"], failed["Reason"]) == ("FAILED", "KeyError('Values')")


def test_its_function_may_write_logs_and_nothing_else(resources):
    """It gets every parameter's value, and needs none of the stack."""
    role = resources["ParametersRole"]["Properties"]
    function = resources["ParametersFunction"]["Properties"]
    group = resources["ParametersLogGroup"]["Properties"]

    managed = "arn:${AWS::Partition}:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    assert sorted(role) == ["AssumeRolePolicyDocument", "ManagedPolicyArns"]
    assert role["ManagedPolicyArns"] == [{"Fn::Sub": managed}]
    assert function["LoggingConfig"] == {"LogGroup": {"Ref": "ParametersLogGroup"}}
    assert group == {"RetentionInDays": {"Ref": "LogRetentionDays"}}


def test_nothing_secret_is_hashed(template):
    """Values go to a function as they are; secrets are named by parameters, and never given."""
    hidden = [name for name, one in template["Parameters"].items() if "NoEcho" in one]

    assert hidden == []
