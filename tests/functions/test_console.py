"""The web console's files over HTTP: addresses, headers, versions and sizes."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
import shutil
from pathlib import Path

import pytest

from dispatcher.edges import console
from functions.get_console.app import STATIC
from tests.functions.service import sample

FIRST_VIEW = (
    *("style/main.css", "app/main.js", "words/en.json"),
    *("vendor/preact.js", "vendor/hooks.js", "vendor/htm.js"),
)
"""The files that a browser requests besides the shell."""
OWN = [path for path in STATIC.rglob("*") if path.is_file() and path.parent.name != "vendor"]
ISSUER = "https://login.example.com/tenant"


def ask(service, path="/console", headers=None):
    """Request a path of the console."""
    event = sample("get_console")
    if path.startswith("/console/"):
        resource, parameters = "/console/{proxy+}", {"proxy": path.removeprefix("/console/")}
    elif path.startswith("/p/"):
        resource, parameters = "/p/{token}", {"token": path.removeprefix("/p/")}
    else:
        resource, parameters = path, None
    event |= {"resource": resource, "path": path, "pathParameters": parameters}
    event["multiValueHeaders"] = {name: [value] for name, value in (headers or {}).items()}
    return service.invoke("get_console", event)


def root(service, path):
    """Request the root of the API, whose path with the stage is ``path``."""
    event = sample("get_console") | {"resource": "/", "path": "/", "pathParameters": None}
    event["requestContext"] = event["requestContext"] | {"path": path}
    return service.invoke("get_console", event)


def prefix(folder=STATIC):
    """Return the path of the assets, without the stage."""
    return f"/{console.site(folder).prefix}"


def everything(service):
    """Return one response of each kind: shell, link, asset and 404."""
    paths = "/console", "/p/a.b", f"{prefix()}/app/main.js", "/console/assets/0/app/main.js"
    return [ask(service, path) for path in paths]


def test_the_shell_is_revalidated_and_an_asset_kept_forever(service):
    """The shell has a tag and returns 304 for it; an asset's name changes with its content."""
    shell = ask(service)
    tag = shell["headers"]["ETag"]
    asset = ask(service, f"{prefix()}/app/main.js")

    assert shell["headers"]["Cache-Control"] == "no-cache"
    assert ask(service, headers={"If-None-Match": tag})["statusCode"] == 304
    assert asset["statusCode"] == 200
    assert asset["headers"]["Cache-Control"] == "public, max-age=31536000, immutable"
    assert re.fullmatch(r"/console/assets/[0-9a-f]{12}", prefix())


def test_a_link_gets_the_same_shell_and_nothing_is_kept(service):
    """Its addresses lead one level up, and no cache may keep the page."""
    shell, link = ask(service), ask(service, "/p/a.b")

    assert link["statusCode"] == 200
    assert link["headers"]["Cache-Control"] == "no-store"
    assert "ETag" not in link["headers"]
    same = re.sub(r"(?<=[\"'; ])\.\./", "./", html.unescape(link["body"]))
    assert same == html.unescape(shell["body"])


def test_every_response_has_the_headers_of_the_contract(service):
    """On shell, link, asset and 404: strict policy with Trusted Types, no referrer, no sniffing."""
    for response in everything(service):
        headers = response["headers"]
        policy = dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; "))
        scripts = policy.pop("script-src").split()
        assert policy == {
            "default-src": "'none'",
            "style-src": "'self'",
            "img-src": "'self' data:",
            "connect-src": "'self'",
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": "'none'",
            "require-trusted-types-for": "'script'",
            "trusted-types": "'none'",
        }
        assert scripts[0] == "'self'"
        assert all(one.startswith("'sha256-") for one in scripts[1:])
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Permissions-Policy"] == "camera=(), microphone=(), geolocation=()"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "Strict-Transport-Security" not in headers


