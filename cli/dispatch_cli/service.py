"""The service as this program sees it: requests go out, JSON or a failure comes back."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests
from urllib3.exceptions import NameResolutionError, NewConnectionError

from dispatch_cli import answers
from dispatch_cli.failures import (
    Failure,
    NotAuthorizedFailure,
    RefusedFailure,
    UnreachableFailure,
    UsageFailure,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dispatch_cli.settings import Settings

TIMEOUT = (5, 35)
"""Seconds to connect, and to wait for an answer: API Gateway gives up after 29."""

HEALTH = ("health",)

NOBODY = "nobody takes the connection"
NO_SUCH_PATH = "There is no such path."
"""What the service says of a path that none of its routes has."""

MOST_FIELD_ERRORS = 20
"""Wrong values that are shown of one answer."""


class Service:
    """Speaks to one dispatcher."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._session = requests.Session()
        # A proxy is not meant for this machine.
        self._session.trust_env = not settings.is_loopback
        # Without this requests would look into ~/.netrc, and prefer what it finds there.
        self._session.auth = self._let_in

    def get(self, *path: str, **query: object) -> Any:
        """Read something; what is ``None`` is not asked for."""
        named = {name: value for name, value in query.items() if value is not None}
        return self._ask("GET", path, query=named)

    def health(self) -> Any:
        """Read how the service is; an empty report where it does not say."""
        try:
            return self.get(*HEALTH)
        except Failure:
            return {}

    def post(self, *path: str, body: object = None) -> Any:
        """Create or start something."""
        return self._ask("POST", path, body=body)

    def put(self, *path: str, body: object) -> Any:
        """Change something."""
        return self._ask("PUT", path, body=body)

    def delete(self, *path: str) -> Any:
        """Remove something; return what the service says of it, often nothing."""
        return self._ask("DELETE", path)

    def _let_in(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self.settings.headers)
        return request

    def _ask(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        query: Mapping[str, Any] | None = None,
        body: object = None,
    ) -> Any:
        try:
            response = self._session.request(
                method,
                self.settings.url + _path(path),
                params=query,
                json=body,
                timeout=TIMEOUT,
                # A redirect could lead the credential, and the message, to somebody else.
                allow_redirects=False,
            )
        except requests.RequestException as error:
            cause, may_have_arrived = _cause(error)
            raise UnreachableFailure(
                f"{self.settings.url} does not answer: {cause}.",
                self._where_to_look(may_start=cause == NOBODY and self.settings.is_loopback),
                may_have_arrived=may_have_arrived,
            ) from error
        answer = _json(response)
        field_error = answers.field_error(method, path, answer)
        if response.ok and not response.is_redirect:
            self._require_dispatcher(response, answer, field_error)
            return answer
        if path == HEALTH and field_error is None:
            return answer  # 503, and a whole report
        raise self._failure(response, answer)

    def _require_dispatcher(
        self, response: requests.Response, answer: object, field_error: str | None
    ) -> None:
        """Refuse a success that no dispatcher sends: a web page, or JSON about something else."""
        if answer is None and response.status_code != requests.codes.no_content:
            kind = response.headers.get("Content-Type")
            told = f"it sends {kind}, and no JSON" if kind else "it sends no JSON"
        elif field_error is not None:
            told = (
                f"{field_error} is not what it should be" if field_error else "it sends other JSON"
            )
        else:
            return
        raise UnreachableFailure(
            f"What answers at {self.settings.url} is no integration dispatcher, "
            f"or one of another version: {told}.",
            self._where_to_look(),
        )

    def _failure(self, response: requests.Response, answer: Any) -> Failure:
        status = response.status_code
        problem = answer if isinstance(answer, dict) else {}
        title = problem.get("title") or problem.get("message") or response.reason or "Refused"
        text = f"{title} ({status})"
        if problem.get("detail"):
            text += f": {problem['detail']}"
        if response.is_redirect:
            to = response.headers.get("Location", "somewhere else")
            advice = "Redirects are not followed. " + self._where_to_look()
            return UnreachableFailure(f"{self.settings.url} redirects to {to}.", advice)
        if status in {401, 403}:
            return NotAuthorizedFailure(text, self._how_to_be_let_in(), answer=answer)
        kind = response.headers.get("Content-Type", "")
        if kind.startswith("text/html") and status in {400, 404, 405, 501}:
            # Others can come from what stands before a dispatcher.
            told = f"{text}: what answers at {self.settings.url} is no integration dispatcher"
            return UnreachableFailure(f"{told}, it sends {kind}.", self._where_to_look())
        if status == requests.codes.too_many_requests or status >= 500:
            wait = response.headers.get("Retry-After", "")
            after = float(wait) if wait.isdecimal() else 0.0
            advice = f"Try again in {wait} s." if after else "Try again later."
            advice += " How the service is: dispatch health"
            # A throttled request has not reached the service; any other fault may come after.
            arrived = status != requests.codes.too_many_requests
            return UnreachableFailure(
                text, advice, answer=answer, retry_after=after, may_have_arrived=arrived
            )
        # The service says no in JSON: anything else is somebody else's. And it has every path that
        # is asked for here, if the address is right.
        astray = not problem or problem.get("detail") == NO_SUCH_PATH
        advice = self._where_to_look() if astray else ""
        return RefusedFailure(
            text, advice, details=_field_errors(problem), answer=answer, status=status
        )

    def _where_to_look(self, *, may_start: bool = False) -> str:
        if self.settings.origin:
            start = "\nOr start the service on this machine: make up" if may_start else ""
            return f"The address comes from {self.settings.origin}: see whether it is right.{start}"
        return (
            "Nothing is configured, so this is the service on this machine: start it with "
            "`make up`, or say where yours is: export DISPATCH_URL=https://…, or dispatch login."
        )

    def _how_to_be_let_in(self) -> str:
        if self.settings.credential is None:
            return (
                "Set DISPATCH_TOKEN or DISPATCH_API_KEY, or keep one in a profile: dispatch login"
            )
        return (
            "The credential was not accepted, or does not cover this user: see whether it has "
            "expired and whom it is for."
        )


