"""Composes the OpenAPI document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module

from dispatcher import VERSION
from dispatcher.access.policy import ANY
from dispatcher.edges.routes import ROUTES, Route
from tools.api_document import problems, samples
from tools.api_document.operations import (
    GROUPS,
    OPERATIONS,
    SCHEMAS,
    Operation,
    Response,
    parameter,
)
from tools.api_document.prose import prose, third_person
from tools.api_document.samples import DECLARED
from tools.api_document.schemas import REF, Json, schemas


def document() -> Json:
    """Return the document."""
    by_status, named = problems.responses(), schemas()
    paths: dict[str, Json] = {}
    for route in sorted(ROUTES, key=lambda route: [*OPERATIONS].index(route.function)):
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_status, named)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Integration dispatcher",
            "version": VERSION,
            "summary": "Delivers messages to each user over the user's own integrations.",
            "description": DECLARED["description"].strip(),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        # Relative to this document, so that it holds behind any host and stage.
        "servers": [{"url": ".", "description": "The location of this document."}],
        "tags": [
            {"name": name, "description": group["description"]}
            for name, group in DECLARED["groups"].items()
        ],
        "paths": paths,
        "components": {
            "schemas": named,
            "responses": dict(by_status.values()),
            "headers": DECLARED["headers"],
            "securitySchemes": DECLARED["security_schemes"],
        },
    }


def text() -> str:
    """Return the document as it is committed."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


# Operations ---------------------------------------------------------------------------------------


def _operation(route: Route, by_status: Mapping[int, tuple[str, Json]], named: Json) -> Json:
    declared = OPERATIONS[route.function]
    module = import_module(f"functions.{route.function}.app")
    summary = prose(module.__doc__).partition(": ")[2].removesuffix(".")
    description = third_person(prose(module.handler.respond.__doc__, whole_text=True))
    operation: Json = {
        "operationId": route.function,
        "tags": [name for name, group in GROUPS.items() if route.function in group],
        "summary": summary[0].upper() + summary[1:],
        "description": description,
        "parameters": [*_parameters(route, declared)],
    }
    if declared.body:
        operation["requestBody"] = {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": REF + declared.body},
                    "examples": {
                        name: {"summary": example["summary"], "value": example["body"]}
                        for name, example in samples.requests(route.function).items()
                    },
                }
            },
        }
    successful = {
        str(response.status): _response(route.function, response, declared.headers, named)
        for response in declared.successes()
    }
    failed = {
        str(status): {"$ref": f"#/components/responses/{by_status[status][0]}"}
        for status in _problem_statuses(route, declared)
    }
    for status in successful.keys() & failed.keys():
        # The function has one body for this status; API Gateway has another one without it.
        _, response = problems.without_the_function()[int(status)]
        successful[status]["content"] |= response["content"]
    operation["responses"] = dict(sorted((failed | successful).items()))
    operation["security"] = [
        {scheme: [scope]} for scope in route.scopes or () for scheme in DECLARED["security_schemes"]
    ]
    if route.scopes == ANY:
        operation["security"] = [{scheme: []} for scheme in DECLARED["security_schemes"]]
    return operation


def _parameters(route: Route, declared: Operation) -> Iterator[Json]:
    for name in re.findall(r"{(\w+)}", route.path):
        limited = {"enum": [declared.only[name]]} if name in declared.only else {}
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": DECLARED["path_parameters"][name],
            "schema": {**SCHEMAS[name], **limited},
            "example": {**samples.EXAMPLES["path"], **declared.path, **declared.only}[name],
        }
    for name, description in declared.parameters.items():
        yield parameter(route.function, name, description)


def _response(function: str, declared: Response, headers: Iterable[str], named: Json) -> Json:
    response: Json = {"description": declared.description}
    if header := problems.HEADERS.get(declared.status):
        headers = [header]
    if headers:
        response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
    if declared.schema:
        example = samples.response(function, declared.status, declared.schema, named)
        is_page = declared.schema == "HtmlPage"
        content_type = "text/html; charset=utf-8" if is_page else "application/json"
        response["content"] = {
            content_type: {"schema": {"$ref": REF + declared.schema}, "example": example}
        }
    return response


def _problem_statuses(route: Route, declared: Operation) -> list[int]:
    """Return the statuses of the problems that an operation's parts imply."""
    named = set(re.findall(r"{(\w+)}", route.path))
    private = route.function in {"get_openapi", "get_docs"}
    applies = {
        400: True,
        401: route.scopes is not None,
        403: route.scopes is not None,
        404: private or bool(named - {"user_id"}),
        413: declared.body is not None,
        422: bool(named or declared.body or declared.parameters),
        429: True,
        500: True,
        503: True,
    }
    return sorted({*declared.problems, *(status for status, one in applies.items() if one)})
