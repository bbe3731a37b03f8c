"""Puts the document together."""

from __future__ import annotations

import json
import re
from importlib import import_module
from typing import TYPE_CHECKING

from dispatcher import VERSION
from dispatcher.edges.routes import ROUTES, Route
from dispatcher.identifiers import DELIVERY_ID, USER_ID
from dispatcher.integrations import catalogue
from dispatcher.integrations.rules import whole
from tools.api_document import operations, problems
from tools.api_document.operations import OPERATIONS, TAGS, Operation, Response
from tools.api_document.prose import prose
from tools.api_document.schemas import REF, Json, schemas

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DESCRIPTION = """
Hand it a message for a user, and it delivers the message over every integration that this user has
switched on. System-wide defaults serve most users; who wants something else overrides single
settings. What fails is retried, and every attempt is in a log.

* Unknown fields and parameters are refused; what must be corrected is told with a pointer.
* Errors are `application/problem+json` (RFC 9457). Their `instance` is what the log calls them.
* Times are RFC 3339 in UTC with milliseconds.
* `Location` and links are relative references: they hold behind any prefix.
"""

PATH_PARAMETERS: dict[str, tuple[str, Json, str]] = {
    "user_id": (
        "The user. Compared as it is: users that differ in case are different users.",
        {"type": "string", **whole(USER_ID.pattern)},
        operations.USER,
    ),
    "integration_type": (
        "The integration, in any case.",
        {"type": "string", "enum": [*catalogue()]},
        "EMAIL",
    ),
    "delivery_id": (
        "The delivery.",
        {"type": "string", "format": "uuid", **whole(DELIVERY_ID.pattern)},
        operations.DELIVERY_ID,
    ),
    "message_id": (
        "The message.",
        {"type": "string", "format": "uuid", **whole(DELIVERY_ID.pattern)},
        operations.MESSAGE_ID,
    ),
}

HEADERS: Json = {
    "Location": {
        "description": "Where to follow it, relative to this request.",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Idempotency-Replayed": {
        "description": "`true` if this repeats the answer to an earlier request.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "WWW-Authenticate": {
        "description": "How to say who you are.",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds after which it is worth trying again.",
        "schema": {"type": "integer"},
    },
}

SECURITY_SCHEMES: Json = {
    "bearerAuth": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": (
            "A token of the OpenID Connect issuer that the operator named. It opens its own "
            "user's paths; those of others with the scope `dispatch:admin`."
        ),
    },
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "The key of a service, with the scopes that the operator gave it.",
    },
}


def document() -> Json:
    """Return the document."""
    responses = problems.responses()
    paths: dict[str, Json] = {}
    for route in sorted(ROUTES, key=lambda route: [*OPERATIONS].index(route.function)):
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, responses)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Integration dispatcher",
            "version": VERSION,
            "summary": "Delivers messages to each user over their own integrations.",
            "description": DESCRIPTION.strip(),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        # Relative to this document, so that it holds behind any host and stage.
        "servers": [{"url": ".", "description": "Where this document is."}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "responses": dict(responses.values()),
            "headers": HEADERS,
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def text() -> str:
    """Return the document as it is committed."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


# Operations ---------------------------------------------------------------------------------------


def _operation(route: Route, responses: Mapping[int, tuple[str, Json]]) -> Json:
    known = OPERATIONS[route.function]
    module = import_module(f"functions.{route.function}.app")
    summary = prose(module.__doc__).partition(": ")[2].removesuffix(".")
    made: Json = {
        "operationId": route.function,
        "tags": [known.tag],
        "summary": summary[0].upper() + summary[1:],
        "description": " ".join(filter(None, [prose(module.handler.respond.__doc__), known.more])),
        "parameters": [*_parameters(route, known)],
    }
    if known.body:
        made["requestBody"] = {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": REF + known.body},
                    "examples": {
                        name: {"summary": one.says, "value": one.body}
                        for name, one in known.examples.items()
                    },
                }
            },
        }
    answered = {str(one.status): _answer(one) for one in known.answers}
    refused = {
        str(status): {"$ref": f"#/components/responses/{responses[status][0]}"}
        for status in _refusals(route, known)
    }
    for status in answered.keys() & refused.keys():
        # Said in two ways: by the function, and by what stands before it.
        answered[status]["content"] |= responses[int(status)][1]["content"]
    made["responses"] = dict(sorted((refused | answered).items()))
    made["security"] = [{name: [route.scope]} for name in SECURITY_SCHEMES if route.scope]
    return made


def _parameters(route: Route, known: Operation) -> Iterator[Json]:
    for name in re.findall(r"{(\w+)}", route.path):
        says, schema, example = PATH_PARAMETERS[name]
        if name in known.only:
            schema = schema | {"enum": [*known.only[name]]}
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": says,
            "schema": schema,
            "example": known.path.get(name, example),
        }
    for one in known.parameters:
        yield {
            "name": one.name,
            "in": one.place,
            "required": False,
            "description": one.description,
            "schema": dict(one.schema),
        }


def _answer(answer: Response) -> Json:
    made: Json = {"description": answer.says}
    if answer.headers:
        made["headers"] = {
            name: {"$ref": f"#/components/headers/{name}"} for name in answer.headers
        }
    if answer.schema:
        made["content"] = {
            answer.content_type: {
                "schema": {"$ref": REF + answer.schema},
                "example": answer.example,
            }
        }
    return made


def _refusals(route: Route, known: Operation) -> list[int]:
    """Return the statuses with which an operation refuses, as its parts imply."""
    named = set(re.findall(r"{(\w+)}", route.path))
    private = route.function in {"get_openapi", "get_docs"}
    reasons = {
        400: True,
        401: route.scope is not None,
        403: route.scope is not None,
        404: private or bool(named - {"user_id"}),
        409: known.conflict,
        413: known.body is not None,
        422: bool(named or known.body or known.parameters),
        429: True,
        500: True,
        503: True,
    }
    return [status for status, applies in reasons.items() if applies]
