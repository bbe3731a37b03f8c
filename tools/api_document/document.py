"""Composes the OpenAPI document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from importlib import import_module

from dispatcher import VERSION
from dispatcher.access.policy import ANY
from dispatcher.edges.routes import ROUTES, Route
from dispatcher.identifiers import CATEGORY, DELIVERY_ID, REQUEST_ID, SUPPRESSION_ID, USER_ID
from dispatcher.integrations import catalogue
from dispatcher.integrations.rules import whole
from tools.api_document import problems, samples
from tools.api_document.operations import OPERATIONS, TAGS, Operation, Response
from tools.api_document.prose import prose, third_person
from tools.api_document.schemas import REF, Json, schemas

DESCRIPTION = """
Delivers a message to a user over every integration that is enabled for this user. Most users rely
on system-wide defaults; any user can override individual settings. Failed deliveries are retried,
and a delivery keeps a log of its last 25 attempts.

* Unknown fields of a body and unknown parameters of a listing are rejected. A JSON pointer names
  each invalid value, up to 20.
* Errors are `application/problem+json` (RFC 9457). The log names each error by its `instance`.
* Times are RFC 3339 in UTC with milliseconds.
* `Location` and links are relative references, so they hold behind any prefix.
* Responses are open: a value of `integration_type`, `status`, `reason` or `error_code` that a
  client does not know is valid.
"""

PATH_PARAMETERS: dict[str, tuple[str, Json]] = {
    "user_id": ("The user's ID, which is case-sensitive.", whole(USER_ID.pattern)),
    "integration_type": ("The integration, in any case.", {"enum": [*catalogue()]}),
    "category": ("The name of the category.", whole(CATEGORY.pattern)),
    "suppression_id": ("The suppression's ID.", whole(SUPPRESSION_ID.pattern)),
    "delivery_id": ("The delivery's ID.", {"format": "uuid", **whole(DELIVERY_ID.pattern)}),
    "request_id": ("The request's ID, percent-encoded.", whole(REQUEST_ID.pattern)),
    "message_id": ("The message's ID.", {"format": "uuid", **whole(DELIVERY_ID.pattern)}),
}

HEADERS: Json = {
    "Location": {
        "description": "The path of the new resource, relative to the request's path.",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "ETag": {
        "description": "The tag of the preferences, which `If-Match` takes: `version` in quotes.",
        "schema": {"type": "string"},
    },
    "Idempotency-Replayed": {
        "description": "`true` if the response repeats the response to an earlier request.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "WWW-Authenticate": {"description": "The authentication scheme.", "schema": {"type": "string"}},
    "Retry-After": {
        "description": "The seconds after which the client may repeat the request.",
        "schema": {"type": "integer"},
    },
}

SECURITY_SCHEMES: Json = {
    "bearerAuth": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": (
            "A token of the operator's OpenID Connect issuer. It gives access to the token's own "
            "user; access to other users requires the scope `dispatch:admin`."
        ),
    },
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "The key of a service, with the scopes that the operator granted.",
    },
}


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
            "description": DESCRIPTION.strip(),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        # Relative to this document, so that it holds behind any host and stage.
        "servers": [{"url": ".", "description": "The location of this document."}],
        "tags": [{"name": name, "description": tag.description} for name, tag in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": named,
            "responses": dict(by_status.values()),
            "headers": HEADERS,
            "securitySchemes": SECURITY_SCHEMES,
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
        "tags": [name for name, tag in TAGS.items() if route.function in tag.operations],
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
    own = filter(None, (declared.response, declared.alternative))
    successful = {
        str(response.status): _response(route.function, response, named) for response in own
    }
    failed = {
        str(status): {"$ref": f"#/components/responses/{by_status[status][0]}"}
        for status in _problem_statuses(route, declared)
    }
    for status in successful.keys() & failed.keys():
        # Two bodies: the function's own, and the problem of the edge or of API Gateway.
        successful[status]["content"] |= by_status[int(status)][1]["content"]
    operation["responses"] = dict(sorted((failed | successful).items()))
    operation["security"] = [
        {scheme: [scope]} for scope in route.scopes or () for scheme in SECURITY_SCHEMES
    ]
    if route.scopes == ANY:
        operation["security"] = [{scheme: []} for scheme in SECURITY_SCHEMES]
    return operation


def _parameters(route: Route, declared: Operation) -> Iterator[Json]:
    for name in re.findall(r"{(\w+)}", route.path):
        description, schema = PATH_PARAMETERS[name]
        if name in declared.only:
            schema = schema | {"enum": [declared.only[name]]}
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": description,
            "schema": {"type": "string", **schema},
            "example": {**samples.EXAMPLES["path"], **declared.path, **declared.only}[name],
        }
    for parameter in declared.parameters:
        yield {
            "name": parameter.name,
            "in": parameter.place,
            "required": False,
            "description": parameter.description,
            "schema": dict(parameter.schema),
        }


def _response(function: str, declared: Response, named: Json) -> Json:
    response: Json = {"description": declared.description}
    if declared.headers:
        response["headers"] = {
            name: {"$ref": f"#/components/headers/{name}"} for name in declared.headers
        }
    if declared.schema:
        example = samples.response(function, declared.status, declared.schema, named)
        response["content"] = {
            declared.content_type: {"schema": {"$ref": REF + declared.schema}, "example": example}
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
        404: private or declared.not_found or bool(named - {"user_id"}),
        409: declared.conflict,
        412: declared.precondition,
        413: declared.body is not None,
        422: bool(named or declared.body or declared.parameters),
        429: True,
        500: True,
        503: True,
    }
    return [status for status, included in applies.items() if included]
