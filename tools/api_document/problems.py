"""The problem responses of the HTTP edge (from its code) and of API Gateway (from the template)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from dispatcher.edges import http
from dispatcher.strict_json import LARGEST_BODY
from tools.api_document.samples import DECLARED
from tools.api_document.schemas import REF, Json
from tools.parameters import section
from tools.paths import TEMPLATE

PROBLEM_TYPE = "urn:integration-dispatcher:problem:"
INSTANCE = "urn:uuid:5f0c1d2e-3a4b-4c5d-8e6f-1a2b3c4d5e60"

HEADERS = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}

INVALID_FIELDS = [{"pointer": "/retry_count", "detail": "must be a whole number from 0 to 20"}]


def responses() -> dict[int, tuple[str, Json]]:
    """Return a name and a response by status; the response has an example of each problem."""
    return _by_status((*_of_the_edge(), *_of_api_gateway()))


def without_the_function() -> dict[int, tuple[str, Json]]:
    """Return the responses of API Gateway to a request whose function does not respond."""
    return _by_status(_of_api_gateway("INTEGRATION_FAILURE", "INTEGRATION_TIMEOUT"))


def _by_status(found: Iterable[Json]) -> dict[int, tuple[str, Json]]:
    by_status: dict[int, dict[str, Json]] = {}
    for problem in found:
        name = problem["type"].removeprefix(PROBLEM_TYPE)
        by_status.setdefault(problem["status"], {}).setdefault(name, problem)
    named = {}
    for status, problems in sorted(by_status.items()):
        first = next(iter(problems))
        response: Json = {
            "description": " / ".join(f"{problem['title']}." for problem in problems.values()),
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": REF + "ProblemResponse"},
                    "examples": {
                        name: {"summary": problem["title"], "value": problem}
                        for name, problem in problems.items()
                    },
                }
            },
        }
        if header := HEADERS.get(status):
            response["headers"] = {header: {"$ref": f"#/components/headers/{header}"}}
        named[status] = ("".join(part.capitalize() for part in first.split("-")), response)
    return named


def _of_the_edge() -> Iterator[Json]:
    for kind in http.PROBLEMS.values():
        if kind.status == 405:
            continue
        problem: Json = {
            "type": PROBLEM_TYPE + kind.name,
            "title": kind.title,
            "status": kind.status,
            "detail": kind.detail or DECLARED["details"][kind.name].format(most=LARGEST_BODY),
            "instance": INSTANCE,
        }
        yield problem | ({"errors": INVALID_FIELDS} if kind.status == 422 else {})


def _of_api_gateway(*kinds: str) -> Iterator[Json]:
    gateway_responses = section(TEMPLATE, "Resources")["Api"]["Properties"]["GatewayResponses"]
    for kind in kinds or gateway_responses:
        [problem] = gateway_responses[kind]["ResponseTemplates"].values()
        yield json.loads(problem) | {"instance": INSTANCE}
