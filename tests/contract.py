"""Compares responses with ``docs/openapi.json``: status, headers, body, and texts of errors."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator, FormatChecker

from dispatcher.edges.routes import ROUTES
from tools.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dispatcher.edges.routes import Route

DOCUMENT: dict[str, Any] = json.loads((ROOT / "docs" / "openapi.json").read_text())

#: Every response has these, or a proxy of the service adds them: no operation documents them.
UNTOLD = {
    "cache-control", "connection", "content-encoding", "content-length", "content-security-policy",
    "content-type", "vary",
    "date", "server", "transfer-encoding", "via", "x-amz-apigw-id", "x-amz-request-id",
    "x-amzn-errortype", "x-amzn-requestid", "x-content-type-options",
}  # fmt: skip


#: Words of Python, pydantic, email-validator, ipaddress and the operating system.
LIBRARY_TEXT = re.compile(
    r"Value error|\bshould (be|have|match|contain)\b|validation|pydantic|Errno|Traceback"
    r"|\b[A-Z]\w*(Error|Exception)\b|<class|'(str|int|float|bool|list|dict|NoneType)'|\bNone\b"
    r"|Expecting|Extra data|delimiter|codec|surrogates not|@-sign|does not appear|host bits"
)


def details(problem: Mapping[str, Any]) -> list[str]:
    """Return the sentences of a problem."""
    return [problem["detail"], *(error["detail"] for error in problem.get("errors", []))]


def operation(function: str) -> dict[str, Any]:
    """Return what the document says of a function's operation."""
    [route] = [one for one in ROUTES if one.function == function]
    found: dict[str, Any] = DOCUMENT["paths"][route.path][route.method.lower()]
    return found


def routed(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """Return a request's route and path parameters, encoded as on AWS; ``None`` without a route."""
    asked = path.partition("?")[0].split("/")
    for route in ROUTES:
        template = route.path.split("/")
        if route.method == method and len(template) == len(asked):
            pairs = list(zip(template, asked, strict=True))
            if all(part == one or (part.startswith("{") and one) for part, one in pairs):
                named = {part[1:-1]: one for part, one in pairs if part.startswith("{")}
                return route, named
    return None


def resolved(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference."""
    while "$ref" in part:
        names = part["$ref"].removeprefix("#/").split("/")
        part = DOCUMENT
        for name in names:
            part = part[name]
    return part


def field_errors(schema: Mapping[str, Any], value: object) -> list[str]:
    """Return what of a value is not as a schema says."""
    return [error.message for error in _validator(json.dumps(schema)).iter_errors(value)]


def breaches(function: str, status: int, headers: Mapping[str, str], body: str) -> Iterator[str]:
    """Yield the parts of a response that the document does not allow."""
    answers = operation(function)["responses"]
    if str(status) not in answers:
        yield f"{function} does not tell of {status}"
        return
    told = resolved(answers[str(status)])
    names = {name.lower() for name in headers}
    for name in names - UNTOLD - {name.lower() for name in told.get("headers", {})}:
        yield f"{function} does not tell of the header {name} with {status}"
    if not body:
        if "content" in told:
            yield f"{function} tells of a body with {status}"
        return
    kind = {name.lower(): value for name, value in headers.items()}["content-type"]
    if kind not in told.get("content", {}):
        yield f"{function} does not tell of {kind} with {status}"
        return
    value = json.loads(body) if "json" in kind else body
    if kind == "application/problem+json":
        yield from filter(LIBRARY_TEXT.search, details(value))
    yield from field_errors(told["content"][kind]["schema"], value)


@cache
def _validator(schema: str) -> Draft202012Validator:
    # References in the schema start at the document's root.
    whole = {**json.loads(schema), "components": {"schemas": _closed()}}
    return Draft202012Validator(whole, format_checker=FormatChecker())


@cache
def _closed() -> dict[str, Any]:
    """Return the schemas, closed: to clients responses are open, but ours have no other fields."""
    return {
        name: {"additionalProperties": False, **schema} if "properties" in schema else schema
        for name, schema in DOCUMENT["components"]["schemas"].items()
    }
