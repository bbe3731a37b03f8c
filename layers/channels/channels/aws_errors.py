"""Classification of failed AWS calls by their effect on the message that they carry.

Each call is made once; the delivery decides about retries.
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
    """Whether a failed AWS call may have taken effect."""

    UNSENT = "AWS was not reached"
    LATER = "AWS refused it for now"
    REFUSED = "AWS refused it permanently"
    UNKNOWN = "AWS may have executed it"


def failure(error: Exception) -> Failure:
    """Return whether a call that ended with one of ``AwsError`` may have taken effect."""
    if isinstance(error, ClientError):
        return _from_response(error)
    # After a lost connection or an unreadable response, the request may have been executed.
    # Earlier failures (name, connection, TLS, credentials) have other classes.
    lost = isinstance(error, (HTTPClientError, ResponseParserError))
    return Failure.UNKNOWN if lost else Failure.UNSENT


def _from_response(error: ClientError) -> Failure:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    if named(error) in _THROTTLED or status in _LATER:
        return Failure.LATER
    return Failure.UNKNOWN if status >= 500 else Failure.REFUSED


def named(error: Exception) -> str:
    """Return AWS's error code, else the error's class; never its text, which quotes the input."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "unknown"))
    return type(error).__name__
