"""How problems are told: by the HTTP edge, says its code, by API Gateway, says the template."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dispatcher.edges import http
from tools.api_document.schemas import REF, Json
from tools.parameters import section
from tools.paths import TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Iterator

PROBLEM_TYPE = "urn:integration-dispatcher:problem:"
INSTANCE = "urn:uuid:5f0c1d2e-3a4b-4c5d-8e6f-1a2b3c4d5e60"

HEADERS = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}

# Details for examples, where the edge says something else each time.
DETAILS = {
    "unreadable-body": "The body is not valid JSON: line 1, column 1: Expecting value.",
    "forbidden": "Another user's affairs take the scope dispatch:admin.",
    "not-found": "user john.doe has no EMAIL override: create one with POST",
    "conflict": "user john.doe has an override of EMAIL already: change it with PUT, or DELETE it "
    "first",
    "body-too-large": f"A body has at most {http.LARGEST_BODY} bytes.",
    "broken-setting": "RETENTION_DAYS is '0': set it to a whole number of days from 1 to 3650",
}
FLAWS = [{"pointer": "/retry_count", "detail": "must be less than or equal to 20"}]


def responses() -> dict[int, tuple[str, Json]]:
    """Return by status how problems are told: a name, and a response that shows each of them."""
    by_status: dict[int, dict[str, Json]] = {}
    for problem in (*_told_by_the_edge(), *_told_by_the_gateway()):
        name = problem["type"].removeprefix(PROBLEM_TYPE)
        by_status.setdefault(problem["status"], {}).setdefault(name, problem)
    made = {}
    for status, problems in sorted(by_status.items()):
        first = next(iter(problems))
        response: Json = {
            "description": " / ".join(f"{one['title']}." for one in problems.values()),
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": REF + "Problem"},
                    "examples": {
                        name: {"summary": one["title"], "value": one}
                        for name, one in problems.items()
                    },
                }
            },
        }
        if name := HEADERS.get(status):
            response["headers"] = {name: {"$ref": f"#/components/headers/{name}"}}
        made[status] = ("".join(part.capitalize() for part in first.split("-")), response)
    return made


def _told_by_the_edge() -> Iterator[Json]:
    for one in http.PROBLEMS.values():
        if one.status == 405:
            continue
        problem: Json = {
            "type": PROBLEM_TYPE + one.name,
            "title": one.title,
            "status": one.status,
            "detail": one.detail or DETAILS[one.name],
            "instance": INSTANCE,
        }
        yield problem | ({"errors": FLAWS} if one.status == 422 else {})


def _told_by_the_gateway() -> Iterator[Json]:
    told = section(TEMPLATE, "Resources")["Api"]["Properties"]["GatewayResponses"]
    for one in told.values():
        [problem] = one["ResponseTemplates"].values()
        yield json.loads(problem) | {"instance": INSTANCE}
