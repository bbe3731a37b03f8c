"""The build artifacts: each function runs with its artifacts only, boto3 included.

The local cloud would not notice a package that is missing: its functions see the cloud's own.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dispatcher.integrations import catalogue
from tests.template.rights import logical_id

ROOT = Path(__file__).parents[2]
BUILD = ROOT / ".aws-sam" / "build"
FOLDERS = sorted(path.parent.name for path in ROOT.glob("functions/*/app.py"))
LAYERS = {"deliver_messages": ("ResolverLayer", "ChannelsLayer")}

# Modules that take long to import or that only some functions need.
HEAVY = ("boto3", "pydantic", "channels", "requests", "phonenumbers", "email_validator", "jwt")

ENVIRONMENT = {
    "STAGE": "local",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "POWERTOOLS_SERVICE_NAME": "integration-dispatcher",
    "OVERRIDES_TABLE": "overrides",
    "DELIVERIES_TABLE": "deliveries",
    "KEY_ARN": "arn:aws:kms:eu-central-1:123456789012:key/1",
    "RETENTION_DAYS": "90",
    "PUBLIC_DOCS": "true",
}

QUEUES = {
    f"{name}_QUEUE_URL": f"https://sqs.eu-central-1.amazonaws.com/123456789012/{name}"
    for name in ("DELIVERY", "RETRY", "DEAD_LETTER", "PARKED")
}


@pytest.fixture(scope="module")
def build():
    """Build what is not built yet."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.build"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def run(build):
    """Run code in a fresh interpreter that has the artifacts of one function; return its JSON."""

    def run(function, code, environment=None):
        layers = [BUILD / name / "python" for name in LAYERS.get(function, ("ResolverLayer",))]
        paths = [str(path) for path in (BUILD / logical_id(function), *layers)]
        # -I and -S: neither this folder, nor this environment's packages, nor the user's. -B: the
        # build stays as it is.
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-B", "-c", f"import sys; sys.path[:0] = {paths}\n{code}"],
            env=environment or {},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_every_function_is_built(build):
    """From its own folder alone: its handler, and beside one of them the libraries it needs."""
    built = {
        function: sorted(path.name for path in BUILD.joinpath(logical_id(function)).iterdir())
        for function in FOLDERS
    }

    libraries = built.pop("authorize_request")
    assert built.pop("get_console") == ["app.py", "static"]
    assert built.pop("get_openapi") == ["app.py", "openapi.json"]
    assert set(map(tuple, built.values())) == {("app.py",)}
    assert {"app.py", "cryptography", "jwt"} <= set(libraries)
    assert not {"dispatcher", "requirements.lock", "Makefile"} & set(libraries)


def test_folders_of_libraries_are_compressed_by_the_build(build):
    """A deployment uploads their zip files as they are; the folders stay for `sam local`."""
    template = json.loads((BUILD / "template.yaml").read_text())
    code = {
        name: one["Properties"].get("CodeUri") or one["Properties"].get("ContentUri")
        for name, one in template["Resources"].items()
        if one["Type"] in {"AWS::Serverless::Function", "AWS::Serverless::LayerVersion"}
    }

    packed = {name: place for name, place in code.items() if place.endswith(".zip")}
    assert {"ResolverLayer", "ChannelsLayer"} <= packed.keys()
    assert all(
        (BUILD / place).is_file() and (BUILD / name).is_dir() for name, place in packed.items()
    )
    assert all((BUILD / place).is_dir() for place in code.values() if place not in packed.values())


@pytest.mark.parametrize("function", FOLDERS)
def test_a_function_starts_without_settings_and_without_haste(run, function):
    """No environment variable is read, no client is made, nothing heavy is imported."""
    loaded = run(
        function,
        "import json, app\n"
        "assert callable(app.handler)\n"
        f"print(json.dumps([name for name in {HEAVY} if name in sys.modules]))",
    )

    assert loaded == []


@pytest.mark.parametrize(
    ("builder", "heavy"),
    [("defaults", []), ("configurations", ["boto3"]), ("history", ["boto3"])],
)
def test_what_only_reads_does_without_pydantic(run, builder, heavy):
    """It takes most of the time that a function needs to start; after boto3, where AWS is asked."""
    loaded = run(
        "get_override",
        "import json\n"
        "from dispatcher import wiring\n"
        f"wiring.{builder}()\n"
        f"print(json.dumps([name for name in {HEAVY} if name in sys.modules]))",
        ENVIRONMENT,
    )

    assert loaded == heavy


SDKS = ("requests", "slack_sdk", "phonenumbers", "smtplib", "markdown_it", "pydantic")


@pytest.mark.parametrize(
    ("integration", "sdks"),
    [
        ("SLACK", ["slack_sdk", "markdown_it"]),
        ("EMAIL", ["smtplib", "markdown_it"]),
        ("WEBHOOK", ["requests"]),
        ("SMS", []),
        ("TEST", []),
        ("CLI", []),
        ("TOOL", []),
    ],
)
def test_the_worker_loads_an_integrations_sdk_when_it_is_used(run, integration, sdks):
    """And no other's: each is a part of a cold start."""
    loaded = run(
        "deliver_messages",
        "import json\n"
        "from dispatcher import wiring\n"
        "wiring.worker()\n"
        f"before = [name for name in {SDKS} if name in sys.modules]\n"
        f"wiring._channel({integration!r})\n"
        f"print(json.dumps([before, [name for name in {SDKS} if name in sys.modules]]))",
        {**ENVIRONMENT, **QUEUES, "TOOL_BUS_NAME": "bus", "PAUSE_RULES": "0/0/0/0/0"},
    )

    assert loaded == [[], sdks]


