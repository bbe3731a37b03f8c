"""The HTTP edge: API Gateway's event becomes a ``Request``, an ``Answer`` or error its response.

API Gateway has routed the request already, so nothing is routed here. Which error means which
status is known here and nowhere else; errors are told as problems (RFC 9457).
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote

from dispatcher import wiring
from dispatcher.access import policy
from dispatcher.edges import routes
from dispatcher.edges.log_fields import described
from dispatcher.errors import (
    BrokenSettingError,
    ConflictError,
    FieldError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    RejectedError,
    UnavailableError,
)
from dispatcher.identifiers import DELIVERY_ID, USER_ID
from dispatcher.integrations import catalogue
from dispatcher.strict_json import MalformedJsonError, read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from dispatcher.messages.acceptance import Accepted

LARGEST_BODY = 256 * 1024
"""Bytes of UTF-8."""

RETRY_AFTER = 5
"""Seconds after which it is worth trying again what was answered with 503."""


class UnreadableBodyError(RejectedError):
    """The body is not JSON as every reader understands it."""


class BodyTooLargeError(RejectedError):
    """The body is longer than any valid one."""


class MethodNotAllowedError(RejectedError):
    """The path exists, but not with this verb."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self.allow = ", ".join(allowed)
        super().__init__(f"This path answers {self.allow}.")


class Problem(NamedTuple):
    """How a kind of error is told; without a ``detail``, in the error's own words."""

    status: int
    name: str
    title: str
    detail: str | None = None


# Looked up along the error's ancestors, so what is not named is an Exception: our own fault.
PROBLEMS = {
    UnreadableBodyError: Problem(400, "unreadable-body", "The body is not JSON"),
    ForbiddenError: Problem(403, "forbidden", "Forbidden"),
    NotFoundError: Problem(404, "not-found", "Not found"),
    MethodNotAllowedError: Problem(405, "method-not-allowed", "Method not allowed"),
    ConflictError: Problem(409, "conflict", "Conflict"),
    BodyTooLargeError: Problem(413, "body-too-large", "Body too large"),
    InvalidInputError: Problem(
        422, "invalid-input", "Invalid input", "What must be corrected, and where, is in errors."
    ),
    BrokenSettingError: Problem(503, "broken-setting", "Broken setting"),
    UnavailableError: Problem(
        503, "unavailable", "Service unavailable", "A service behind this one did not answer."
    ),
    Exception: Problem(
        500, "internal-error", "Internal error", "The fault is ours; the log names this instance."
    ),
}


@dataclass(frozen=True, slots=True)
class Response:
    """What a handler answers.

    A body of ``None`` is an empty one. Text goes out as it is; its type is among the headers.
    """

    status: int
    body: Mapping[str, object] | str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller asked. Each part is checked as it is read, and raises what the edge answers."""

    event: Mapping[str, Any]

    @property
    def id(self) -> str:
        """API Gateway's own name for this request."""
        return (self.event.get("requestContext") or {}).get("requestId") or str(uuid.uuid4())

    @property
    def path(self) -> str:
        """The path behind stage and host; on a known path, its template."""
        resource = str(self.event["resource"])
        return f"/{self._parameter('proxy')}" if resource == "/{proxy+}" else resource

    @property
    def caller(self) -> policy.Caller:
        """Who asks, in the words of the authorizer; without one, somebody who may do nothing."""
        context = self.event.get("requestContext") or {}
        return policy.Caller.of(context.get("authorizer") or {})

    @property
    def named_user(self) -> str:
        """The user of the path, decoded, whether or not a user can be called so."""
        return self._parameter("user_id")

    @property
    def user_id(self) -> str:
        """The user of the path; ``InvalidInputError`` if no user can be called so."""
        value = self.named_user
        if USER_ID.fullmatch(value) is None:
            rule = "must be 1-128 letters, digits or . _ @ + | : -, the first a letter or digit"
            raise InvalidInputError(FieldError("/user_id", rule))
        return value

    @property
    def integration_type(self) -> str:
        """The integration of the path, in upper case; ``NotFoundError`` if there is none."""
        value = self._parameter("integration_type")
        # isascii: upper() maps a few foreign letters onto ASCII ones.
        if not value.isascii() or value.upper() not in catalogue():
            raise NotFoundError(f"There is no such integration. Known: {', '.join(catalogue())}.")
        return value.upper()

    @property
    def delivery_id(self) -> str:
        """The delivery of the path; ``NotFoundError`` if none can be called so."""
        value = self._parameter("delivery_id")
        if DELIVERY_ID.fullmatch(value) is None:
            raise NotFoundError("There is no such delivery.")
        return value

    @property
    def message_id(self) -> str:
        """The message of the path; ``NotFoundError`` if none can be called so."""
        value = self._parameter("message_id")
        if DELIVERY_ID.fullmatch(value) is None:
            raise NotFoundError("There is no such message.")
        return value

    @property
    def query(self) -> dict[str, str]:
        """The query parameters, each given once; ``InvalidInputError`` names one given twice."""
        # The map of single values is no help: it hides that a parameter came twice.
        parameters = self.event.get("multiValueQueryStringParameters") or {}
        repeated = [name for name, values in parameters.items() if len(values) > 1]
        if repeated:
            raise InvalidInputError(
                *(FieldError(f"/{name}", "must be given once") for name in repeated)
            )
        return {name: values[0] for name, values in parameters.items()}

    def header(self, name: str) -> str | None:
        """Return a header, its name in any case; ``InvalidInputError`` if it has two values."""
        given = self.event.get("multiValueHeaders") or {}
        same = [values for one, values in given.items() if one.lower() == name.lower()]
        values = {value for many in same for value in many}
        if len(values) > 1:
            raise InvalidInputError(FieldError("", f"the header {name} must be given once"))
        return values.pop() if values else None

    @property
    def body(self) -> dict[str, object]:
        """The JSON object of the body.

        Raises ``UnreadableBodyError``, ``BodyTooLargeError``, or ``InvalidInputError`` for JSON
        that is no object. What its values may be is the use case's matter.
        """
        try:
            value = read_json(self._text())
        except MalformedJsonError as error:
            # "from None", here and below: the original error quotes the body.
            raise UnreadableBodyError(f"The body {error}.") from None
        if not isinstance(value, dict):
            raise InvalidInputError(FieldError("", "must be a JSON object"))
        return value

    def _text(self) -> str:
        raw: str = self.event.get("body") or ""
        try:
            encoded = self.event.get("isBase64Encoded")
            data = base64.b64decode(raw, validate=True) if encoded else raw.encode()
            if len(data) > LARGEST_BODY:
                raise BodyTooLargeError(f"A body has at most {LARGEST_BODY} bytes.")
            return data.decode()
        except ValueError:
            raise UnreadableBodyError("The body is not UTF-8.") from None

    def _parameter(self, name: str) -> str:
        # Encoded on AWS, decoded already in the local cloud. Decoding there once more is harmless:
        # no name that we accept holds a percent sign.
        return unquote((self.event.get("pathParameters") or {}).get(name) or "")


