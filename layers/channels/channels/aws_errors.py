"""Meaning of a failed AWS call for the message that the call was to carry.

Each call is made once: whether the message is sent again is the delivery's own matter.
"""

from __future__ import annotations

from enum import Enum

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.parsers import ResponseParserError

AwsError = (BotoCoreError, ClientError, ResponseParserError)
"""Exceptions that a client raises."""

_LATER = frozenset({408, 429, 503})
_THROTTLED = frozenset({
    "Throttling", "ThrottlingException", "Throttled", "ThrottledException", "KMSThrottling",
    "RequestLimitExceeded", "RequestThrottled", "SlowDown", "TooManyRequestsException",
    "LimitExceededException", "ServiceUnavailable", "RequestExpired", "ExpiredToken",
    "ExpiredTokenException",
})  # fmt: skip


class Failure(Enum):
    """How far a failed call came."""

    UNSENT = "AWS was not reached"
    LATER = "AWS refused it for now"
    REFUSED = "AWS refused it for good"
    UNKNOWN = "AWS may have taken it all the same"


def failure(error: Exception) -> Failure:
    """Return whether a call that ended with one of ``AwsError`` may have taken effect."""
    if isinstance(error, ClientError):
        return _from_response(error)
    # A lost connection, or an unreadable response: the request was on its way.
    # Earlier failures (name, connection, TLS, credentials) have other classes.
    lost = isinstance(error, (HTTPClientError, ResponseParserError))
    return Failure.UNKNOWN if lost else Failure.UNSENT


def _from_response(error: ClientError) -> Failure:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    if named(error) in _THROTTLED or status in _LATER:
        return Failure.LATER
    return Failure.UNKNOWN if status >= 500 else Failure.REFUSED


def named(error: Exception) -> str:
    """Name an error: AWS's own code, else its kind; never its text, which quotes the input."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "unknown"))
    return type(error).__name__
