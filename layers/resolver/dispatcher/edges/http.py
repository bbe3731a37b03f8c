"""The HTTP edge: reads API Gateway's event as a ``Request`` and writes its ``Response``.

API Gateway has already routed the request. Only this module knows the status of each error; errors
become problem details (RFC 9457).
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypedDict
from urllib.parse import quote, unquote

from dispatcher import wiring
from dispatcher.access import policy
from dispatcher.edges import header_values, invocation, routes
from dispatcher.edges.log_fields import log_fields
from dispatcher.errors import (
    BrokenSettingError,
    ConflictError,
    FieldError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    PreconditionError,
    RejectedError,
    UnavailableError,
    json_pointer,
)
from dispatcher.identifiers import DELIVERY_ID, REQUEST_ID, SUPPRESSION_ID, USER_ID, USER_ID_RULE
from dispatcher.integrations import catalogue, read_type
from dispatcher.strict_json import LARGEST_BODY, MalformedJsonError, read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from dispatcher.configuration.preference_responses import PreferencesResponse
    from dispatcher.delivery.ports import EventLog
    from dispatcher.edges import LambdaEvent
    from dispatcher.messages.acceptance import Accepted
    from dispatcher.responses import ProblemResponse

LARGEST_FORM = 8 * 1024
"""Bytes of a form with one short field, multipart included; a longer form is not parsed."""

UNAFFECTED = frozenset({"/health", routes.FALLBACK.path})
"""Paths that work while a setting is broken: the first reports it, the second refuses anyway."""

RETRY_AFTER = 5
"""Seconds after which a client may repeat a request that got a 503."""


class UnreadableBodyError(RejectedError):
    """The body is not unambiguous JSON."""


class BodyTooLargeError(RejectedError):
    """The body exceeds the limit."""


class MethodNotAllowedError(RejectedError):
    """The path exists, but not with this method."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self.allow = ", ".join(allowed)
        super().__init__(f"This path supports {self.allow}.")


class Problem(NamedTuple):
    """The problem details of a class of errors; without a ``detail``, the error's text is used."""

    status: int
    name: str
    title: str
    detail: str | None = None


# The search follows the error's base classes; an unlisted error is a bug in the service.
PROBLEMS = {
    UnreadableBodyError: Problem(400, "unreadable-body", "The body is not JSON"),
    ForbiddenError: Problem(403, "forbidden", "Forbidden"),
    NotFoundError: Problem(404, "not-found", "Not found"),
    MethodNotAllowedError: Problem(405, "method-not-allowed", "Method not allowed"),
    ConflictError: Problem(409, "conflict", "Conflict"),
    PreconditionError: Problem(412, "precondition-failed", "Precondition failed"),
    BodyTooLargeError: Problem(413, "body-too-large", "Body too large"),
    InvalidInputError: Problem(422, "invalid-input", "Invalid input"),
    BrokenSettingError: Problem(503, "broken-setting", "Broken setting"),
    UnavailableError: Problem(
        503, "unavailable", "Service unavailable", "A dependency of the service did not respond."
    ),
    Exception: Problem(
        500,
        "internal-error",
        "Internal error",
        "The service has an internal error; search its log for this instance.",
    ),
}


@dataclass(frozen=True, slots=True)
class Response:
    """A handler's response.

    The body is one of ``dispatcher.responses``, ``None`` for an empty body, or text that is sent
    unchanged, with its type among the headers.
    """

    status: int
    body: Mapping[str, object] | str | None = None
    """JSON, or text whose type is among the headers; ``None`` is an empty body."""
    headers: Mapping[str, str] = field(default_factory=dict)


class ProxyResponse(TypedDict):
    """A response as API Gateway's proxy integration reads it."""

    statusCode: int
    headers: Mapping[str, str]
    body: str
    isBase64Encoded: bool