@dataclass(frozen=True, slots=True)
class Handler:
    """A Lambda handler for one route."""

    method: str
    path: str
    scope: str | None
    respond: Callable[[Request], Response]

    def __call__(self, event: Mapping[str, Any], context: object) -> dict[str, Any]:
        """Answer an event of API Gateway, whatever happens, and log one line about it."""
        started = time.monotonic()
        request = Request(event)
        instance = request.id
        event_log = wiring.event_log()
        event_log.begin(context, api_request_id=instance)
        told: dict[str, object] = {}
        try:
            # Before anything is read: whoever may not ask learns nothing, not even by the time.
            owner = request.named_user if "{user_id}" in self.path else None
            policy.require(request.caller, self.scope, owner)
            answer = self.respond(request)
        except Exception as error:  # noqa: BLE001 - the edge: every error gets an answer
            answer = _problem(error, f"urn:uuid:{instance}")
            # Of a caller's mistake no more: a pointer may hold a name from the body.
            told = described(error) if answer.status >= 500 else {"error": type(error).__name__}
        event_log.emit(
            "request.answered",
            method=event.get("httpMethod"),
            route=self.path,
            status=answer.status,
            duration_ms=round((time.monotonic() - started) * 1000, 1),
            caller=request.caller.name or None,
            user_id=_loggable(request, "user_id"),
            delivery_id=_loggable(request, "delivery_id"),
            request_id=answer.body.get("request_id") if isinstance(answer.body, dict) else None,
            **told,
        )
        return _response(answer)


def route(method: str, path: str) -> Callable[[Callable[[Request], Response]], Handler]:
    """Make a function from request to answer the Lambda handler of one route."""
    return lambda respond: Handler(method, path, routes.scope(method, path), respond)


def accepted(taken: Accepted, deliveries: str) -> Response:
    """Answer for a message that was taken in; ``deliveries`` leads to its history."""
    request_id = quote(str(taken.answer["request_id"]), safe="")
    headers = {"Location": f"{deliveries}?request_id={request_id}"}
    if taken.replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(202, taken.answer, headers)


def _problem(error: Exception, instance: str) -> Response:
    problem = next(PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS)
    body: dict[str, object] = {
        "type": f"urn:integration-dispatcher:problem:{problem.name}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail or str(error),
        "instance": instance,
    }
    headers = {"Content-Type": "application/problem+json"}
    if isinstance(error, InvalidInputError):
        body["errors"] = [field_error._asdict() for field_error in error.field_errors]
    if isinstance(error, MethodNotAllowedError):
        headers["Allow"] = error.allow
    return Response(problem.status, body, headers)


def _response(answer: Response) -> dict[str, Any]:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    if answer.body is not None:
        headers["Content-Type"] = "application/json"
    if answer.status == 503:
        headers["Retry-After"] = str(RETRY_AFTER)
    return {
        "statusCode": answer.status,
        "headers": headers | dict(answer.headers),
        "body": _text(answer.body),
        "isBase64Encoded": False,
    }


def _text(body: Mapping[str, object] | str | None) -> str:
    if body is None or isinstance(body, str):
        return body or ""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _loggable(request: Request, name: str) -> str | None:
    """Return a part of the path, unless it is not there or not what it should be."""
    try:
        value: str = getattr(request, name)
    except RejectedError:
        return None
    return value