@pytest.mark.parametrize("path", ["/console", "/p/a.b"])
def test_the_import_map_is_the_only_inline_script(service, path):
    """Its hash is in the policy, computed from the text that is sent."""
    response = ask(service, path)

    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", response["body"], re.DOTALL)
    inline = [(kind, text) for kind, text in scripts if text]
    assert [kind for kind, _ in inline] == [' type="importmap"']
    digest = base64.b64encode(hashlib.sha256(inline[0][1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in response["headers"]["Content-Security-Policy"]
    assert set(json.loads(inline[0][1])["imports"]) == {"preact", "preact/hooks", "htm"}


def test_an_issuer_may_be_asked_and_a_listed_page_may_frame(service, monkeypatch):
    """Exactly these origins are in the policy; outside of local, https is demanded for a year."""
    monkeypatch.setenv("STAGE", "dev")
    monkeypatch.setenv("OIDC_ISSUER", ISSUER)
    monkeypatch.setenv("CONSOLE_TOKEN_ORIGIN", "https://tokens.example.com")
    monkeypatch.setenv("CONSOLE_EMBED_ORIGINS", "https://a.example.com,https://b.example.com")

    headers = ask(service)["headers"]

    policy = headers["Content-Security-Policy"]
    asked = "connect-src 'self' https://login.example.com https://tokens.example.com;"
    assert asked in policy
    assert "frame-ancestors https://a.example.com https://b.example.com;" in policy
    assert headers["Strict-Transport-Security"] == "max-age=31536000"


def test_an_operator_may_switch_it_off(service, monkeypatch):
    """Then shell, assets and links are 404, as if there were no such paths."""
    monkeypatch.setenv("CONSOLE_ENABLED", "false")

    assert [one["statusCode"] for one in everything(service)] == [404] * 4


@pytest.mark.parametrize(
    ("stage", "path", "location"),
    [
        ("local", "/local/", "/console"),
        ("dev", "/dev", "/dev/console"),
        ("dev", "/dev/", "/dev/console"),
        ("dev", "/", "/console"),
        ("dev", "/notify/", "/notify/console"),
    ],
)
def test_the_root_leads_to_the_console(service, monkeypatch, stage, path, location):
    """In the stages for trials, behind a stage, a custom domain and its base path."""
    monkeypatch.setenv("STAGE", stage)

    response = root(service, path)

    assert (response["statusCode"], response["body"]) == (302, "")
    assert response["headers"]["Location"] == location
    assert response["headers"]["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("stage", "enabled"), [("prod", "true"), ("dev", "false")])
def test_the_root_leads_nowhere_else(service, monkeypatch, stage, enabled):
    """In prod, or without a console, it is a path as any unknown one."""
    monkeypatch.setenv("STAGE", stage)
    monkeypatch.setenv("CONSOLE_ENABLED", enabled)

    response = root(service, f"/{stage}/")

    assert response["statusCode"] == 404
    assert "Location" not in response["headers"]


def test_a_missing_setting_opens_nothing(service, monkeypatch):
    """As for every other setting: 503, and the variable is named."""
    monkeypatch.delenv("CONSOLE_ENABLED")

    response = ask(service)

    assert response["statusCode"] == 503
    assert "CONSOLE_ENABLED" in response["body"]


@pytest.mark.parametrize(
    "path", ["app/none.js", "index.html", "../app.py", "app/", "", "..%2Fapp.py", "app/main.js%00"]
)
def test_nothing_else_is_served(service, path):
    """Names are looked up, never opened: there is no way out of the folder."""
    response = ask(service, f"{prefix()}/{path}")

    assert response["statusCode"] == 404


def test_no_log_line_holds_a_token(service):
    """The line of a preferences link names the route alone."""
    ask(service, "/p/a-token-of-ada")

    assert service.lines
    assert not [line for line in service.lines if "a-token-of-ada" in str(vars(line))]


def test_a_changed_file_changes_every_address(tmp_path):
    """A byte or a name: the prefix is another one, and an old one is 404."""
    shutil.copytree(STATIC, tmp_path / "one")
    shutil.copytree(STATIC, tmp_path / "two")
    shutil.copytree(STATIC, tmp_path / "three")
    with (tmp_path / "two" / "words" / "de.json").open("a") as words:
        words.write("\n")
    (tmp_path / "three" / "words" / "de.json").rename(tmp_path / "three" / "words" / "fr.json")

    prefixes = [prefix(tmp_path / name) for name in ("one", "two", "three")]

    assert prefixes[0] == prefix()
    assert len(set(prefixes)) == 3


def test_the_console_keeps_its_budget(service):
    """First view: 60 KB compressed, 8 requests with the API's; all files 300 KB, package 400 KB."""
    shell = ask(service)["body"]
    first = [ask(service, f"{prefix()}/{name}")["body"] for name in FIRST_VIEW]
    folder = STATIC.parent

    compressed = sum(len(gzip.compress(text.encode(), 6)) for text in [shell, *first])
    whole = sum(path.stat().st_size for path in STATIC.rglob("*") if path.is_file())
    package = sum(
        path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )
    assert compressed <= 60_000
    assert len(first) + 1 <= 7
    assert whole <= 300_000
    assert package <= 400_000


def test_our_style_has_at_most_500_lines():
    """Small enough to be read whole."""
    lines = sum(len(path.read_text().splitlines()) for path in STATIC.glob("style/*.css"))

    assert lines <= 500


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_no_file_makes_markup_or_code_from_text(path):
    """No markup from strings, no inline style, no eval: the policy would refuse all of them."""
    forbidden = re.compile(
        r"dangerouslySetInnerHTML|innerHTML|outerHTML|insertAdjacentHTML|document\.write"
        r"|\beval\(|new Function|\sstyle=|\.style\b|\son(click|load|error|input|change|submit)="
    )

    found = [match[0] for match in forbidden.finditer(path.read_text())]

    assert found == []


def test_modules_can_be_joined():
    """Top-level names are unique, imports are named, and nothing relative is left in the result."""
    files = {path.relative_to(STATIC).as_posix(): path.read_text() for path in STATIC.rglob("*.js")}
    script = console.joined_script("app/main.js", files)

    names = re.findall(r"^(?:async )?(?:function|const|let|class) (\w+)", script, re.MULTILINE)
    own = {path.relative_to(STATIC).as_posix() for path in OWN if path.suffix == ".js"}
    imports = re.findall(r"^import .*", script, re.MULTILINE)
    assert len(names) == len(set(names))
    assert set(re.findall(r"^// (\S+\.js)$", script, re.MULTILINE)) == own
    assert all(re.fullmatch(r'import (\w+|{ \w+ }) from "[\w/]+";', one) for one in imports)
    assert len(imports) == len(set(imports))
    assert not re.search(r"^export ", script, re.MULTILINE)


def test_the_handler_is_short():
    """It parses nothing and decides nothing."""
    lines = Path(STATIC.parent / "app.py").read_text().splitlines()

    assert len(lines) <= 25
