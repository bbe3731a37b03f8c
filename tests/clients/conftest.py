"""The real functions behind a real HTTP server, and clients generated from the API's document."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dispatcher import wiring
from dispatcher.integrations import catalogue
from tests.cli.server import Gateway, behind
from tests.functions.conftest import service, session  # noqa: F401 - fixtures
from tools.paths import LOCAL, ROOT

DOCUMENT = ROOT / "docs" / "openapi.json"
PROGRAMS = Path(__file__).parent / "programs"
CLIENTS = LOCAL / "clients"
NODE_MODULES = CLIENTS / "node" / "node_modules"

UNKNOWN = {
    "integration_type": "FAX",
    "status": "paused",
    "reason": "quiet_hours",
    "error_code": "fax_jam",
    "code": "fax_jam",
    "outcome": "postponed",
    "mode": "round_robin",
}
"""By the name of an open field, a value that a later edition of the service could return."""


@pytest.fixture
def gateway(service):  # noqa: F811 - a fixture is asked for by its name
    """The service behind an HTTP server; each accepted message is delivered immediately."""
    with Gateway(delivering(service)) as running:
        yield running


@pytest.fixture
def later_gateway(service):  # noqa: F811 - a fixture is asked for by its name
    """The same service as a later edition: with values and fields that no client knows."""
    respond = delivering(service)

    def later(*request):
        status, headers, text = respond(*request)
        if headers.get("Content-Type") == "application/json":
            text = json.dumps(with_unknown_values(json.loads(text)))
        return status, headers, text

    with Gateway(later) as running:
        yield running


def delivering(of_service):
    """Return a responder that calls the functions, and the worker after each 202."""
    wiring.event_log()  # bound to the standard output of now
    respond = behind(of_service)

    def responder(*request):
        response = respond(*request)
        if response[0] == 202:
            of_service.deliver()
        return response

    return responder


def with_unknown_values(value):
    """Return a response as a later edition of the service could send it."""
    if isinstance(value, list):
        return [with_unknown_values(part) for part in value]
    if not isinstance(value, dict) or not value:
        return value
    changed = {name: with_unknown_values(part) for name, part in value.items()}
    if known := catalogue().keys() & value.keys():
        return {**changed, UNKNOWN["integration_type"]: changed[min(known)]}
    changed |= {name: text for name, text in UNKNOWN.items() if name in value}
    return {**changed, "unknown_field": "unknown"}


def run(*command, cwd):
    """Run a program of the environment; return its output, fail with all that it wrote."""
    assert CLIENTS.exists(), "the environment for generated clients is missing: make clients"
    done = subprocess.run(
        [CLIENTS / "bin" / command[0], *command[1:]],
        cwd=cwd,
        env={
            # The generator formats its code with the ruff beside it.
            "PATH": f"{CLIENTS / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(cwd),
            "NO_PROXY": "*",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def python_client(tmp_path_factory):
    """A folder with the client that openapi-python-client generates, and a program."""
    folder = tmp_path_factory.mktemp("python")
    shutil.copy(PROGRAMS / "program.py", folder)
    generate = ["generate", "--path", DOCUMENT, "--output-path", folder / "dispatcher_client"]
    run("openapi-python-client", *generate, "--meta", "none", "--fail-on-warning", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def typescript_client(tmp_path_factory):
    """A folder with the types that openapi-typescript generates, and a program."""
    folder = tmp_path_factory.mktemp("typescript")
    shutil.copy(PROGRAMS / "program.ts", folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "node_modules").symlink_to(NODE_MODULES)
    generator = NODE_MODULES / "openapi-typescript" / "bin" / "cli.js"
    run("node", generator, DOCUMENT, "--output", folder / "api.ts", cwd=folder)
    return folder
