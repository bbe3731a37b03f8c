"""The audit of npm packages: npm itself, which asks a registry on this machine."""

from __future__ import annotations

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tools import npm_audit, vendor
from tools.locks import NODE_PACKAGES
from tools.paths import ROOT

ADVISORY = {
    "id": 1,
    "url": "https://advisories.example.com/1",
    "title": "Markup from strings",
    "severity": "low",
    "vulnerable_versions": "*",
    "cwe": [],
    "cvss": {"score": 3.1, "vectorString": None},
}


class Registry(ThreadingHTTPServer):
    """A registry that has advisories, and no packages."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Endpoint)
        self.url = f"http://127.0.0.1:{self.server_port}/"
        self.asked = []
        self.vulnerable = set()
        self.audits = True


class Endpoint(BaseHTTPRequestHandler):
    """Its endpoint of advisories."""

    def do_POST(self):
        """Return the advisories of the packages that the body names."""
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.server.audits:
            self.send_error(405)
            return
        packed = self.headers.get("Content-Encoding") == "gzip"
        packages = json.loads(gzip.decompress(data) if packed else data)
        self.server.asked.append(packages)
        found = {name: [ADVISORY] for name in packages.keys() & self.server.vulnerable}
        answer = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_GET(self):
        """Have no package."""
        self.send_error(404)

    def log_message(self, *_):
        """Write nothing to the terminal."""


@pytest.fixture
def registry(monkeypatch, tmp_path):
    """The registry of npm's configuration."""
    with Registry() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("npm_config_registry", server.url)
        monkeypatch.setenv("npm_config_cache", str(tmp_path))
        monkeypatch.setenv("npm_config_update_notifier", "false")
        yield server
        server.shutdown()
        thread.join()


def test_the_audit_asks_about_every_package_of_every_lock(registry):
    """Those of the generated clients, and those that the pages of the console load."""
    lock = json.loads((NODE_PACKAGES / "package-lock.json").read_text())["packages"]
    installed = {
        (name.rpartition("node_modules/")[2], one["version"]) for name, one in lock.items() if name
    }
    vendored = {
        (one["name"], one["version"])
        for folder in vendor.FOLDERS
        for one in vendor.locked(ROOT / folder)
    }

    code = npm_audit.main()

    asked = {
        (name, version)
        for packages in registry.asked
        for name, versions in packages.items()
        for version in versions
    }
    assert code == 0
    assert asked == installed | vendored
    assert {name for name, _ in vendored} >= {"preact", "htm", "axe-core"}


@pytest.mark.parametrize("name", ["pg", "preact", "axe-core"])
def test_an_advisory_for_any_package_fails_the_audit(registry, capfd, name):
    """The output names the package and the advisory, and the other locks are audited too."""
    registry.vulnerable = {name}

    code = npm_audit.main()

    output = capfd.readouterr().out
    assert code == 1
    assert name in output
    assert ADVISORY["url"] in output
    assert len(registry.asked) == 1 + len(vendor.FOLDERS)


def test_a_registry_without_advisories_fails_the_audit(registry):
    """A missing response is no good response."""
    registry.audits = False

    assert npm_audit.main() == 1


def test_make_audit_includes_npm():
    """CI and maintainers call `make audit`."""
    text = (ROOT / "Makefile").read_text()
    recipe = text.partition("\naudit: ")[2].partition("\n\n")[0]

    assert "$(python) -m tools.npm_audit" in recipe
