"""The HTTP client of the service: returns the JSON of a response or raises a failure."""

from __future__ import annotations

import re
import ssl
from shlex import quote as quote_word
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests
from urllib3.exceptions import LocationParseError, NameResolutionError, NewConnectionError

from dispatch_cli import responses
from dispatch_cli.failures import (
    Failure,
    FieldError,
    NotAuthorizedFailure,
    RejectedFailure,
    UnreachableFailure,
    UsageFailure,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dispatch_cli.settings import Settings

TIMEOUT = (5, 35)
"""Seconds to connect, and to wait for the response: API Gateway times out after 29."""

HEALTH = ("health",)

CONNECTION_REFUSED = "connection refused"
NO_SUCH_PATH = "There is no such path."
"""The service's ``detail`` for a path without a route."""

NAMES = {"token": "token", "api_key": "API key"}
"""The kinds of credential in words."""

_SCOPE = re.compile(r"dispatch:[a-z]+")

MAX_FIELD_ERRORS = 20
"""Field errors that are shown per response."""


class Service:
    """A client of one dispatcher."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._session = requests.Session()
        # A proxy cannot reach this machine's loopback.
        self._session.trust_env = not settings.is_loopback
        # Without an auth callback, requests would prefer the credentials in ~/.netrc.
        self._session.auth = self._authorize

    def get(self, *path: str, **query: object) -> Any:
        """Send a GET request without the query parameters that are ``None``."""
        parameters = {name: value for name, value in query.items() if value is not None}
        return self._request("GET", path, query=parameters)[0]

    def health(self) -> Any:
        """Return the health report; an empty one if the service does not return it."""
        try:
            return self.get(*HEALTH)
        except Failure:
            return {}

    def post(self, *path: str, body: object = None, **query: str | None) -> Any:
        """Send a POST request; parameters that are ``None`` are omitted."""
        parameters = {name: value for name, value in query.items() if value is not None}
        return self._request("POST", path, query=parameters, body=body)[0]

    def send(self, *path: str, body: object) -> tuple[Any, bool]:
        """Send a POST request with an identity; return also whether it had been sent before."""
        document, headers = self._request("POST", path, body=body)
        return document, headers.get("Idempotency-Replayed") == "true"

    def put(self, *path: str, body: object, if_match: str | None = None) -> Any:
        """Send a PUT request, with ``if_match`` on the condition of a tag."""
        headers = {} if if_match is None else {"If-Match": if_match}
        return self._request("PUT", path, body=body, headers=headers)[0]

    def delete(self, *path: str) -> Any:
        """Send a DELETE request; return ``None`` if the response has no body."""
        return self._request("DELETE", path)[0]

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self.settings.headers)
        return request

    def _request(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        query: Mapping[str, Any] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[Any, Mapping[str, str]]:
        try:
            response = self._session.request(
                method,
                self.settings.url + _encoded(path),
                params=query,
                json=body,
                headers=headers,
                timeout=TIMEOUT,
                # A redirect could send the credential and the message to another server.
                allow_redirects=False,
            )
        except (requests.RequestException, LocationParseError) as error:
            reason, may_have_arrived = _reason(error)
            refused_here = reason == CONNECTION_REFUSED and self.settings.is_loopback
            raise UnreachableFailure(
                f"No response from {self.settings.url}: {reason}.",
                self._address_advice(may_start=refused_here),
                may_have_arrived=may_have_arrived,
            ) from error
        document = _json(response)
        field_error = responses.field_error(method, path, document)
        if response.ok and not response.is_redirect:
            self._require_dispatcher(response, document, field_error)
            return document, response.headers
        if path == HEALTH and field_error is None:
            return document, response.headers  # 503 with a complete report
        raise self._failure(response, document)

    def _require_dispatcher(
        self, response: requests.Response, document: object, field_error: str | None
    ) -> None:
        """Reject a success that no dispatcher sends: a web page, or JSON of another shape."""
        if document is None and response.status_code != requests.codes.no_content:
            kind = response.headers.get("Content-Type")
            difference = f"its response is {kind}, not JSON" if kind else "its response is not JSON"
        elif field_error is not None:
            place = f" at {field_error}" if field_error else ""
            difference = f"its JSON has another shape{place}"
        else:
            return
        raise UnreachableFailure(
            f"The server at {self.settings.url} is not an integration dispatcher, "
            f"or has another version: {difference}.",
            self._address_advice(),
        )

    def _failure(self, response: requests.Response, document: Any) -> Failure:
        status = response.status_code
        problem = document if isinstance(document, dict) else {}
        title = problem.get("title") or problem.get("message") or response.reason or "Rejected"
        text = f"{title} ({status})"
        if problem.get("detail"):
            text += f": {problem['detail']}"
        if response.is_redirect:
            target = response.headers.get("Location", "another address")
            advice = f"Redirects are not followed.\n{self._address_advice()}"
            return UnreachableFailure(f"{self.settings.url} redirects to {target}.", advice)
        if status == requests.codes.unauthorized:
            return self._unauthenticated(text, document)
        if status == requests.codes.forbidden:
            return self._forbidden(text, document)
        kind = response.headers.get("Content-Type", "")
        if kind.startswith("text/html") and status in {400, 404, 405, 501}:
            # Other statuses can come from a proxy in front of a dispatcher.
            return UnreachableFailure(
                f"{text}: the server at {self.settings.url} is not an integration dispatcher, "
                f"its response is {kind}.",
                self._address_advice(),
            )
        if status == requests.codes.too_many_requests or status >= 500:
            wait = response.headers.get("Retry-After", "")
            retry_after = float(wait) if wait.isdecimal() else 0.0
            advice = f"Try again in {wait} s." if retry_after else "Try again later."
            advice += "\nTo see the service's health: dispatch health"
            # A throttled request did not reach the service; any other error may follow the effect.
            arrived = status != requests.codes.too_many_requests
            return UnreachableFailure(
                text, advice, response=document, retry_after=retry_after, may_have_arrived=arrived
            )
        # The service rejects in JSON, and it has a route for every path that this program uses:
        # anything else means that the address is wrong.
        is_wrong_address = not problem or problem.get("detail") == NO_SUCH_PATH
        return RejectedFailure(
            text,
            self._address_advice() if is_wrong_address else "",
            field_errors=_field_errors(problem),
            response=document,
            status=status,
        )

    def _address_advice(self, *, may_start: bool = False) -> str:
        start = "\nTo start the service on this machine: make up"
        if self.settings.origin:
            advice = f"Check the address: it comes from {self.settings.origin}."
            return advice + (start if may_start else "")
        return (
            f"No address is configured, so the default is used: {self.settings.url}.{start}\n"
            "To use another one: dispatch login URL"
        )

    def _unauthenticated(self, text: str, document: Any) -> Failure:
        settings = self.settings
        if settings.credential is None:
            return NotAuthorizedFailure(
                f"{text}\nNo credential is configured, and this service requires one.",
                f"To store a token: {self._login()}\n"
                f"To store an API key: {self._login(is_key=True)}",
                response=document,
            )
        kind, _ = settings.credential
        name = NAMES[kind]
        return NotAuthorizedFailure(
            f"The {name} is invalid or expired ({requests.codes.unauthorized}).",
            f"It comes from {settings.credential_origin}.\n"
            f"To store a valid one: {self._login(is_key=kind == 'api_key')}",
            response=document,
        )

    def _forbidden(self, text: str, document: Any) -> Failure:
        """Tell a credential that lacks a scope or a user from a request that was not let through.

        The service checks scopes after the credential, so this credential is valid.
        """
        detail = str(document.get("detail", "")) if isinstance(document, dict) else ""
        scopes = " or ".join(_SCOPE.findall(detail))
        if not scopes:
            return NotAuthorizedFailure(
                text,
                "The service, or a firewall before it, refuses this caller.",
                response=document,
            )
        kind = NAMES[self.settings.credential[0]] if self.settings.credential else "credential"
        if "user" in detail:
            return NotAuthorizedFailure(
                f"The {kind} is valid, but belongs to another user: access to this one requires "
                f"the scope {scopes} (403).",
                f"Use a credential of this user, or one with the scope {scopes}.",
                response=document,
                lacks_scope=True,
            )
        return NotAuthorizedFailure(
            f"The {kind} is valid, but lacks the scope {scopes} (403).",
            f"Ask an operator for a credential with the scope {scopes}.",
            response=document,
            lacks_scope=True,
        )

    def _login(self, *, is_key: bool = False) -> str:
        settings = self.settings
        profile = f" --profile {quote_word(settings.profile)}" if settings.profile else ""
        key = " --api-key" if is_key else ""
        return f"dispatch login {quote_word(settings.url)}{profile}{key}"


def _encoded(segments: tuple[str, ...]) -> str:
    # Servers resolve dots to another route, and an empty segment leads to another route, too.
    for segment in segments:
        if segment in {"", ".", ".."}:
            raise UsageFailure(f"{segment!r} is not a valid ID.")
    return "".join("/" + quote(segment, safe="") for segment in segments)


def _json(response: requests.Response) -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def _field_errors(problem: Mapping[str, Any]) -> list[FieldError]:
    errors = problem.get("errors")
    found = (
        [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    )
    return [
        FieldError(
            str(error.get("pointer") or ""),
            str(error.get("detail") or "is invalid").removeprefix("Value error, "),
        )
        for error in found[:MAX_FIELD_ERRORS]
    ]


def _reason(error: Exception) -> tuple[str, bool]:
    """Return why there is no response, and whether the request may have arrived."""
    errors = list(_causes(error))
    for inner in errors:
        match inner:
            case ssl.SSLCertVerificationError(verify_message=str(text)):
                return f"its TLS certificate is not trusted ({text.rstrip('.')})", False
            case ssl.SSLError(reason="WRONG_VERSION_NUMBER" | "HTTP_REQUEST" | "UNKNOWN_PROTOCOL"):
                return "there is no TLS at this port; is it an http address?", False
            case ConnectionRefusedError():
                return CONNECTION_REFUSED, False
    reasons_by_kind = {
        requests.exceptions.ConnectTimeout: ("the connection timed out", False),
        requests.exceptions.ProxyError: ("the proxy cannot reach it", False),
        NameResolutionError: ("the host name cannot be resolved", False),
        NewConnectionError: ("the host cannot be reached", False),
        requests.exceptions.SSLError: ("the TLS connection failed", True),
        requests.exceptions.ReadTimeout: ("the response timed out", True),
        requests.exceptions.ConnectionError: ("the connection was lost", True),
        requests.exceptions.ChunkedEncodingError: ("the connection was lost", True),
        requests.exceptions.ContentDecodingError: ("the response is damaged", True),
        requests.exceptions.InvalidURL: ("the address is invalid", False),
        LocationParseError: ("the address is invalid", False),
    }
    for kind, reason in reasons_by_kind.items():
        if any(isinstance(inner, kind) for inner in errors):
            return reason
    return str(error), False


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and the errors inside: requests wraps urllib3's, which wrap the system's."""
    yield error
    for inner in (getattr(error, "reason", None), error.__cause__, *error.args):
        if isinstance(inner, BaseException):
            yield from _causes(inner)