def _path(segments: tuple[str, ...]) -> str:
    # Dots would climb to another route, and an empty segment is one, too.
    for segment in segments:
        if segment in {"", ".", ".."}:
            raise UsageFailure(f"{segment!r} is no name of a user, delivery or message.")
    return "".join("/" + quote(segment, safe="") for segment in segments)


def _json(response: requests.Response) -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def _field_errors(problem: Mapping[str, Any]) -> list[str]:
    errors = problem.get("errors")
    field_errors = (
        [one for one in errors if isinstance(one, dict)] if isinstance(errors, list) else []
    )
    return [
        f"{one.get('pointer') or 'body'}: {one.get('detail', '')}"
        for one in field_errors[:MOST_FIELD_ERRORS]
    ]


def _cause(error: requests.RequestException) -> tuple[str, bool]:
    """Say why there is no answer, and whether the request may have left all the same."""
    kinds = {
        requests.exceptions.ConnectTimeout: ("no connection in time", False),
        requests.exceptions.ProxyError: ("the proxy does not lead there", False),
        NameResolutionError: ("its name cannot be resolved", False),
        NewConnectionError: (NOBODY, False),
        ssl.SSLCertVerificationError: ("its certificate cannot be verified", False),
        requests.exceptions.SSLError: ("its TLS is broken", True),
        requests.exceptions.ReadTimeout: ("no answer in time", True),
        requests.exceptions.ConnectionError: ("the connection was lost", True),
        requests.exceptions.ChunkedEncodingError: ("the connection was lost", True),
    }
    causes = list(_causes(error))
    for kind, told in kinds.items():
        if any(isinstance(one, kind) for one in causes):
            return told
    return str(error), False


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it wraps: requests wraps urllib3's, which wrap the system's."""
    yield error
    for inner in (getattr(error, "reason", None), *error.args):
        if isinstance(inner, BaseException):
            yield from _causes(inner)