@dataclass(frozen=True, slots=True)
class Request:
    """A caller's request. Each part is checked when it is read; an invalid part raises an error."""

    event: LambdaEvent

    @property
    def id(self) -> str:
        """API Gateway's ID of this request."""
        return (self.event.get("requestContext") or {}).get("requestId") or str(uuid.uuid4())

    @property
    def path(self) -> str:
        """The path after the stage, as it was sent; for a known path, its template."""
        resource = str(self.event["resource"])
        return f"/{self._encoded('proxy')}" if resource == "/{proxy+}" else resource

    @property
    def caller(self) -> policy.Caller:
        """The caller whom the authorizer identified; without one, a caller without any scope."""
        context = self.event.get("requestContext") or {}
        return policy.Caller.of(context.get("authorizer") or {})

    @property
    def base_url(self) -> str:
        """The address of the API as this request used it, with stage or base path."""
        context = self.event.get("requestContext") or {}
        # API Gateway ignores a slash at the end of a path.
        path = str(context["path"]).rstrip("/")
        segments = str(self.event["resource"]).count("/")
        prefix = "/".join(path.split("/")[:-segments])
        return f"https://{context['domainName']}{prefix}"

    @property
    def named_user(self) -> str:
        """The user ID of the path, decoded and not checked."""
        return self._parameter("user_id")

    @property
    def user_id(self) -> str:
        """The user ID of the path; ``InvalidInputError`` if it is not a valid one."""
        value = self.named_user
        if USER_ID.fullmatch(value) is None:
            raise InvalidInputError(FieldError("/user_id", USER_ID_RULE))
        return value

    @property
    def integration_type(self) -> str:
        """The integration of the path, in upper case; ``NotFoundError`` if there is none."""
        try:
            return read_type(self._parameter("integration_type"))
        except ValueError:
            known = ", ".join(catalogue())
            raise NotFoundError(f"There is no such integration. Known: {known}.") from None

    @property
    def delivery_id(self) -> str:
        """The delivery ID of the path; ``NotFoundError`` if it is not a valid one."""
        value = self._parameter("delivery_id")
        if DELIVERY_ID.fullmatch(value) is None:
            raise NotFoundError("There is no such delivery.")
        return value

    @property
    def request_id(self) -> str:
        """The request ID of the path; ``NotFoundError`` if it is not a valid one."""
        value = self._parameter("request_id")
        if REQUEST_ID.fullmatch(value) is None:
            raise NotFoundError("There is no such request.")
        return value

    @property
    def message_id(self) -> str:
        """The message ID of the path; ``NotFoundError`` if it is not a valid one."""
        value = self._parameter("message_id")
        if DELIVERY_ID.fullmatch(value) is None:
            raise NotFoundError("There is no such message.")
        return value

    @property
    def suppression_id(self) -> str:
        """The suppression's ID of the path; ``NotFoundError`` if it is not a valid one."""
        value = self._parameter("suppression_id")
        if SUPPRESSION_ID.fullmatch(value) is None:
            raise NotFoundError("There is no such suppression.")
        return value

    @property
    def category(self) -> str:
        """The category of the path, decoded and not checked: the use case knows its rules."""
        return self._parameter("category")

    @property
    def rest(self) -> str:
        """The end of the path, decoded: what ``{proxy+}`` stands for."""
        return self._parameter("proxy")

    @property
    def token(self) -> str:
        """The token of the path, decoded and not checked."""
        return self._parameter("token")

    @property
    def query(self) -> dict[str, str]:
        """The query parameters; ``InvalidInputError`` names each one that was sent twice."""
        # Not the map of single values, which hides that a parameter was sent twice.
        parameters = self.event.get("multiValueQueryStringParameters") or {}
        repeated = [name for name, values in parameters.items() if len(values) > 1]
        if repeated:
            raise InvalidInputError(
                *(FieldError(json_pointer(name), "must be given once") for name in repeated)
            )
        return {name: values[0] for name, values in parameters.items()}

    def switch(self, name: str) -> bool:
        """Return the only query parameter of a route: ``true``, or ``false`` if it is missing."""
        query = self.query
        wrong = [
            FieldError(json_pointer(other), f"is not a known parameter; the known one is {name}")
            for other in query
            if other != name
        ]
        value = query.get(name, "false")
        if value not in {"true", "false"}:
            wrong.append(FieldError(json_pointer(name), "must be true or false"))
        if wrong:
            raise InvalidInputError(*wrong)
        return value == "true"

    def header(self, name: str) -> str | None:
        """Return a header, its name in any case; ``InvalidInputError`` if it has two values."""
        values = set(header_values(self.event, name))
        if len(values) > 1:
            raise InvalidInputError(FieldError("", f"the header {name} must be given once"))
        return values.pop() if values else None

    @property
    def body(self) -> dict[str, object]:
        """The JSON object of the body.

        Raises ``UnreadableBodyError``, ``BodyTooLargeError``, or ``InvalidInputError`` for JSON
        that is not an object. The use case checks the values.
        """
        try:
            value = read_json(self._text())
        except MalformedJsonError as error:
            # "from None", here and below: the original error quotes the body.
            raise UnreadableBodyError(f"The body {error}.") from None
        if not isinstance(value, dict):
            raise InvalidInputError(FieldError("", "must be a JSON object"))
        return value

    @property
    def form(self) -> list[tuple[str, str]]:
        """The fields of a posted form, in order; errors as for ``body``."""
        from dispatcher.edges import forms

        data = self._data()
        if len(data) > LARGEST_FORM:
            raise InvalidInputError(FieldError("", f"a form has at most {LARGEST_FORM} bytes"))
        return forms.fields(self.header("content-type") or "", data)

    def _text(self) -> str:
        try:
            return self._data().decode()
        except ValueError:
            raise UnreadableBodyError("The body is not UTF-8.") from None

    def _data(self) -> bytes:
        raw: str = self.event.get("body") or ""
        try:
            encoded = self.event.get("isBase64Encoded")
            data = base64.b64decode(raw, validate=True) if encoded else raw.encode()
        except ValueError:
            raise UnreadableBodyError("The body is not UTF-8.") from None
        if len(data) > LARGEST_BODY:
            raise BodyTooLargeError(f"A body has at most {LARGEST_BODY} bytes.")
        return data

    def _parameter(self, name: str) -> str:
        # API Gateway passes a parameter on as it was encoded. `sam local` decodes it first, which
        # changes only a request_id that contains a percent sign.
        return unquote(self._encoded(name))

    def _encoded(self, name: str) -> str:
        return (self.event.get("pathParameters") or {}).get(name) or ""


