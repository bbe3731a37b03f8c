"""What a deployment hands to SAM: the build, marked with its parameters."""

from __future__ import annotations

import pytest
import yaml

from tools import release

BUILT = {
    "Parameters": {"LogLevel": {"Type": "String"}},
    "Resources": {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {}},
        "GetDocsFunction": {
            "Type": "AWS::Serverless::Function",
            "Properties": {"CodeUri": "GetDocsFunction", "Description": "GET /docs"},
        },
    },
}


@pytest.fixture
def marked(tmp_path, monkeypatch):
    """Return a function that marks a small build, and returns where it is and what is in it."""
    built = tmp_path / "template.yaml"
    built.write_text(yaml.safe_dump(BUILT))
    monkeypatch.setattr(release, "BUILD", tmp_path)
    monkeypatch.setattr(release, "BUILT_TEMPLATE", built)

    def mark(**parameters):
        path = release.mark(parameters)
        return path, yaml.safe_load(path.read_text())

    return mark


def described(template):
    """Return what the function says of itself."""
    return template["Resources"]["GetDocsFunction"]["Properties"]["Description"]


def test_other_parameters_make_other_functions(marked):
    """A parameter alone would leave the template as it was, and SAM would publish nothing."""
    _, debug = marked(LogLevel="DEBUG", Stage="dev")
    _, again = marked(Stage="dev", LogLevel="DEBUG")
    _, info = marked(LogLevel="INFO", Stage="dev")

    assert debug == again
    assert described(debug) != described(info)
    assert described(debug).startswith("GET /docs (parameters ")


def test_nothing_but_the_description_is_another(marked, tmp_path):
    """The code is found from the same folder, and the build itself stays as it was."""
    path, template = marked(LogLevel="DEBUG")

    template["Resources"]["GetDocsFunction"]["Properties"]["Description"] = "GET /docs"
    assert template == BUILT
    assert path.parent == tmp_path
    assert yaml.safe_load((tmp_path / "template.yaml").read_text()) == BUILT
