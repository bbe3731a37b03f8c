"""The service as this program sees it: requests go out, JSON or a failure comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests

from dispatch_cli.failures import (
    Failure,
    NotAuthorizedFailure,
    RefusedFailure,
    UnreachableFailure,
    UsageFailure,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dispatch_cli.settings import Settings

TIMEOUT = (5, 35)
"""Seconds to connect, and to wait for an answer: API Gateway gives up after 29."""

HEALTH = ("health",)

MOST_FLAWS = 20
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
            raise UnreachableFailure(
                f"{self.settings.url} does not answer: {_cause(error)}.", self._where_to_look()
            ) from error
        answer = _json(response)
        if response.ok and not response.is_redirect:
            if answer is not None or response.status_code == requests.codes.no_content:
                return answer
            raise UnreachableFailure(
                f"What answers at {self.settings.url} is no integration dispatcher.",
                self._where_to_look(),
            )
        if path == HEALTH and isinstance(answer, dict) and "integrations" in answer:
            return answer  # 503, and a whole report
        raise self._failure(response, answer)

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
        if status == requests.codes.too_many_requests or status >= 500:
            wait = response.headers.get("Retry-After", "")
            after = float(wait) if wait.isdecimal() else 0.0
            advice = f"Try again in {wait} s." if after else "Try again later."
            advice += " How the service is: dispatch health"
            return UnreachableFailure(text, advice, answer=answer, retry_after=after)
        return RefusedFailure(text, details=_flaws(problem), answer=answer, status=status)

    def _where_to_look(self) -> str:
        if self.settings.origin:
            return f"The address comes from {self.settings.origin}: see whether it is right."
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
    except ValueError:
        return None


def _flaws(problem: Mapping[str, Any]) -> list[str]:
    errors = problem.get("errors")
    flaws = [one for one in errors if isinstance(one, dict)] if isinstance(errors, list) else []
    return [
        f"{one.get('pointer') or 'body'}: {one.get('detail', '')}" for one in flaws[:MOST_FLAWS]
    ]


def _cause(error: requests.RequestException) -> str:
    kinds = {
        requests.exceptions.SSLError: "its certificate cannot be verified",
        requests.exceptions.ConnectTimeout: "no connection in time",
        requests.exceptions.ReadTimeout: "no answer in time",
        requests.exceptions.ProxyError: "the proxy does not lead there",
        requests.exceptions.ConnectionError: "nobody takes the connection",
    }
    return next((text for kind, text in kinds.items() if isinstance(error, kind)), str(error))