def _no_headers() -> Mapping[str, str]:
    return {}


def _no_page(_error: Exception, _request: Request) -> Response | None:
    return None


@dataclass(frozen=True, slots=True)
class Handler:
    """A Lambda handler for one route, or for the pages of one function."""

    method: str
    path: str
    scopes: tuple[str, ...] | None
    respond: Callable[[Request], Response]
    headers: Callable[[], Mapping[str, str]] = _no_headers
    """Returns headers of every response, those of errors included."""
    error_page: Callable[[Exception, Request], Response | None] = _no_page
    """Returns the page of an error, or ``None`` for problem details."""
    fails_closed: bool = False
    """Whether no request is handled while a setting of the integrations is broken."""

    def __call__(self, event: LambdaEvent, context: object) -> ProxyResponse:
        """Return the response to an event of API Gateway, also after an error, and log one line."""
        request = Request(event)
        instance = request.id
        with invocation(context, api_request_id=instance) as event_log:
            return self._handle(request, instance, event_log)

    def _handle(self, request: Request, instance: str, event_log: EventLog) -> ProxyResponse:
        started = time.monotonic()
        fault: dict[str, object] = {}
        common: Mapping[str, str] = {}
        try:
            # Authorize before reading anything, so an unauthorized caller learns nothing, not even
            # from timing.
            owner = request.named_user if "{user_id}" in self.path else None
            policy.require(request.caller, self.scopes, owner)
            if self.fails_closed:
                wiring.system_defaults()
            common = self.headers()
            response = self.respond(request)
        except Exception as error:  # noqa: BLE001 - the edge: every error gets a response
            page = self.error_page(error, request)
            response = page or _problem(error, f"urn:uuid:{instance}")
            # For client errors log only the class: a JSON pointer may contain names from the body.
            fault = {"error": type(error).__name__} if response.status < 500 else log_fields(error)
        event_log.emit(
            "request.handled",
            method=request.event.get("httpMethod"),
            route=self.path,
            status=response.status,
            duration_ms=round((time.monotonic() - started) * 1000, 1),
            caller=request.caller.name or None,
            user_id=_loggable(request, "user_id"),
            delivery_id=_loggable(request, "delivery_id"),
            request_id=_loggable(request, "request_id") or _named_request(response),
            **fault,
        )
        proxied = _proxy_response(response, common)
        return {**proxied, "body": ""} if request.event.get("httpMethod") == "HEAD" else proxied