@pytest.mark.parametrize(
    ("header", "loaded"),
    [({"x-api-key": ["k"]}, ["boto3"]), ({"authorization": ["Bearer e30.e30.e30"]}, ["jwt"])],
)
def test_the_authorizer_loads_what_one_kind_of_credential_takes(run, header, loaded):
    """It is on the way of every request: a cold start has nothing to spare."""
    environment = ENVIRONMENT | {
        "AUTH_MODE": "required",
        "USER_CLAIM": "sub",
        "OIDC_ISSUER": "https://id.example.com",
        "OIDC_AUDIENCE": "dispatcher",
        "OIDC_JWKS_URI": "http://127.0.0.1:1/",
        "API_KEYS_SECRET": "dispatcher/keys",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }
    event = {"methodArn": "arn/stage/GET/", "multiValueHeaders": header}

    found = run(
        "authorize_request",
        "import json, app\n"
        "try:\n"
        f"    app.handler({event}, None)\n"
        "except Exception as error:\n"
        "    assert type(error).__name__ in ('UnauthorizedError', 'UncheckedError')\n"
        f"print(json.dumps([name for name in {HEAVY} if name in sys.modules]))",
        environment,
    )

    assert found == loaded


def test_a_function_answers_from_its_artifacts(run):
    """Here one that needs no AWS."""
    event = ROOT / "events" / "get_integration_defaults.json"

    response = run(
        "get_integration_defaults",
        "import json, pathlib, app\n"
        f"event = json.loads(pathlib.Path({str(event)!r}).read_text())\n"
        "print(json.dumps(app.handler(event, None)))",
        ENVIRONMENT,
    )

    assert response["statusCode"] == 200
    assert len(json.loads(response["body"])["default_integrations"]) == len(catalogue())


@pytest.mark.parametrize("function", ["get_openapi", "get_docs"])
def test_what_describes_the_api_is_in_the_artifacts(run, function):
    """The document is its function's, the page is the layer's: nothing is fetched, nothing made."""
    event = ROOT / "events" / f"{function}.json"

    response = run(
        function,
        "import json, pathlib, app\n"
        f"event = json.loads(pathlib.Path({str(event)!r}).read_text())\n"
        "print(json.dumps(app.handler(event, None)))",
        ENVIRONMENT,
    )

    assert response["statusCode"] == 200
    document = (ROOT / "docs" / "openapi.json").read_text()
    assert (response["body"] == document) == (function == "get_openapi")


@pytest.mark.parametrize(
    ("function", "package"),
    # The authorizer's libraries are for the one module that only the authorizer loads.
    [("authorize_request", "dispatcher"), ("deliver_messages", "channels")],
)
def test_a_layer_brings_whatever_its_modules_import(run, function, package):
    """All of them, also what is imported on first use only."""
    imported = run(
        function,
        "import json, importlib, pkgutil\n"
        f"root = importlib.import_module({package!r})\n"
        "found = pkgutil.walk_packages(root.__path__, root.__name__ + '.')\n"
        "names = [importlib.import_module(one.name).__name__ for one in found]\n"
        "print(json.dumps(names))",
    )

    sources = {"dispatcher": "layers/resolver", "channels": "layers/channels"}
    folder = ROOT / sources[package]
    expected = {
        ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        for path in folder.joinpath(package).rglob("*.py")
    }
    assert {package, *imported} == expected


SERVICES = {
    *("cloudwatch", "dynamodb", "events", "kms", "pinpoint-sms-voice-v2"),
    *("secretsmanager", "sesv2", "sns", "sqs", "ssm"),
}
CALLED = re.compile(r'(?:aws|client)\("([a-z0-9-]+)"')


def test_the_layer_has_the_models_of_the_services_that_are_called():
    """A model that is missing would fail at the first call; the others would only cost space."""
    listed = set((ROOT / "layers" / "resolver" / "services.txt").read_text().split())
    called = {
        service
        for path in ROOT.glob("layers/*/**/*.py")
        for service in CALLED.findall(path.read_text())
    }

    assert listed == called == SERVICES


def test_boto3_is_the_one_that_is_tested(run):
    """Every function finds the layer's boto3, in the version of these tests, and all its models."""
    found = run(
        "deliver_messages",
        "import boto3, json, sys\n"
        "from dispatcher.adapters.aws import client\n"
        "made = [client(name).meta.service_model.service_name for name in "
        f"{sorted(SERVICES)}]\n"
        "print(json.dumps([boto3.__version__, boto3.__file__, made]))",
        {"AWS_DEFAULT_REGION": "eu-central-1"},
    )

    version, path, made = found
    assert version == importlib.metadata.version("boto3")
    assert Path(path).is_relative_to(BUILD / "ResolverLayer")
    assert made == sorted(SERVICES)
