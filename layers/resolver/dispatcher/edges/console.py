"""The web console: its files under a prefix that names their content, and its shell.

Files are read once. The first 12 hex digits of one SHA-256 over all of them are the prefix of every
asset, so a browser may keep an asset forever. The two files named ``main`` are served together with
what they import, in one response: a first view is then eight requests. The modules follow the
conventions of ``joined_script``, and the browser runs them unjoined just as well.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dispatcher import VERSION
from dispatcher.edges.http import Response
from dispatcher.errors import NotFoundError
from dispatcher.settings import settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dispatcher.edges.http import Request
    from dispatcher.settings import ConsoleSettings

TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "txt": "text/plain; charset=utf-8",
}
"""Content types by suffix; files with another suffix are not served."""

LIBRARIES = {"preact": "preact.js", "preact/hooks": "hooks.js", "htm": "htm.js"}
"""The modules that the console imports by name, and their files in ``vendor``."""

ROOTS = {"/console": "./", "/p/{token}": "../"}
"""The shell's paths, with the relative reference from each to the root of the stage."""

ROOT_LEADS_HERE = ("local", "dev")
"""The stages whose root redirects to the console."""

_IMPORTED_STYLE = re.compile(r'^@import "([^"]+)";\n', re.MULTILINE)
_IMPORTED_MODULE = re.compile(r'^import (?:{[^}]*} from )?"(\.[^"]+)";\n', re.MULTILINE)
_IMPORTED_LIBRARY = re.compile(r'^import [^;]+ from "[^."][^"]*";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=async |function |class |const |let )", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Site:
    """The console's files as they are served."""

    assets: Mapping[str, str]
    """Text by path."""
    shell: str
    prefix: str
    """The path of the assets, relative to the root of the stage."""

    def import_map(self, root: str) -> str:
        """Return the import map of a shell: the only script in it."""
        imports = {name: f"{root}{self.prefix}/vendor/{file}" for name, file in LIBRARIES.items()}
        return json.dumps({"imports": imports}, separators=(",", ":"))

    def page(self, root: str, console: ConsoleSettings) -> str:
        """Return the shell for a path from which ``root`` leads to the root of the stage."""
        public = {
            "root": root,
            "assets": self.prefix,
            "version": VERSION,
            "title": console.title,
            "auth": console.auth_mode,
            "issuer": console.issuer,
            "audience": console.audience,
            "client_id": console.client_id,
            "scope": console.scope,
            "embed_origins": list(console.embed_origins),
            "runbook": console.runbook,
        }
        values = {
            "title": html.escape(console.title),
            "assets": root + self.prefix,
            "root": root,
            "import_map": self.import_map(root),
            "settings": html.escape(json.dumps(public)),
        }
        return re.sub(r"{{(\w+)}}", lambda match: values[match[1]], self.shell)


@cache
def site(folder: Path) -> Site:
    """Read a folder of static files."""
    files = {
        path.relative_to(folder).as_posix(): path.read_text("utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    digest = hashlib.sha256()
    for name, text in files.items():
        content = text.encode()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    shell = files.pop("index.html")
    assets = {name: text for name, text in files.items() if _suffix(name) in TYPES}
    assets["style/main.css"] = joined_style(files)
    assets["app/main.js"] = joined_script("app/main.js", files)
    return Site(assets, shell, f"console/assets/{digest.hexdigest()[:12]}")


def joined_style(files: Mapping[str, str]) -> str:
    """Return ``style/main.css`` with the styles that it imports in their places."""
    return _IMPORTED_STYLE.sub(lambda match: files[f"style/{match[1]}"], files["style/main.css"])


def joined_script(name: str, files: Mapping[str, str]) -> str:
    """Return a module and all that it imports as one module.

    Each module comes after those that it imports, in one scope. So top-level names are unique,
    imports are named and at the start of a line, and no import renames or is circular.
    """
    libraries: dict[str, None] = {}
    modules: dict[str, str] = {}

    def add(path: str) -> None:
        if path in modules:
            return
        text = files[path]
        for match in _IMPORTED_MODULE.finditer(text):
            add(_resolved(path, match[1]))
        libraries.update(dict.fromkeys(_names(text)))
        body = _IMPORTED_LIBRARY.sub("", _IMPORTED_MODULE.sub("", text))
        modules[path] = f"// {path}\n{_EXPORT.sub('', body)}"

    add(name)
    return "".join([*libraries, *modules.values()])


def _names(text: str) -> list[str]:
    """Return one import statement for each name that a module imports from a library."""
    statements = []
    for match in _IMPORTED_LIBRARY.finditer(text):
        clause, _, source = match[0].removeprefix("import ").rpartition(" from ")
        names = clause.strip("{ }\n").split(",") if clause.startswith("{") else [clause]
        form = "import {{ {} }} from {}" if clause.startswith("{") else "import {} from {}"
        statements += [form.format(name.strip(), source) for name in names if name.strip()]
    return statements


def _resolved(path: str, reference: str) -> str:
    segments = path.split("/")[:-1]
    for segment in reference.split("/"):
        if segment == "..":
            segments.pop()
        elif segment != ".":
            segments.append(segment)
    return "/".join(segments)


def _suffix(name: str) -> str:
    return name.rpartition(".")[2]


# Responses ----------------------------------------------------------------------------------------


def headers(folder: Path) -> Mapping[str, str]:
    """Return the headers of every response of the console, 404 included."""
    console, files = settings().console, site(folder)
    scripts = " ".join(dict.fromkeys(_hashed(files.import_map(root)) for root in ROOTS.values()))
    servers = filter(None, map(_origin, (console.issuer, console.token_origin)))
    framed_by = " ".join(console.embed_origins) or "'none'"
    policy = (
        "default-src 'none'",
        f"script-src 'self' {scripts}",
        "style-src 'self'",
        "img-src 'self' data:",
        " ".join(["connect-src 'self'", *dict.fromkeys(servers)]),
        "base-uri 'none'",
        "form-action 'none'",
        f"frame-ancestors {framed_by}",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
    common = {
        "Content-Security-Policy": "; ".join(policy),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    # Over plain http browsers ignore it; on localhost it would bind every other program there.
    if console.stage != "local":
        common["Strict-Transport-Security"] = "max-age=31536000"
    return common


def respond(request: Request, folder: Path) -> Response:
    """Return the shell or an asset; ``NotFoundError`` for another path or another version.

    In the stages for trials, the root of the API leads to the shell.
    """
    console = settings().console
    is_root = request.path == "/"
    if not console.is_enabled or (is_root and console.stage not in ROOT_LEADS_HERE):
        raise NotFoundError("There is no such path.")
    if is_root:
        # The local proxy serves the stage at its root, which the local cloud does not know.
        base = "" if console.stage == "local" else request.event["requestContext"]["path"]
        return Response(302, None, {"Location": f"{base.rstrip('/')}/console"})
    files = site(folder)
    root = ROOTS.get(request.path)
    if root is None:
        return _asset(files, request.rest)
    page = files.page(root, console)
    content = {"Content-Type": "text/html; charset=utf-8"}
    if request.path != "/console":
        # The address holds a token; no cache may keep what it led to.
        return Response(200, page, content | {"Cache-Control": "no-store"})
    tag = f'"{hashlib.sha256(page.encode()).hexdigest()[:16]}"'
    cached = {"Cache-Control": "no-cache", "ETag": tag}
    if tag in (request.header("If-None-Match") or ""):
        return Response(304, None, cached)
    return Response(200, page, content | cached)


def _asset(files: Site, path: str) -> Response:
    prefix = files.prefix.removeprefix("console/")
    name = path.removeprefix(f"{prefix}/")
    if name == path or name not in files.assets:
        raise NotFoundError("There is no such file in this version of the console.")
    cached = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(200, files.assets[name], cached | {"Content-Type": TYPES[_suffix(name)]})


def _hashed(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if url else ""