def route(method: str, path: str) -> Callable[[Callable[[Request], Response]], Handler]:
    """Make a function from request to response the Lambda handler of one route."""
    scopes, fails_closed = routes.scopes(method, path), path not in UNAFFECTED
    return lambda respond: Handler(method, path, scopes, respond, fails_closed=fails_closed)


def pages(
    *paths: str, headers: Callable[[], Mapping[str, str]]
) -> Callable[[Callable[[Request], Response]], Handler]:
    """Make a function the Lambda handler of pages, whose responses all have ``headers``.

    The log names the first of the paths.
    """
    for path in paths:
        routes.scopes("GET", path)
    return lambda respond: Handler("GET", paths[0], None, respond, headers)


def page(
    method: str, path: str, error_page: Callable[[Exception, Request], Response | None]
) -> Callable[[Callable[[Request], Response]], Handler]:
    """Make a function the Lambda handler of a page, whose errors are pages too."""
    scopes = routes.scopes(method, path)
    return lambda respond: Handler(method, path, scopes, respond, error_page=error_page)


def accepted(message: Accepted, requests: str) -> Response:
    """Return 202 for an accepted message; ``requests`` is the relative path of the requests."""
    headers = {"Location": f"{requests}/{_segment(message.response['request_id'])}"}
    if message.replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(202, message.response, headers)


def tagged(preferences: PreferencesResponse) -> Response:
    """Return 200 with preferences and their version as the header ``ETag`` (RFC 9110, 8.8.3)."""
    return Response(200, preferences, {"ETag": f'"{preferences["version"]}"'})


def _segment(name: str) -> str:
    """Encode a name as one segment of a path."""
    # A segment "." or ".." would be resolved away (RFC 3986, 5.2.4).
    return "%2E" * len(name) if name in {".", ".."} else quote(name, safe="")


def _problem(error: Exception, instance: str) -> Response:
    problem = next(PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS)
    body: ProblemResponse = {
        "type": f"urn:integration-dispatcher:problem:{problem.name}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail or str(error),
        "instance": instance,
    }
    headers = {"Content-Type": "application/problem+json"}
    if isinstance(error, InvalidInputError):
        count = len(error.field_errors)
        body["detail"] = f"The request has {count} invalid field{'s' * (count != 1)}; see `errors`."
        body["errors"] = [
            {"pointer": field_error.pointer, "detail": field_error.detail}
            for field_error in error.field_errors
        ]
    if isinstance(error, MethodNotAllowedError):
        headers["Allow"] = error.allow
    return Response(problem.status, body, headers)


def _proxy_response(response: Response, common: Mapping[str, str]) -> ProxyResponse:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **common}
    if response.body is not None:
        headers["Content-Type"] = "application/json"
    if response.status == 503:
        headers["Retry-After"] = str(RETRY_AFTER)
    return {
        "statusCode": response.status,
        "headers": headers | dict(response.headers),
        "body": _text(response.body),
        "isBase64Encoded": False,
    }


def _text(body: Mapping[str, object] | str | None) -> str:
    if body is None or isinstance(body, str):
        return body or ""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # So that a shell's prompt does not continue the line.
    return text + "\n"


def _named_request(response: Response) -> object:
    return response.body.get("request_id") if isinstance(response.body, dict) else None


def _loggable(request: Request, name: str) -> str | None:
    """Return a part of the path, ``None`` if it is missing or invalid."""
    try:
        value: str = getattr(request, name)
    except RejectedError:
        return None
    return value
